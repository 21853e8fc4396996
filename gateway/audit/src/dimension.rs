//! By what the ledger can be asked, and which values an event has.

use leasehold_domain::Cause;
use leasehold_domain::Decision;
use leasehold_domain::Effect;
use leasehold_domain::EndCause;
use leasehold_domain::Enforcement;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::LockRef;
use leasehold_domain::Owner;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::Principal;
use leasehold_domain::Transition;

/// A dimension of the index. Its byte begins the key of a stored posting list: never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Dimension {
    /// Value: the namespace.
    Namespace = b'n',
    /// Value: `namespace/lock`.
    Lock = b'l',
    /// Value: who asked, or whose lease or place in the queue changed.
    Subject = b's',
    /// Value: their teams.
    Team = b't',
    /// Value: the operation, `expire` for what only time did, `move` for what a namespace's move to
    /// another store did, `governance`.
    Operation = b'o',
    /// Value: `allow`, `override`, `deny`, and the kind of a denial; `advisory_denied` and
    /// `advisory_error` if an advisory policy, which decides nothing, denied or failed.
    Verdict = b'v',
    /// Value: `name` and `name@version` of each policy that judged.
    Policy = b'p',
    /// Only in memory: the policies of one decision together, each ended by a line feed. Decisions
    /// mostly have the same ones, so that this costs one entry instead of two per policy.
    PolicySet = b'P',
}

/// Collects the values of one event; a value may be given twice.
pub(crate) trait Values {
    /// The event has this value.
    fn value(&mut self, dimension: Dimension, value: &str);
}

/// Gives all values of an event. `scratch` is only room, to save allocations.
pub(crate) fn values(event: &Event, scratch: &mut String, to: &mut impl Values) {
    match &event.kind {
        EventKind::Lock {
            lock,
            cause,
            transitions,
        } => {
            lock_values(lock, scratch, to);
            match cause {
                Some(cause) => cause_values(cause, scratch, to),
                None => to.value(Dimension::Operation, unasked(transitions)),
            }
            let asked = cause.as_ref().map(|cause| &cause.principal);
            for owner in transitions.iter().filter_map(owner) {
                // Mostly the one who asked, and comparing costs less than looking up.
                let same = asked.is_some_and(|asked| {
                    asked.subject == owner.subject && asked.team == owner.team
                });
                if !same {
                    owner_values(owner, to);
                }
            }
        }
        EventKind::Denied(cause) => {
            lock_values(&cause.request.lock, scratch, to);
            cause_values(cause, scratch, to);
        }
        EventKind::Governance(change) => {
            to.value(Dimension::Operation, "governance");
            if matches!(&*change.collection, "namespace" | "seat" | "cap") {
                to.value(Dimension::Namespace, &change.id);
            }
            if &*change.collection == "denied" {
                // An administrative request that was denied for want of a role.
                to.value(Dimension::Verdict, "deny");
                to.value(Dimension::Verdict, "role");
            }
            if &*change.collection == "cap" {
                // An acquire that a cap of the namespace refused.
                to.value(Dimension::Verdict, "deny");
                to.value(Dimension::Verdict, "cap");
            }
            principal_values(&change.principal, to);
        }
    }
}

/// What changed a lock without anybody asking it of that lock: time, or the move of its namespace to
/// another store.
fn unasked(transitions: &[Transition]) -> &'static str {
    let by_time = |transition: &Transition| match transition {
        Transition::Granted { waited_ms, .. } => waited_ms.is_some(),
        Transition::Ended { cause, .. } => *cause != EndCause::Moved,
        Transition::WaitEnded {
            expired, refused, ..
        } => *expired || refused.is_some(),
        Transition::CoolingDown { .. } | Transition::Reserved { .. } => true,
        Transition::Queued { .. }
        | Transition::Renewed { .. }
        | Transition::Draining { .. }
        | Transition::Configured { .. } => false,
    };
    match transitions.iter().all(by_time) {
        true => "expire",
        false => "move",
    }
}

fn lock_values(lock: &LockRef, scratch: &mut String, to: &mut impl Values) {
    to.value(Dimension::Namespace, lock.namespace.as_str());
    scratch.clear();
    scratch.push_str(lock.namespace.as_str());
    scratch.push('/');
    scratch.push_str(lock.lock.as_str());
    to.value(Dimension::Lock, scratch);
}

fn cause_values(cause: &Cause, scratch: &mut String, to: &mut impl Values) {
    to.value(Dimension::Operation, cause.request.operation.as_str());
    principal_values(&cause.principal, to);
    if let Some(decision) = &cause.decision {
        decision_values(decision, scratch, to);
    }
}

fn principal_values(principal: &Principal, to: &mut impl Values) {
    to.value(Dimension::Subject, principal.subject.as_str());
    if let Some(team) = &principal.team {
        to.value(Dimension::Team, team.as_str());
    }
}

fn owner_values(owner: &Owner, to: &mut impl Values) {
    to.value(Dimension::Subject, owner.subject.as_str());
    if let Some(team) = &owner.team {
        to.value(Dimension::Team, team.as_str());
    }
}

fn decision_values(decision: &Decision, scratch: &mut String, to: &mut impl Values) {
    match &decision.effect {
        Effect::Allow => to.value(Dimension::Verdict, "allow"),
        Effect::Override { .. } => {
            to.value(Dimension::Verdict, "allow");
            to.value(Dimension::Verdict, "override");
        }
        Effect::Deny(denial) => {
            to.value(Dimension::Verdict, "deny");
            to.value(Dimension::Verdict, denial.kind.as_str());
        }
    }
    if decision.verdicts.is_empty() {
        return;
    }
    scratch.clear();
    for verdict in &decision.verdicts {
        if verdict.enforcement == Enforcement::Advisory {
            match verdict.answer {
                PolicyAnswer::Allow(_) => {}
                PolicyAnswer::Deny { .. } => to.value(Dimension::Verdict, "advisory_denied"),
                PolicyAnswer::Error { .. } => to.value(Dimension::Verdict, "advisory_error"),
            }
        }
        for (part, end) in [(&verdict.policy, '\t'), (&verdict.version, '\n')] {
            scratch.push_str(part);
            scratch.push(end);
        }
    }
    to.value(Dimension::PolicySet, scratch);
}

/// The values of [`Dimension::Policy`] of a value of [`Dimension::PolicySet`].
pub(crate) fn policies(set: &str) -> impl Iterator<Item = String> {
    set.lines()
        .filter_map(|line| line.split_once('\t'))
        .flat_map(|(policy, version)| [policy.to_owned(), format!("{policy}@{version}")])
}

fn owner(transition: &Transition) -> Option<&Owner> {
    match transition {
        Transition::Granted { owner, .. }
        | Transition::Queued { owner, .. }
        | Transition::Draining { owner, .. }
        | Transition::Ended { owner, .. }
        | Transition::WaitEnded { owner, .. } => Some(owner),
        Transition::Renewed { .. }
        | Transition::CoolingDown { .. }
        | Transition::Reserved { .. }
        | Transition::Configured { .. } => None,
    }
}

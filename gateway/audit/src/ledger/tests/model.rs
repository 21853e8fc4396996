//! What the ledger should answer, computed the slow way.

use std::sync::Arc;

use leasehold_backend_api::HeldUnder;
use leasehold_backend_api::Hold;
use leasehold_backend_api::LedgerQuery;
use leasehold_domain::Cause;
use leasehold_domain::Cursor;
use leasehold_domain::Decision;
use leasehold_domain::Effect;
use leasehold_domain::EndCause;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::Facts;
use leasehold_domain::FencingToken;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::Owner;
use leasehold_domain::PolicyLimits;
use leasehold_domain::Principal;
use leasehold_domain::Renewals;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::RuleDigest;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;
use proptest::prelude::*;
use serde_json::Value;

/// The cursors that match, read from the canonical bytes and not from the domain's types.
pub(super) fn filter(events: &[Arc<Event>], query: &LedgerQuery) -> Vec<u64> {
    let mut found: Vec<u64> = events
        .iter()
        .filter(|event| matches(event, query))
        .map(|event| event.cursor.0)
        .collect();
    if query.descending {
        found.reverse();
    }
    found
}

/// The policies of a decision, as a query names them.
fn policies(decision: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    decision["verdicts"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|one| {
            let (name, version) = (
                text(&one["policy"]).unwrap(),
                text(&one["version"]).unwrap(),
            );
            [name.clone(), format!("{name}@{version}")]
        })
        .collect()
}

/// The verdicts of a decision's advisory policies, as a query names them.
fn advised(decision: &Value) -> Vec<String> {
    decision["verdicts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| one["enforcement"] == "advisory")
        .map(|one| match one["answer"].as_str() {
            Some("deny") => "advisory_denied".to_owned(),
            answer => format!("advisory_{}", answer.unwrap()),
        })
        .collect()
}

fn matches(event: &Event, query: &LedgerQuery) -> bool {
    let mut body = Vec::new();
    crate::canonical::write("test", event, &mut body);
    let body: Value = serde_json::from_slice(&body).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let lock = text(&body["lock"]);
    let namespace = match body["collection"].as_str() {
        Some("namespace") => text(&body["id"]),
        _ => lock
            .as_deref()
            .and_then(|lock| Some(lock.split_once('/')?.0.to_owned())),
    };
    let owners = body["transitions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| &one["owner"]);
    let people: Vec<&Value> = owners
        .chain([&body["cause"]["principal"], &body["principal"]])
        .collect();
    let person = |field| move |asked: &String| people.iter().any(|who| who[field] == **asked);
    let operation = match (&body["kind"], body["cause"].is_null()) {
        (kind, _) if kind == "governance" => "governance".to_owned(),
        (_, true) => unasked(&body["transitions"]).to_owned(),
        _ => text(&body["cause"]["request"]["operation"]).unwrap(),
    };
    let decision = &body["cause"]["decision"];
    let (effect, kind) = (&decision["effect"]["type"], &decision["effect"]["kind"]);
    let policies = policies(decision);
    let advised = advised(decision);
    let after = |after: Cursor| match query.descending {
        true => event.cursor < after,
        false => event.cursor > after,
    };
    query.from.is_none_or(|from| event.wall >= from)
        && query.until.is_none_or(|until| event.wall < until)
        && query.after.is_none_or(after)
        && query
            .namespace
            .as_ref()
            .is_none_or(|asked| namespace.as_ref() == Some(asked))
        && query
            .lock
            .as_ref()
            .is_none_or(|asked| lock.as_ref() == Some(asked))
        && query.subject.as_ref().is_none_or(person.clone()("subject"))
        && query.team.as_ref().is_none_or(person("team"))
        && query
            .operation
            .as_ref()
            .is_none_or(|asked| operation == *asked)
        && query
            .policy
            .as_ref()
            .is_none_or(|asked| policies.contains(asked))
        && query.verdict.as_ref().is_none_or(|asked| {
            effect == &**asked
                || kind == &**asked
                || (asked == "allow" && effect == "override")
                || advised.iter().any(|advice| advice == asked)
        })
}

/// One step of a history of holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// The lock.
    lock: u64,
    /// The wall time.
    wall: u64,
    /// Whether a decision is recorded with it.
    pub(super) judged: bool,
    /// What happens.
    change: Change,
}

/// What happens: another hold, or something to the one that is picked.
#[derive(Debug, Clone, Copy)]
enum Change {
    Grant { waited: bool },
    Renew(usize),
    End(usize),
}

/// A hold, and the decisions under which it stood, in their order.
#[derive(Debug)]
pub(super) struct Held {
    lock: LockRef,
    hold: Hold,
    under: Vec<HeldUnder>,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let change = prop_oneof![
        any::<bool>().prop_map(|waited| Change::Grant { waited }),
        any::<usize>().prop_map(Change::Renew),
        any::<usize>().prop_map(Change::End),
    ];
    (0_u64..2, 0_u64..40, 0..4_u8, change).prop_map(|(lock, wall, judged, change)| Step {
        lock,
        wall,
        judged: judged > 0,
        change,
    })
}

/// Each lock is granted and released, at rising times.
pub(super) fn acquire_and_release(count: usize) -> Vec<Step> {
    let change = |at: usize| match at % 2 {
        0 => Change::Grant { waited: false },
        _ => Change::End(0),
    };
    (0..count)
        .map(|at| Step {
            lock: at as u64 / 2,
            wall: at as u64,
            judged: false,
            change: change(at),
        })
        .collect()
}

/// The events of a history, and its holds in the order of their grants.
pub(super) fn holds(steps: Vec<Step>) -> (Vec<Arc<Event>>, Vec<Held>) {
    let mut history = History::default();
    for step in steps {
        history.take(step);
    }
    (super::number(history.kinds, 1), history.holds)
}

#[derive(Default)]
struct History {
    kinds: Vec<(u64, EventKind)>,
    holds: Vec<Held>,
    open: Vec<usize>,
}

impl History {
    fn take(&mut self, step: Step) {
        match step.change {
            Change::Renew(pick) if !self.open.is_empty() => {
                let picked = self.open[pick % self.open.len()];
                let renewed = Transition::Renewed {
                    handle: self.holds[picked].hold.handle,
                    token: FencingToken(self.holds[picked].hold.token),
                    ttl_ms: 1_000,
                };
                let under = self.tell(step, picked, Operation::Renew, renewed);
                self.holds[picked].under.extend(under);
            }
            Change::End(pick) if !self.open.is_empty() => {
                let picked = self.open.swap_remove(pick % self.open.len());
                let ended = end(&mut self.holds[picked].hold, step.wall);
                self.kinds.push(timed(step, &self.holds[picked], ended));
            }
            Change::Grant { waited: true } => {
                let picked = self.begin(step, 1);
                let hold = &self.holds[picked].hold;
                let queued = Transition::Queued {
                    handle: hold.handle,
                    owner: hold.owner.clone(),
                    mode: hold.mode,
                    position: 0,
                };
                let under = self.tell(step, picked, Operation::Acquire, queued);
                self.holds[picked].under.extend(under);
                let held = &self.holds[picked];
                let granted = grant(&held.hold, Some(3));
                self.kinds.push(timed(step, held, granted));
            }
            Change::Grant { .. } | Change::Renew(_) | Change::End(_) => {
                let picked = self.begin(step, 0);
                let granted = grant(&self.holds[picked].hold, None);
                let under = self.tell(step, picked, Operation::Acquire, granted);
                self.holds[picked].under.extend(under);
            }
        }
    }

    /// Another hold, which the event after so many others will grant.
    fn begin(&mut self, step: Step, others: u64) -> usize {
        let cursor = self.kinds.len() as u64 + 1 + others;
        self.open.push(self.holds.len());
        self.holds.push(granted(cursor, step));
        self.holds.len() - 1
    }

    /// An event that the holder asked for; the decision in it, if it has one.
    fn tell(
        &mut self,
        step: Step,
        picked: usize,
        operation: Operation,
        transition: Transition,
    ) -> Option<HeldUnder> {
        let held = &self.holds[picked];
        let decided_by = Cursor(self.kinds.len() as u64 + 1);
        let decision = step.judged.then(|| Arc::new(decision(decided_by.0)));
        let lock = held.lock.clone();
        let cause = Cause {
            request_id: held.hold.request_id.parse().unwrap(),
            received: WallMillis(step.wall),
            principal: Arc::new(Principal {
                subject: held.hold.owner.subject.clone(),
                team: None,
                roles: RoleSet::default(),
                claims: [].into(),
            }),
            request: Request::new(operation, lock.clone()),
            decision: decision.clone(),
        };
        let kind = EventKind::Lock {
            lock,
            cause: Some(Arc::new(cause)),
            transitions: vec![transition],
        };
        self.kinds.push((step.wall, kind));
        decision.map(|decision| HeldUnder {
            decided_by,
            since: WallMillis(step.wall),
            decision,
        })
    }
}

fn decision(id: u64) -> Decision {
    Decision {
        id: id.into(),
        effect: Effect::Allow,
        facts: Facts {
            now: WallMillis(0),
            lock: None,
            usage: None,
        },
        verdicts: Vec::new(),
        limits: PolicyLimits::default(),
        bindings_revision: id,
        rule: Some(RuleDigest(id.to_be_bytes())),
    }
}

/// An event that nobody asked for.
fn timed(step: Step, held: &Held, transition: Transition) -> (u64, EventKind) {
    let kind = EventKind::Lock {
        lock: held.lock.clone(),
        cause: None,
        transitions: vec![transition],
    };
    (step.wall, kind)
}

fn granted(cursor: u64, step: Step) -> Held {
    let name = match step.lock {
        0 => "a/x".to_owned(),
        1 => "a/y".to_owned(),
        other => format!("a/{other}"),
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&cursor.to_le_bytes());
    let hold = Hold {
        handle: LeaseId::from_bytes(bytes).handle(),
        owner: Owner {
            subject: format!("subject-{}", cursor % 1_000).parse().unwrap(),
            team: None,
            instance: None,
            labels: [].into(),
            value: None,
            reason: None,
        },
        mode: Mode::Shared { permits: 1 },
        token: cursor,
        from: WallMillis(step.wall),
        until: None,
        end: None,
        granted_by: Cursor(cursor),
        request_id: format!("request-{cursor}"),
        under: None,
    };
    Held {
        lock: name.parse().unwrap(),
        hold,
        under: Vec::new(),
    }
}

fn grant(hold: &Hold, waited_ms: Option<u64>) -> Transition {
    Transition::Granted {
        handle: hold.handle,
        owner: hold.owner.clone(),
        mode: hold.mode,
        token: FencingToken(hold.token),
        ttl_ms: 1_000,
        waited_ms,
        request_id: hold.request_id.parse().unwrap(),
    }
}

fn end(hold: &mut Hold, wall: u64) -> Transition {
    hold.until = Some(WallMillis(wall));
    hold.end = Some("expired".to_owned());
    Transition::Ended {
        handle: hold.handle,
        owner: hold.owner.clone(),
        mode: hold.mode,
        token: FencingToken(hold.token),
        cause: EndCause::Expired,
        since: hold.from,
        held_ms: wall.saturating_sub(hold.from.0),
        late_ms: 0,
        renewals: Renewals::default(),
    }
}

/// The holds of a lock that covered the moment, with the rule of that moment: of the last renewal
/// by then, else of the acquire.
pub(super) fn holders(holds: &[Held], lock: &LockRef, at: u64) -> Vec<Hold> {
    holds
        .iter()
        .filter(|held| held.lock == *lock)
        .filter(|held| {
            let hold = &held.hold;
            let span = hold.from.0..hold.until.map_or(u64::MAX, |until| until.0);
            hold.from.0 == at || span.contains(&at)
        })
        .map(|held| {
            let granted_by = held.hold.granted_by;
            let in_force =
                |under: &&HeldUnder| under.since.0 <= at || under.decided_by <= granted_by;
            Hold {
                under: held.under.iter().rfind(in_force).cloned(),
                ..held.hold.clone()
            }
        })
        .collect()
}

/// Whether time alone did it.
fn unasked(transitions: &Value) -> &'static str {
    let by_time = |t: &Value| match t["type"].as_str() {
        Some("granted") => !t["waited_ms"].is_null(),
        Some("ended") => t["cause"] != "moved",
        Some("wait-ended") => t["expired"] == true || !t["refused"].is_null(),
        Some("cooling-down" | "reserved") => true,
        _ => false,
    };
    match transitions.as_array().into_iter().flatten().all(by_time) {
        true => "expire",
        false => "move",
    }
}

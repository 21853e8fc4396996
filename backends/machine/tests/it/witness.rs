//! Somebody who knows nothing of the machine's insides: it believes what outcomes promise and
//! what events tell, and complains when they contradict the promises of the README.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use leasehold_domain::Action;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::EndCause;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::LeaseHandle;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use leasehold_domain::Mode;
use leasehold_domain::Outcome;
use leasehold_domain::RuleDigest;
use leasehold_domain::Transition;
use leasehold_domain::limits::WAITER_SLACK_MS;

#[derive(Debug)]
struct Held {
    mode: Mode,
    /// No end by time up to this: the latest that any answer promised. What happens when a clock
    /// shows this may have been stamped in a later part of its millisecond.
    promised: u64,
    draining: bool,
    owner: String,
    /// The acquires that were answered with it, and not cancelled since.
    answered: Vec<LeaseId>,
    /// The rule that events say it is held under.
    rule: Option<RuleDigest>,
}

#[derive(Debug, Default)]
struct Seen {
    held: BTreeMap<LeaseHandle, Held>,
    /// In the order in which they were told to have entered.
    queue: Vec<(LeaseHandle, String)>,
    /// Until when each waiter is polled; none if a cancelled poll leaves that open.
    polled: BTreeMap<LeaseHandle, Option<u64>>,
    /// Under which rule those who ever waited entered the queue.
    queued: BTreeMap<LeaseHandle, Option<RuleDigest>>,
    limit: Option<u32>,
    token: u64,
    cooling_until: u64,
    /// Those to whom somebody handed over: they may be served before their turn.
    successors: BTreeSet<String>,
}

/// What has been seen of all locks so far.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    locks: BTreeMap<LockRef, Seen>,
    cursor: u64,
}

/// The rule of a decision.
fn rule(cause: &Cause) -> Option<RuleDigest> {
    cause.decision.as_ref().and_then(|decision| decision.rule)
}

impl Witness {
    /// Events come one after another, without gaps.
    pub(crate) fn see(&mut self, event: &Event) {
        self.cursor += 1;
        assert_eq!(event.cursor.0, self.cursor, "cursors are dense");
        let EventKind::Lock {
            lock,
            cause,
            transitions,
        } = &event.kind
        else {
            return;
        };
        let rule = cause.as_deref().and_then(rule);
        assert!(!transitions.is_empty(), "an event tells something");
        let seen = self.locks.entry(lock.clone()).or_default();
        let before = seen.token;
        for transition in transitions {
            seen.follow(transition, event.now.0, before, rule);
        }
    }

    /// A command is on its way.
    pub(crate) fn expect(&mut self, command: &Command) {
        if let Action::Transfer { to, .. } = &command.action {
            let seen = self.locks.entry(command.lock.clone()).or_default();
            seen.successors.insert(to.to_string());
        }
        if let (Action::CancelWait { lease_id }, Some(cause)) = (&command.action, &command.cause) {
            let seen = self.locks.entry(command.lock.clone()).or_default();
            let by = cause.principal.subject.as_str();
            for held in seen.held.values_mut().filter(|held| held.owner == by) {
                held.answered.retain(|drawn| drawn != lease_id);
            }
            for (handle, _) in seen.queue.iter().filter(|(_, owner)| owner == by) {
                seen.polled.insert(*handle, None);
            }
        }
    }

    /// An answer that promises a lease for some time.
    pub(crate) fn hear(&mut self, command: &Command, outcome: &Outcome, now: u64) {
        if let Outcome::Queued {
            lease_id,
            wait_remaining_ms,
            ..
        } = outcome
        {
            let seen = self.locks.entry(command.lock.clone()).or_default();
            let until = (now + wait_remaining_ms).saturating_sub(WAITER_SLACK_MS);
            seen.polled.insert(lease_id.handle(), Some(until));
        }
        let (Outcome::Granted(grant) | Outcome::Renewed(grant)) = outcome else {
            return;
        };
        let seen = self.locks.entry(command.lock.clone()).or_default();
        let held = seen.held.get_mut(&grant.lease_id.handle());
        let held = held.expect("a promised lease is held");
        held.promised = held.promised.max(now.saturating_add(grant.remaining_ms));
        if let Action::Acquire { lease_id, .. } | Action::AcquireOnce { lease_id, .. } =
            &command.action
        {
            held.answered.push(*lease_id);
        }
        // The events alone say under which rule it is held, after every renewal.
        let judged = command.cause.as_deref().and_then(rule);
        if judged.is_some() && matches!(outcome, Outcome::Renewed(_)) {
            assert_eq!(held.rule, judged, "renewed unseen under another rule");
        }
    }

    /// The view says the same as the events, and nobody who is there waits in vain.
    pub(crate) fn look(&self, view: &LockView, now: u64) {
        let seen = self.locks.get(&view.lock);
        let handles: Vec<_> = view.holders.iter().map(|h| h.handle).collect();
        let queue: Vec<_> = view.queue.iter().map(|w| w.handle).collect();
        let Some(seen) = seen else {
            assert!(handles.is_empty() && queue.is_empty());
            return;
        };
        assert_eq!(handles.len(), seen.held.len());
        assert!(handles.iter().all(|handle| seen.held.contains_key(handle)));
        let told: Vec<_> = seen.queue.iter().map(|(handle, _)| *handle).collect();
        assert_eq!(queue, told, "the queue is in the order of arrival");
        if view.cooldown_remaining_ms == 0 && view.reserved_for.is_none() {
            let mut could = view.queue.iter().take_while(|w| seen.admits(w.mode));
            let in_vain = could.find(|w| seen.is_polled(w.handle, now));
            assert_eq!(in_vain, None, "waits in vain: {view:#?}");
        }
    }
}

impl Seen {
    fn admits(&self, mode: Mode) -> bool {
        let limit = u64::from(self.limit.unwrap_or(leasehold_domain::limits::PERMITS_MAX));
        let permits = |mode| match mode {
            Mode::Exclusive => limit,
            Mode::Shared { permits } => u64::from(permits),
        };
        let exclusive = self.held.values().any(|held| held.mode == Mode::Exclusive);
        let taken: u64 = self.held.values().map(|held| permits(held.mode)).sum();
        match mode {
            Mode::Exclusive => self.held.is_empty(),
            Mode::Shared { permits } => !exclusive && taken + u64::from(permits) <= limit,
        }
    }

    fn follow(
        &mut self,
        transition: &Transition,
        now: u64,
        token_before: u64,
        rule: Option<RuleDigest>,
    ) {
        match transition {
            Transition::Granted { .. } => self.granted(transition, now, token_before, rule),
            Transition::Queued {
                handle,
                owner,
                position,
                ..
            } => {
                assert_eq!(
                    *position as usize,
                    self.queue.len(),
                    "first come, first served"
                );
                self.queue.push((*handle, owner.subject.to_string()));
                self.queued.insert(*handle, rule);
            }
            Transition::Draining {
                handle,
                remaining_ms,
                ..
            } => {
                let held = self.held.get_mut(handle).expect("only holders drain");
                let end = now.saturating_add(*remaining_ms);
                let later = if held.draining { held.promised } else { end };
                assert!(end <= later, "a drain never gets longer");
                held.draining = true;
                held.promised = end;
            }
            Transition::Ended { handle, cause, .. } => self.end(*handle, *cause, now),
            Transition::WaitEnded { handle, .. } => {
                self.queue.retain(|(waiter, _)| waiter != handle);
            }
            Transition::CoolingDown { remaining_ms } => {
                self.cooling_until = now + remaining_ms;
            }
            Transition::Configured { settings } => self.limit = Some(settings.limit),
            Transition::Renewed { handle, .. } => {
                let held = self.held.get_mut(handle).expect("only holders renew");
                held.rule = rule.or(held.rule);
            }
            Transition::Reserved { .. } => {}
        }
    }

    fn granted(
        &mut self,
        transition: &Transition,
        now: u64,
        token_before: u64,
        rule: Option<RuleDigest>,
    ) {
        let Transition::Granted {
            handle,
            owner,
            mode,
            token,
            ttl_ms,
            waited_ms,
            ..
        } = transition
        else {
            return;
        };
        assert!(self.admits(*mode), "{mode:?} beside {:?}", self.held);
        assert!(token.0 > token_before, "a later grant has a greater token");
        assert!(token.0 >= self.token);
        assert!(now >= self.cooling_until, "granted while cooling down");
        self.token = token.0;
        let owner = owner.subject.to_string();
        self.take_turn(*handle, &owner, waited_ms.is_some(), now);
        let held = Held {
            mode: *mode,
            promised: now.saturating_add(*ttl_ms),
            draining: false,
            owner,
            answered: vec![],
            rule: match waited_ms {
                Some(_) => self.queued[handle],
                None => rule,
            },
        };
        assert!(self.held.insert(*handle, held).is_none(), "granted twice");
    }

    fn end(&mut self, handle: LeaseHandle, cause: EndCause, now: u64) {
        let held = self.held.remove(&handle).expect("only holders end");
        match cause {
            EndCause::Expired | EndCause::HeldTooLong => {
                assert!(now > held.promised, "ended early: {held:?} at {now}");
            }
            // The holder itself, or somebody who may cut even a drain short.
            EndCause::Released | EndCause::Revoked | EndCause::Transferred => {}
            EndCause::GivenBack => {
                assert!(held.answered.is_empty(), "taken from somebody: {held:?}");
            }
            EndCause::Unknown | EndCause::Moved => panic!("nothing ends so"),
        }
    }

    fn is_polled(&self, handle: LeaseHandle, now: u64) -> bool {
        let until = self.polled.get(&handle).copied().flatten();
        until.is_some_and(|until| until >= now)
    }

    /// Nobody is served before those who came first and are there, except a successor.
    fn take_turn(&mut self, handle: LeaseHandle, subject: &str, waited: bool, now: u64) {
        let place = self.queue.iter().position(|(waiter, _)| *waiter == handle);
        assert_eq!(waited, place.is_some(), "who waited stood in the queue");
        let before = &self.queue[..place.unwrap_or(self.queue.len())];
        let overtakes = before.iter().any(|(other, _)| self.is_polled(*other, now));
        assert!(
            !overtakes || self.successors.contains(subject),
            "{subject} overtook"
        );
        if let Some(place) = place {
            self.queue.remove(place);
        }
    }
}

//! The rules of locking once more, in the simplest way: one list of entries for each lock,
//! searched from the front, without fast paths, indexes, tokens or events. The witness checks
//! those. A lease or a wait is over when the clock shows more than its end.

use std::collections::BTreeMap;

use leasehold_domain::Action;
use leasehold_domain::Command;
use leasehold_domain::EndCause;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::Mode;
use leasehold_domain::Rejection;
use leasehold_domain::RevokeTarget;
use leasehold_domain::limits;
use leasehold_machine::RESERVATION_MS_MAX;

use crate::answer::Answer;

#[derive(Debug, Clone)]
struct Entry {
    id: LeaseId,
    who: String,
    request: String,
    mode: Mode,
    ttl: u64,
    cap: Option<u64>,
    /// The end of the wait, or of the lease.
    until: u64,
    /// Since when it holds; none while it waits.
    since: Option<u64>,
    drain: Option<Drain>,
    /// The acquires that may still want it, with the end of their polls.
    claims: Vec<(LeaseId, u64)>,
    /// Whether there were too many to know them all.
    crowded: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Drain {
    Revoked,
    To(String),
}

#[derive(Debug, Clone)]
pub(crate) struct Lock {
    entries: Vec<Entry>,
    limit: u32,
    cooldown: u64,
    cooling: u64,
    reserved: Vec<(String, u64)>,
    ended: Vec<(LeaseId, String, u64, EndCause)>,
    /// Requests whose leases have ended: who, which, when, how.
    past: Vec<(String, String, u64, EndCause)>,
    /// The waiter whose client asks just now.
    asking: Option<LeaseId>,
}

impl Default for Lock {
    fn default() -> Self {
        Self {
            entries: vec![],
            limit: limits::PERMITS_MAX,
            cooldown: 0,
            cooling: 0,
            reserved: vec![],
            ended: vec![],
            past: vec![],
            asking: None,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) locks: BTreeMap<LockRef, Lock>,
}

impl Model {
    pub(crate) fn each(&mut self, command: &Command, now: u64) -> Answer {
        self.run(command, now, true)
    }

    pub(crate) fn together(&mut self, commands: &[Command], now: u64) -> Vec<Answer> {
        let before = self.clone();
        let answers: Vec<_> = commands.iter().map(|c| self.run(c, now, false)).collect();
        let fine = |a: &Answer| matches!(a, Answer::Granted(..));
        if answers.iter().all(fine) {
            return answers;
        }
        *self = before;
        let told = |a| if fine(&a) { Answer::NotAttempted } else { a };
        answers.into_iter().map(told).collect()
    }

    pub(crate) fn tick(&mut self, now: u64) {
        for lock in self.locks.values_mut() {
            lock.pass(now);
            lock.promote(now);
        }
    }

    fn run(&mut self, command: &Command, now: u64, queueing: bool) -> Answer {
        let lock = self.locks.entry(command.lock.clone()).or_default();
        lock.pass(now);
        let answer = lock.work(command, now, queueing);
        lock.promote(now);
        lock.asking = None;
        // Who holds and waits is told as it is at the end of the step.
        match answer {
            Answer::Held(..) => lock.held(now),
            answer => answer,
        }
    }
}

impl Lock {
    /// Holders with what remains to them, then waiters in order.
    pub(crate) fn shape(&self, now: u64) -> (Vec<(LeaseId, u64, bool)>, Vec<LeaseId>) {
        let held = self.entries.iter().filter(|e| e.since.is_some());
        let held = held.map(|e| (e.id, e.until.saturating_sub(now), e.drain.is_some()));
        let waiting = self.entries.iter().filter(|e| e.since.is_none());
        (held.collect(), waiting.map(|e| e.id).collect())
    }

    fn held(&self, now: u64) -> Answer {
        let holding = self.entries.iter().filter(|e| e.since.is_some()).count();
        let waiting = (self.entries.len() - holding) as u32;
        let to = self.reserved.first().map(|(to, _)| to.clone());
        Answer::Held(holding, waiting, self.cooling.saturating_sub(now), to)
    }

    fn pass(&mut self, now: u64) {
        self.reserved.retain(|(_, until)| *until > now);
        let memory = limits::ENDED_LEASE_MEMORY_MS;
        self.ended.retain(|(_, _, at, _)| at + memory > now);
        self.past.retain(|(_, _, at, _)| at + memory > now);
        if self.cooling <= now {
            self.cooling = 0;
        }
        let over = |e: &Entry| e.until < now && e.since.is_some();
        while let Some(at) = {
            let due = self.entries.iter().enumerate().filter(|(_, e)| over(e));
            due.min_by_key(|(_, e)| e.until).map(|(at, _)| at)
        } {
            let entry = &self.entries[at];
            let end = entry.since.zip(entry.cap).map(|(since, cap)| since + cap);
            let cause = match &entry.drain {
                Some(Drain::Revoked) => EndCause::Revoked,
                Some(Drain::To(_)) => EndCause::Transferred,
                None if end.is_some_and(|end| entry.until >= end) => EndCause::HeldTooLong,
                None => EndCause::Expired,
            };
            self.end(at, cause, now);
        }
        self.entries.retain(|e| e.until >= now);
    }

    fn end(&mut self, at: usize, cause: EndCause, now: u64) {
        let entry = self.entries.remove(at);
        if matches!(cause, EndCause::Expired | EndCause::HeldTooLong) && self.cooldown > 0 {
            let until = entry.until + 1 + self.cooldown;
            if until > now {
                self.cooling = self.cooling.max(until);
            }
        }
        if let Some(Drain::To(to)) = &entry.drain
            && cause != EndCause::Revoked
        {
            let until = now + entry.ttl.min(RESERVATION_MS_MAX);
            match self.reserved.iter_mut().find(|(whom, _)| whom == to) {
                Some((_, standing)) => *standing = until.max(*standing),
                None => self.reserved.push((to.clone(), until)),
            }
        }
        if cause != EndCause::GivenBack {
            self.past
                .push((entry.who.clone(), entry.request, now, cause));
        }
        self.ended.push((entry.id, entry.who, now, cause));
        if self.ended.len() > limits::ENDED_LEASES_PER_LOCK_MAX {
            self.ended.remove(0);
        }
    }

    fn promote(&mut self, now: u64) {
        loop {
            let named = |who: &String| self.reserved.iter().any(|(to, _)| to == who);
            let in_turn = |e: &Entry| self.reserved.is_empty() || named(&e.who);
            let here =
                |e: &Entry| self.asking == Some(e.id) || e.until >= now + limits::WAITER_SLACK_MS;
            let could = |e: &Entry| self.cooling == 0 && self.fits(e.mode);
            let waiting = self.entries.iter().enumerate();
            let waiting = waiting.filter(|(_, e)| e.since.is_none() && in_turn(e));
            // Up to the first that must wait, whoever is not here is passed over.
            let mut able = waiting.take_while(|(_, e)| could(e));
            let next = able.find(|(_, e)| here(e)).map(|(at, _)| at);
            let Some(at) = next else { return };
            let mut entry = self.entries.remove(at);
            entry.since = Some(now);
            entry.claims.retain(|(_, until)| *until >= now);
            entry.until = now + entry.ttl.min(entry.cap.unwrap_or(u64::MAX));
            if let Some(at) = self.reserved.iter().position(|(to, _)| *to == entry.who) {
                self.reserved.remove(at);
            }
            let holding = self.entries.iter().filter(|e| e.since.is_some()).count();
            self.entries.insert(holding, entry);
        }
    }

    fn fits(&self, mode: Mode) -> bool {
        let holding = self.entries.iter().filter(|e| e.since.is_some());
        let mut taken = 0;
        for entry in holding {
            match (entry.mode, mode) {
                (Mode::Shared { permits }, Mode::Shared { .. }) => taken += permits,
                _ => return false,
            }
        }
        match mode {
            Mode::Exclusive => true,
            Mode::Shared { permits } => taken + permits <= self.limit,
        }
    }

    fn work(&mut self, command: &Command, now: u64, queueing: bool) -> Answer {
        let Some(cause) = &command.cause else {
            return Answer::Ticked;
        };
        let who = cause.principal.subject.to_string();
        match &command.action {
            Action::Acquire {
                lease_id,
                mode,
                ttl_ms,
                wait_ms,
                max_hold_ms,
            }
            | Action::AcquireOnce {
                lease_id,
                mode,
                ttl_ms,
                wait_ms,
                max_hold_ms,
            } => {
                let once = matches!(command.action, Action::AcquireOnce { .. });
                let entry = Entry {
                    id: *lease_id,
                    who,
                    request: cause.request_id.to_string(),
                    mode: *mode,
                    ttl: *ttl_ms,
                    cap: *max_hold_ms,
                    until: now,
                    since: None,
                    drain: None,
                    claims: vec![],
                    crowded: false,
                };
                self.acquire((entry, once), wait_ms.filter(|_| queueing), now)
            }
            Action::Configure(settings) => {
                self.limit = settings.limit;
                self.cooldown = settings.cooldown_ms;
                let oversized = |e: &Entry| matches!(e.mode, Mode::Shared { permits } if permits > settings.limit);
                self.entries.retain(|e| e.since.is_some() || !oversized(e));
                Answer::Configured
            }
            Action::Revoke { target, grace_ms } => self.revoke(target, *grace_ms, now),
            Action::Tick => Answer::Ticked,
            Action::CancelWait { lease_id } => self.cancel(lease_id, &who, now),
            Action::Renew { lease_id, .. }
            | Action::Release { lease_id }
            | Action::ReleaseWithCooldown { lease_id, .. }
            | Action::Transfer { lease_id, .. } => {
                match self.entries.iter().position(|e| e.id == *lease_id) {
                    Some(at) if self.entries[at].who != who => Answer::NotHolder,
                    Some(at) => self.of_own(at, &command.action, now),
                    None => self.of_ended(lease_id, &who, &command.action),
                }
            }
            _ => panic!("the model's namespace is not moved"),
        }
    }

    fn acquire(&mut self, (mut new, once): (Entry, bool), wait: Option<u64>, now: u64) -> Answer {
        let over = |(who, request, ..): &&(String, String, u64, EndCause)| {
            once && *who == new.who && *request == new.request
        };
        let over = self.past.iter().rev().find(over).map(|(.., cause)| *cause);
        let drawn = new.id;
        let wait_until = now + wait.unwrap_or(0) + limits::WAITER_SLACK_MS;
        let same = |e: &&mut Entry| e.who == new.who && e.request == new.request;
        let mut repeated = false;
        let (id, added) = match self.entries.iter_mut().find(same) {
            Some(old) if old.mode != new.mode => {
                return Answer::Rejected(Rejection::RequestIdReused);
            }
            Some(old) => {
                repeated = old.since.is_some();
                if repeated {
                    old.claim(new.id, 0);
                } else if wait.is_some() {
                    old.claims.retain(|(_, until)| *until >= now);
                    old.claim(new.id, wait_until);
                    old.until = old.until.max(wait_until);
                }
                (old.id, false)
            }
            None => {
                if let Some(cause) = over {
                    return Answer::Lost(cause);
                }
                if matches!(new.mode, Mode::Shared { permits } if permits > self.limit) {
                    return Answer::Rejected(Rejection::TooManyPermits);
                }
                new.until = wait_until;
                new.claims = vec![(new.id, wait_until)];
                let id = new.id;
                self.entries.push(new);
                (id, true)
            }
        };
        self.asking = Some(id);
        self.promote(now);
        let found = self.entries.iter_mut().find(|e| e.id == id).unwrap();
        if found.since.is_some() {
            found.claim(drawn, 0);
            return Answer::Granted(id, found.until - now, repeated);
        }
        if wait.is_none() {
            if added {
                self.entries.retain(|e| e.id != id);
            }
            return self.held(now);
        }
        let mut waiting = self.entries.iter().filter(|e| e.since.is_none());
        Answer::Queued(id, waiting.position(|e| e.id == id).unwrap() as u32)
    }

    fn revoke(&mut self, target: &RevokeTarget, grace: u64, now: u64) -> Answer {
        let meant = |e: &Entry| match target {
            RevokeTarget::All => true,
            RevokeTarget::Lease(handle) => e.id.handle() == *handle,
            RevokeTarget::Subject(subject) => e.who == subject.as_str(),
        };
        let mut count = 0;
        for at in (0..self.entries.len()).rev() {
            let entry = &mut self.entries[at];
            if entry.since.is_none() || !meant(entry) {
                continue;
            }
            count += 1;
            if grace > 0 {
                entry.start_drain(Drain::Revoked, grace, now);
            }
        }
        while grace == 0
            && let Some(at) = self
                .entries
                .iter()
                .position(|e| e.since.is_some() && meant(e))
        {
            self.end(at, EndCause::Revoked, now);
        }
        Answer::Revoked(count)
    }

    fn of_own(&mut self, at: usize, action: &Action, now: u64) -> Answer {
        let entry = &mut self.entries[at];
        let Some(since) = entry.since else {
            return match action {
                Action::Release { .. } | Action::ReleaseWithCooldown { .. } => {
                    self.entries.remove(at);
                    Answer::Released
                }
                _ => Answer::Lost(EndCause::Unknown),
            };
        };
        match action {
            Action::Renew { .. } if entry.drain.is_some() => Answer::Draining(entry.until - now),
            Action::Renew {
                ttl_ms,
                max_hold_ms,
                ..
            } => {
                entry.ttl = ttl_ms.unwrap_or(entry.ttl);
                entry.cap = max_hold_ms.or(entry.cap);
                let end = since + entry.cap.unwrap_or(1 << 40);
                entry.until = entry.until.max((now + entry.ttl).min(end));
                Answer::Renewed(entry.until - now)
            }
            Action::Transfer { to, grace_ms, .. } => {
                if entry.drain == Some(Drain::Revoked) {
                    return Answer::Draining(entry.until - now);
                }
                entry.start_drain(Drain::To(to.to_string()), *grace_ms, now);
                let left = entry.until - now;
                if *grace_ms == 0 {
                    self.end(at, EndCause::Transferred, now);
                }
                Answer::Transferring(left)
            }
            other => {
                let drains = entry.drain.is_some();
                let end = entry.cap.map_or(u64::MAX, |cap| since + cap);
                self.end(at, EndCause::Released, now);
                if let (false, Action::ReleaseWithCooldown { cooldown_ms, .. }) = (drains, other) {
                    let until = (now + cooldown_ms).min(end);
                    if until > now {
                        self.cooling = self.cooling.max(until);
                    }
                }
                Answer::Released
            }
        }
    }

    fn cancel(&mut self, drawn: &LeaseId, who: &str, now: u64) -> Answer {
        let claimed = |e: &Entry| e.claims.iter().any(|(id, _)| id == drawn);
        let Some(at) = self.entries.iter().position(claimed) else {
            let same = self.entries.iter().find(|e| e.id == *drawn);
            let ended = self.ended.iter().find(|(ended, ..)| ended == drawn);
            let owner = same.map(|e| &e.who).or(ended.map(|(_, owner, ..)| owner));
            return match owner.is_none_or(|owner| owner == who) {
                true => Answer::Cancelled,
                false => Answer::NotHolder,
            };
        };
        let entry = &mut self.entries[at];
        if entry.who != who {
            return Answer::NotHolder;
        }
        let waits = entry.since.is_none();
        let stands = |(id, until): &(LeaseId, u64)| id != drawn && (!waits || *until >= now);
        entry.claims.retain(stands);
        if !entry.claims.is_empty() || entry.crowded {
            if waits && !entry.crowded {
                entry.until = entry.claims.iter().map(|(_, until)| *until).max().unwrap();
            }
        } else if waits {
            self.entries.remove(at);
        } else {
            self.end(at, EndCause::GivenBack, now);
        }
        Answer::Cancelled
    }

    fn of_ended(&self, id: &LeaseId, who: &str, action: &Action) -> Answer {
        let ended = self.ended.iter().find(|(ended, ..)| ended == id);
        let cause = match ended {
            Some((_, owner, ..)) if owner != who => return Answer::NotHolder,
            Some((.., cause)) => *cause,
            None => EndCause::Unknown,
        };
        match (action, cause) {
            (
                Action::Release { .. } | Action::ReleaseWithCooldown { .. },
                EndCause::Released | EndCause::GivenBack,
            ) => Answer::Released,
            (Action::Transfer { .. }, EndCause::Transferred) => Answer::Transferring(0),
            _ => Answer::Lost(cause),
        }
    }
}

impl Entry {
    fn claim(&mut self, drawn: LeaseId, until: u64) {
        let full = self.claims.len() == limits::CLAIMS_PER_LEASE_MAX;
        match self.claims.iter_mut().find(|(id, _)| *id == drawn) {
            Some((_, standing)) => *standing = until.max(*standing),
            None if full => self.crowded = true,
            None => self.claims.push((drawn, until)),
        }
    }

    fn start_drain(&mut self, drain: Drain, grace: u64, now: u64) {
        let cap = self
            .cap
            .map_or(1 << 40, |cap| self.since.unwrap_or(0) + cap);
        let until = (now + grace).min(cap).max(now);
        self.until = match self.drain {
            Some(_) => until.min(self.until),
            None => until,
        };
        self.drain = Some(drain);
    }
}

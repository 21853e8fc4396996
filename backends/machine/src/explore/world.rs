//! The small world: the store, what each client knows of each lock, and what can happen next.

mod command;
mod poll;

use std::sync::Arc;

use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Digest;
use leasehold_domain::Event;
use leasehold_domain::FeatureLevel;
use leasehold_domain::FencingToken;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::LockSettings;
use leasehold_domain::Millis;
use leasehold_domain::Mode;
use leasehold_domain::Outcome;
use leasehold_domain::Renewals;
use leasehold_domain::RevokeTarget;
use leasehold_domain::WallMillis;
use leasehold_stored::Formed;
use serde::Serialize;

use crate::LockRecord;
use crate::Moment;
use crate::State;
use crate::state::map_records;

pub(super) use self::command::counter;

const UNIT_MS: u64 = 1_000;
/// One step of time: what lasts for some units is over after as many steps.
const STEP_MS: u64 = UNIT_MS + 1;
const TTL_MS: u64 = 2 * UNIT_MS;
/// A waiter is there for one unit, and keeps its place for its slack: two more.
const WAIT_MS: u64 = UNIT_MS;
/// How often one request is made again in the search.
const ASKS_MAX: u8 = 2;
/// How many requests a client makes of a lock, one after the other.
const ATTEMPTS_MAX: u8 = 2;

/// What a client knows of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Knows {
    /// It wants nothing.
    Idle,
    /// It asked and has no lease yet, as far as it knows.
    Asked,
    /// It was promised the lease up to then; 0 if it does not rely on it any more.
    Holds(LeaseId, u64),
}

/// A client, with what it knows of each lock, and how often it asked.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) mode: Mode,
    pub(super) knows: Vec<Knows>,
    pub(super) attempts: Vec<u8>,
    pub(super) asks: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) now: u64,
    pub(super) state: State,
    pub(super) clients: Vec<Client>,
    /// The maximum of the counter that every lease carries.
    pub(super) counted: Option<u32>,
    /// How often somebody may still interfere: revoke, transfer or release with a cooldown.
    interferences: u8,
    /// Those that were not cancelled.
    pub(super) polls: Vec<Poll>,
    /// How it came to this.
    pub(super) story: Vec<Step>,
    /// Events of the last step, and the queues before it.
    pub(super) told: Vec<Event>,
    pub(super) queues: Vec<Vec<LeaseId>>,
    pub(super) tokens: Vec<FencingToken>,
}

/// A waiting acquire that hangs on a gateway. The gateway cancels it when its client has gone, which
/// may be at any time, also after the client has asked again elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Poll {
    pub(super) client: usize,
    pub(super) lock: usize,
    pub(super) drawn: LeaseId,
    /// The gateway has given its client the lease: it will not cancel any more.
    pub(super) answered: bool,
}

/// Something that happens. Most are (client, lock, whether the answer is lost).
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Time,
    Tick,
    Try(usize, usize, bool),
    Wait(usize, usize, bool),
    Both(usize, bool),
    Renew(usize, usize, bool),
    Release(usize, usize, bool),
    /// A release whose cooldown lasts for one unit.
    ReleaseWithCooldown(usize, usize),
    /// The client stops wanting the lock, without a word.
    Leave(usize, usize),
    /// The gateway cancels this poll.
    HangUp(usize),
    Transfer(usize, usize, u64),
    Revoke(usize, u64),
}

pub(super) fn lock(index: usize) -> LockRef {
    format!("demo/{index}").parse().unwrap()
}

impl World {
    pub(super) fn new(
        modes: &[Mode],
        locks: usize,
        cooldown_ms: u64,
        counted: Option<u32>,
    ) -> Self {
        let client = |mode: &Mode| Client {
            mode: *mode,
            knows: vec![Knows::Idle; locks],
            attempts: vec![0; locks],
            asks: vec![0; locks],
        };
        let mut world = Self {
            now: 0,
            state: State::default(),
            clients: modes.iter().map(client).collect(),
            counted,
            interferences: 1,
            polls: Vec::new(),
            story: Vec::new(),
            told: Vec::new(),
            queues: vec![Vec::new(); locks],
            tokens: vec![FencingToken(0); locks],
        };
        for index in 0..locks {
            let settings = LockSettings {
                limit: 2,
                cooldown_ms,
                description: Box::default(),
            };
            world.ask(0, "op", index, Action::Configure(settings));
        }
        world
    }

    /// All that can happen next.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = vec![Step::Time];
        if self
            .state
            .next_deadline()
            .is_some_and(|due| due.0 <= self.now)
        {
            steps.push(Step::Tick);
        }
        for (c, client) in self.clients.iter().enumerate() {
            let idle = |l: usize| client.knows[l] == Knows::Idle;
            if client.knows.len() > 1
                && idle(0)
                && idle(1)
                && client.may_ask(0)
                && client.may_ask(1)
            {
                steps.extend([Step::Both(c, false), Step::Both(c, true)]);
            }
            for (l, knows) in client.knows.iter().enumerate() {
                for lost in [false, true] {
                    match knows {
                        Knows::Holds(..) => {
                            steps.extend([Step::Renew(c, l, lost), Step::Release(c, l, lost)]);
                        }
                        Knows::Asked | Knows::Idle => {}
                    }
                    if !matches!(knows, Knows::Holds(..)) && client.may_ask(l) {
                        steps.extend([Step::Try(c, l, lost), Step::Wait(c, l, lost)]);
                    }
                }
                if *knows == Knows::Asked {
                    steps.push(Step::Leave(c, l));
                }
                if self.interferences > 0 && matches!(knows, Knows::Holds(..)) {
                    steps.extend([Step::Transfer(c, l, 0), Step::Transfer(c, l, UNIT_MS)]);
                    steps.extend([Step::Revoke(l, 0), Step::Revoke(l, UNIT_MS)]);
                    steps.push(Step::ReleaseWithCooldown(c, l));
                }
            }
        }
        let open = |poll: &usize| !self.polls[*poll].answered;
        steps.extend((0..self.polls.len()).filter(open).map(Step::HangUp));
        steps
    }

    pub(super) fn after(&self, step: Step) -> Self {
        let mut world = self.clone();
        world.step(step);
        world
    }

    pub(super) fn step(&mut self, step: Step) {
        self.story.push(step);
        self.remember_before();
        match step {
            Step::Time => self.now += STEP_MS,
            Step::Tick => self.told = self.state.tick(self.moment(), usize::MAX),
            Step::Try(c, l, lost) => self.acquire(c, l, None, lost),
            Step::Wait(c, l, lost) => self.acquire(c, l, Some(WAIT_MS), lost),
            Step::Both(c, lost) => self.acquire_both(c, lost),
            Step::Renew(c, l, lost) => {
                let Knows::Holds(lease_id, _) = self.clients[c].knows[l] else {
                    return;
                };
                let renew = Action::Renew {
                    lease_id,
                    ttl_ms: None,
                    max_hold_ms: None,
                    record: true,
                };
                let outcome = self.ask(c, &name(c), l, renew);
                if !lost {
                    self.learn(c, l, &outcome);
                }
            }
            Step::Release(c, l, lost) => self.release(c, l, lost),
            Step::ReleaseWithCooldown(c, l) => {
                let Knows::Holds(lease_id, _) = self.clients[c].knows[l] else {
                    return;
                };
                self.interferences -= 1;
                let release = Action::ReleaseWithCooldown {
                    lease_id,
                    cooldown_ms: UNIT_MS,
                };
                let outcome = self.ask(c, &name(c), l, release);
                self.learn(c, l, &outcome);
            }
            Step::Leave(c, l) => {
                let client = &mut self.clients[c];
                client.knows[l] = Knows::Idle;
                client.attempts[l] += 1;
                client.asks[l] = 0;
            }
            Step::HangUp(poll) => self.hang_up(poll),
            Step::Transfer(c, l, grace_ms) => {
                let Knows::Holds(lease_id, _) = self.clients[c].knows[l] else {
                    return;
                };
                self.interferences -= 1;
                let to = name((c + 1) % self.clients.len()).parse().unwrap();
                self.doubt(l, grace_ms);
                let transfer = Action::Transfer {
                    lease_id,
                    to,
                    grace_ms,
                };
                self.ask(c, &name(c), l, transfer);
            }
            Step::Revoke(l, grace_ms) => {
                self.interferences -= 1;
                self.doubt(l, grace_ms);
                let target = RevokeTarget::All;
                self.ask(0, "op", l, Action::Revoke { target, grace_ms });
            }
        }
    }

    fn release(&mut self, c: usize, l: usize, lost: bool) {
        let Knows::Holds(lease_id, _) = self.clients[c].knows[l] else {
            return;
        };
        let outcome = self.ask(c, &name(c), l, Action::Release { lease_id });
        // The client does not rely on the lease from that point on.
        self.clients[c].knows[l] = Knows::Holds(lease_id, 0);
        if !lost {
            self.learn(c, l, &outcome);
        }
    }

    pub(super) fn record(&self, l: usize) -> &LockRecord {
        self.state.locks.get(&lock(l)).unwrap()
    }

    fn remember_before(&mut self) {
        self.told.clear();
        for l in 0..self.queues.len() {
            let record = self.record(l);
            let queue = record.waiters().map(|w| w.lease_id).collect();
            let token = FencingToken(record.last_token);
            (self.queues[l], self.tokens[l]) = (queue, token);
        }
    }

    /// After an interference no promise lasts longer than the drain.
    fn doubt(&mut self, l: usize, grace_ms: u64) {
        let most = if grace_ms == 0 {
            0
        } else {
            self.now + grace_ms
        };
        for client in &mut self.clients {
            if let Knows::Holds(_, until) = &mut client.knows[l] {
                *until = most.min(*until);
            }
        }
    }

    fn acquire(&mut self, c: usize, l: usize, wait_ms: Option<u64>, lost: bool) {
        let action = self.acquire_action(c, l, wait_ms);
        let drawn = self.drawn(c, l, wait_ms.is_some());
        let outcome = self.ask(c, &name(c), l, action);
        if wait_ms.is_some() {
            self.polls.push(Poll {
                client: c,
                lock: l,
                drawn,
                answered: !lost && matches!(outcome, Outcome::Granted(_)),
            });
        }
        if !lost {
            self.learn(c, l, &outcome);
        }
    }

    fn acquire_action(&mut self, c: usize, l: usize, wait_ms: Option<u64>) -> Action {
        let client = &mut self.clients[c];
        client.asks[l] += 1;
        if client.knows[l] == Knows::Idle {
            client.knows[l] = Knows::Asked;
        }
        Action::AcquireOnce {
            lease_id: self.drawn(c, l, wait_ms.is_some()),
            mode: self.clients[c].mode,
            ttl_ms: TTL_MS,
            wait_ms,
            max_hold_ms: None,
        }
    }

    fn acquire_both(&mut self, c: usize, lost: bool) {
        let commands = [0, 1].map(|l| {
            let action = self.acquire_action(c, l, None);
            self.command(c, &name(c), l, action)
        });
        let at = self.moment();
        let applied = self
            .state
            .execute(&commands, Atomicity::AllOrNothing, &[], at);
        self.told = applied.events;
        let granted = |o: &Outcome| matches!(o, Outcome::Granted(_));
        let count = applied.outcomes.iter().filter(|o| granted(o)).count();
        assert!(count == 0 || count == 2, "{:?}", self.story);
        let nothing = self.told.is_empty() || self.counted.is_some();
        assert!(count == 2 || nothing, "{:?}", self.story);
        for (l, outcome) in applied.outcomes.iter().enumerate() {
            if !lost {
                self.learn(c, l, outcome);
            }
        }
    }

    fn learn(&mut self, c: usize, l: usize, outcome: &Outcome) {
        let now = self.now;
        let client = &mut self.clients[c];
        let knows = &mut client.knows[l];
        *knows = match outcome {
            Outcome::Granted(grant) | Outcome::Renewed(grant) | Outcome::Draining(grant) => {
                Knows::Holds(grant.lease_id, now + grant.remaining_ms)
            }
            Outcome::Queued { .. } => Knows::Asked,
            Outcome::Held { .. } | Outcome::NotAttempted | Outcome::CounterFull(_) => *knows,
            Outcome::Released | Outcome::LeaseLost(_) => {
                client.attempts[l] += 1;
                client.asks[l] = 0;
                Knows::Idle
            }
            other => panic!("{other:?} after {:?}", self.story),
        };
    }

    pub(super) fn ask(&mut self, c: usize, who: &str, l: usize, action: Action) -> Outcome {
        let command = self.command(c, who, l, action);
        let at = self.moment();
        let applied = self.state.execute(&[command], Atomicity::Each, &[], at);
        self.told = applied.events;
        applied.outcomes.into_iter().next().unwrap()
    }

    fn moment(&self) -> Moment {
        Moment {
            level: FeatureLevel::FIRST,
            now: Millis(self.now),
            wall: WallMillis(0),
            token_floor: 0,
        }
    }

    /// A digest of all that can influence what comes.
    pub(super) fn key(&self) -> Digest {
        let now = self.now;
        let records = self.state.locks.records.clone();
        let from_now = |at: &mut Millis| *at = Millis(Millis(now).until(*at));
        let records = map_records(records, |record| {
            (record.clock, record.revision, record.last_token) = Default::default();
            for lease in &mut record.holders {
                (lease.since, lease.granted, lease.renewals) = Default::default();
                assert_eq!(lease.renewals, Renewals::default());
                lease.token = FencingToken(0);
                from_now(&mut lease.deadline);
            }
            let Some(rest) = record.rest.as_deref_mut() else {
                return;
            };
            from_now(&mut rest.cooldown_until);
            rest.reservations
                .iter_mut()
                .for_each(|r| from_now(&mut r.until));
            for waiter in &mut rest.queue {
                let waiter = Arc::make_mut(waiter);
                (waiter.since, waiter.queued) = Default::default();
                from_now(&mut waiter.deadline);
                for claim in waiter.claims.standing_mut() {
                    from_now(&mut claim.until);
                }
            }
            // The search ends long before the memory of ended leases does.
            rest.ended.iter_mut().for_each(|ended| ended.at = Millis(0));
        });
        let mut clients = self.clients.clone();
        for knows in clients.iter_mut().flat_map(|client| &mut client.knows) {
            if let Knows::Holds(_, until) = knows {
                *until = until.saturating_sub(now);
            }
        }
        let clients = clients
            .into_iter()
            .map(|c| (c.mode, c.knows, c.attempts, c.asks));
        let clients: Vec<_> = clients.collect();
        // A poll whose claim is over changes nothing any more.
        let stands = |poll: &&Poll| {
            let mut records = records.values().flat_map(|locks| locks.values());
            records.any(|record| record.claims().any(|(_, claims)| claims.has(&poll.drawn)))
        };
        let polls: Vec<&Poll> = self.polls.iter().filter(stands).collect();
        let ended = self.state.ended();
        let mut ended: Vec<_> = ended.map(|one| (one.key.form(), one.cause)).collect();
        ended.sort_by_key(|(key, _)| *key);
        let mut stored = Vec::new();
        for record in records.values().flat_map(|locks| locks.iter()) {
            let (name, record) = record;
            stored.extend_from_slice(name.as_str().as_bytes());
            leasehold_stored::encode_into(&record.form(), &mut stored);
        }
        let bytes = postcard::to_allocvec(&(stored, clients, polls, self.interferences, ended));
        Digest::of(&bytes.unwrap())
    }
}

impl Client {
    fn may_ask(&self, l: usize) -> bool {
        self.asks[l] < ASKS_MAX && self.attempts[l] < ATTEMPTS_MAX
    }
}

pub(super) fn name(c: usize) -> String {
    format!("client-{c}")
}

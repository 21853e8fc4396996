//! Arbitrary commands, against the model and the witness, in any batching, with snapshots.

use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Command;
use leasehold_domain::Event;
use leasehold_domain::LockRef;
use leasehold_domain::LockSettings;
use leasehold_domain::Millis;
use leasehold_domain::Mode;
use leasehold_domain::Outcome;
use leasehold_domain::RevokeTarget;
use leasehold_machine::RecordChange;
use leasehold_machine::State;
use leasehold_machine::stored;
use proptest::prelude::*;

use crate::answer::Answer;
use crate::asking::command;
use crate::asking::lease;
use crate::asking::lock;
use crate::asking::moment;
use crate::asking::ruled;
use crate::asking::subject;
use crate::asking::tick;
use crate::model::Model;
use crate::witness::Witness;

const PEOPLE: [&str; 4] = ["ann", "abe", "bob", "cyd"];
const LOCKS: [&str; 2] = ["l", "m"];

/// One thing that may be asked, before it is known of which lease.
#[derive(Debug, Clone)]
enum Ask {
    Acquire(Mode, u64, Option<u64>, Option<u64>, bool),
    Renew(Option<u64>, Option<u64>, bool),
    Release,
    ReleaseWithCooldown(u64),
    Cancel,
    Transfer(usize, u64),
    RevokeLease(u64),
    RevokeSubject(u64),
    RevokeAll(u64),
    Configure(u32, u64),
    Tick,
}

#[derive(Debug, Clone)]
struct Asked {
    ask: Ask,
    lock: usize,
    who: usize,
    /// Which of the caller's few request ids, so that some repeat.
    request: u8,
    /// How many acquires ago the lease was asked for that this is about.
    back: usize,
    /// Whether the lease's own principal asks.
    own: bool,
    /// The rule of the decision; 0 if none judged it.
    rule: u8,
}

/// Commands of one moment.
#[derive(Debug, Clone)]
struct Slot {
    now: u64,
    commands: Vec<Command>,
    together: bool,
    /// Whether time alone also does its work.
    ticks: bool,
}

fn asks() -> impl Strategy<Value = Ask> {
    let mode = prop_oneof![
        3 => Just(Mode::Exclusive),
        3 => (1_u32..4).prop_map(|permits| Mode::Shared { permits }),
    ];
    let ttl = prop_oneof![Just(1_000_u64), Just(1_500), Just(4_000)];
    let wait = prop_oneof![2 => Just(None), 3 => Just(Some(0_u64)), 3 => Just(Some(3_000))];
    let cap = prop_oneof![5 => Just(None), 1 => Just(Some(2_500_u64))];
    let grace = prop_oneof![Just(0_u64), Just(500), Just(3_000)];
    prop_oneof![
        12 => (mode, ttl.clone(), wait, cap.clone(), any::<bool>())
            .prop_map(|(m, t, w, c, once)| Ask::Acquire(m, t, w, c, once)),
        5 => (proptest::option::of(ttl), cap, any::<bool>()).prop_map(|(t, c, r)| Ask::Renew(t, c, r)),
        5 => Just(Ask::Release),
        2 => prop_oneof![Just(0_u64), Just(600), Just(3_000)].prop_map(Ask::ReleaseWithCooldown),
        3 => Just(Ask::Cancel),
        3 => (0..PEOPLE.len(), grace.clone()).prop_map(|(to, g)| Ask::Transfer(to, g)),
        1 => grace.clone().prop_map(Ask::RevokeLease),
        1 => grace.clone().prop_map(Ask::RevokeSubject),
        1 => grace.prop_map(Ask::RevokeAll),
        1 => (1_u32..5, prop_oneof![Just(0_u64), Just(700)]).prop_map(|(l, c)| Ask::Configure(l, c)),
        1 => Just(Ask::Tick),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    let parts = (
        asks(),
        0..10_usize,
        0..PEOPLE.len(),
        0..12_u8,
        0..6_usize,
        0..8_u8,
        0..4_u8,
    );
    parts.prop_map(|(ask, lock, who, request, back, own, rule)| Asked {
        ask,
        lock: usize::from(lock > 7),
        who,
        request,
        back,
        own: own > 0,
        rule,
    })
}

/// A log of writes: slots at growing times, some of which hold several commands.
fn logs() -> impl Strategy<Value = Vec<Slot>> {
    let step = prop_oneof![
        4 => Just(0_u64),
        6 => 1_u64..400,
        6 => Just(500),
        3 => Just(1_000),
        2 => Just(2_500),
        1 => Just(70_000),
    ];
    let commands = proptest::collection::vec(asked(), 1..5);
    let slot = (step, commands, 0..8_u8, any::<bool>());
    proptest::collection::vec(slot, 1..40).prop_map(|slots| {
        let (mut now, mut acquires) = (0, Vec::new());
        let mut log = Vec::with_capacity(slots.len());
        for (step, asked, together, ticks) in slots {
            now += step;
            let commands = asked.iter().map(|a| a.command(&mut acquires));
            let commands: Vec<_> = commands.collect();
            let acquire = |c: &Command| {
                matches!(
                    c.action,
                    Action::Acquire { .. } | Action::AcquireOnce { .. }
                )
            };
            let together = together == 0 && commands.iter().all(acquire);
            log.push(Slot {
                now,
                commands,
                together,
                ticks,
            });
        }
        log
    })
}

impl Asked {
    /// The command, given the acquires that were asked so far: lock, who.
    fn command(&self, acquires: &mut Vec<(usize, usize)>) -> Command {
        let command = self.unjudged(acquires);
        match self.rule {
            0 => command,
            rule => ruled(command, rule),
        }
    }

    fn unjudged(&self, acquires: &mut Vec<(usize, usize)>) -> Command {
        if let Ask::Acquire(mode, ttl_ms, wait_ms, max_hold_ms, once) = self.ask {
            acquires.push((self.lock, self.who));
            let lease_id = lease(acquires.len() as u64);
            let action = match once {
                true => Action::AcquireOnce {
                    lease_id,
                    mode,
                    ttl_ms,
                    wait_ms,
                    max_hold_ms,
                },
                false => Action::Acquire {
                    lease_id,
                    mode,
                    ttl_ms,
                    wait_ms,
                    max_hold_ms,
                },
            };
            let request = format!("r{}", self.request);
            return command(PEOPLE[self.who], &request, lock(LOCKS[self.lock]), action);
        }
        let nth = acquires.len().saturating_sub(self.back);
        let asked_for = acquires.get(nth.wrapping_sub(1)).copied();
        let (at, owner) = asked_for.unwrap_or((self.lock, self.who));
        let who = if self.own { owner } else { self.who };
        let lease_id = lease(nth as u64);
        let revoke = |target, grace_ms| Action::Revoke { target, grace_ms };
        let action = match self.ask {
            Ask::Renew(ttl_ms, max_hold_ms, record) => Action::Renew {
                lease_id,
                ttl_ms,
                max_hold_ms,
                record,
            },
            Ask::Release => Action::Release { lease_id },
            Ask::ReleaseWithCooldown(cooldown_ms) => Action::ReleaseWithCooldown {
                lease_id,
                cooldown_ms,
            },
            Ask::Cancel => Action::CancelWait { lease_id },
            Ask::Transfer(to, grace_ms) => Action::Transfer {
                lease_id,
                to: subject(PEOPLE[to]),
                grace_ms,
            },
            Ask::RevokeLease(grace) => revoke(RevokeTarget::Lease(lease_id.handle()), grace),
            Ask::RevokeSubject(grace) => revoke(RevokeTarget::Subject(subject(PEOPLE[who])), grace),
            Ask::RevokeAll(grace) => revoke(RevokeTarget::All, grace),
            Ask::Configure(limit, cooldown_ms) => Action::Configure(LockSettings {
                limit,
                cooldown_ms,
                description: Box::default(),
            }),
            Ask::Acquire(..) | Ask::Tick => return tick(lock(LOCKS[at])),
        };
        command(PEOPLE[who], "other", lock(LOCKS[at]), action)
    }
}

fn locks() -> impl Iterator<Item = LockRef> {
    LOCKS.into_iter().map(lock)
}

/// Compares what can be seen of the state with the model.
fn compare(state: &State, model: &Model, now: u64) {
    let mut leases = 0;
    for lock in locks() {
        let view = state.view(&lock, Millis(now));
        let known = model.locks.get(&lock).cloned().unwrap_or_default();
        let (held, waiting) = known.shape(now);
        let draining =
            |s: &leasehold_domain::LeaseState| *s != leasehold_domain::LeaseState::Active;
        let holders = view.holders.iter();
        let holders: Vec<_> = holders
            .map(|h| (h.handle, h.remaining_ms, draining(&h.state)))
            .collect();
        let held: Vec<_> = held
            .into_iter()
            .map(|(id, r, d)| (id.handle(), r, d))
            .collect();
        assert_eq!(holders, held, "holders of {lock} at {now}");
        let queue: Vec<_> = view.queue.iter().map(|w| w.handle).collect();
        let waiting: Vec<_> = waiting.into_iter().map(|id| id.handle()).collect();
        assert_eq!(queue, waiting, "queue of {lock} at {now}");
        leases += held.len() as u64;
    }
    assert_eq!(state.counts().leases, leases);
    let used = |who: &&str| {
        let usage = state.usage(&"demo".parse().unwrap(), &subject(who), None);
        u64::from(usage.subject_leases)
    };
    assert_eq!(PEOPLE.iter().map(used).sum::<u64>(), leases);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_machine_does_as_the_model_and_breaks_no_promise(log in logs()) {
        let (mut state, mut model, mut witness) = (State::default(), Model::default(), Witness::default());
        for (write, slot) in (1..).zip(&log) {
            let now = slot.now;
            let at = moment(now, write);
            if slot.ticks {
                state.tick(at, usize::MAX).iter().for_each(|event| witness.see(event));
                prop_assert!(state.next_deadline().is_none_or(|due| due.0 > now));
                model.tick(now);
                compare(&state, &model, now);
            }
            let (commands, atomicity): (Vec<&[Command]>, _) = match slot.together {
                true => (vec![&slot.commands[..]], Atomicity::AllOrNothing),
                false => (slot.commands.chunks(1).collect(), Atomicity::Each),
            };
            for commands in commands {
                commands.iter().for_each(|command| witness.expect(command));
                let applied = state.execute(commands, atomicity, &[], at);
                let answers: Vec<_> = applied.outcomes.iter().map(Answer::from).collect();
                let expected = match slot.together {
                    true => model.together(commands, now),
                    false => vec![model.each(&commands[0], now)],
                };
                prop_assert_eq!(answers, expected, "{:?} at {}", commands, now);
                applied.events.iter().for_each(|event| witness.see(event));
                for (command, outcome) in commands.iter().zip(&applied.outcomes) {
                    witness.hear(command, outcome, now);
                    // A batch that failed as a whole did not even expire what was due.
                    if slot.together && !matches!(outcome, Outcome::Granted(_)) {
                        continue;
                    }
                    witness.look(&state.view(&command.lock, Millis(now)), now);
                }
                compare(&state, &model, now);
            }
        }
    }

    #[test]
    fn batching_and_snapshots_change_nothing(log in logs(), cut in 1..4_usize) {
        let (mut whole, mut single) = (State::default(), State::default());
        let mut restored = State::default();
        for (write, slot) in (1..).zip(&log) {
            let in_one = run(&mut whole, slot, write, usize::MAX);
            let size = if slot.together { usize::MAX } else { 1 };
            prop_assert_eq!(&run(&mut single, slot, write, size), &in_one);
            let size = if slot.together { usize::MAX } else { cut };
            prop_assert_eq!(&run(&mut restored, slot, write, size), &in_one);
            // What is built again from a snapshot equals what was kept up to date.
            let copy = State::from_bytes(&restored.to_bytes()).unwrap();
            prop_assert_eq!(&copy, &restored);
            restored = copy;
        }
        prop_assert_eq!(whole.digest(), single.digest());
        prop_assert_eq!(whole.digest(), restored.digest());
    }

    #[test]
    fn what_follows_by_changes_is_the_same(log in logs()) {
        let (mut state, mut follower) = (State::default(), State::default());
        for (write, slot) in (1..).zip(&log) {
            let before = state.clone();
            run(&mut state, slot, write, usize::MAX);
            for lock in locks() {
                let (old, new) = (before.record(&lock), state.record(&lock));
                let change = new.map(|new| RecordChange::between(old, new));
                let stored = change.as_ref().map(stored::encode);
                let change = stored.map(|bytes| stored::decode::<RecordChange>(&bytes).unwrap());
                follower.change_record(&lock, change).unwrap();
            }
            let kept = before.ended().filter(|ended| ended.lasts(state.now()));
            let added: Vec<_> = state.ended().skip(kept.count()).copied().collect();
            follower.put_ended(added);
            follower.resume(state.now(), state.newest());
            prop_assert_eq!(&follower, &state);
        }
    }
}

/// One slot, in batches of so many commands, ticked one lock or all at a time.
fn run(state: &mut State, slot: &Slot, write: u64, size: usize) -> (Vec<Outcome>, Vec<Event>) {
    let at = moment(slot.now, write);
    let (mut outcomes, mut events) = (Vec::new(), Vec::new());
    while slot.ticks && state.next_deadline().is_some_and(|due| due.0 <= slot.now) {
        events.extend(state.tick(at, size));
    }
    let atomicity = match slot.together {
        true => Atomicity::AllOrNothing,
        false => Atomicity::Each,
    };
    for commands in slot.commands.chunks(size.min(slot.commands.len())) {
        let applied = state.execute(commands, atomicity, &[], at);
        outcomes.extend(applied.outcomes);
        events.extend(applied.events);
    }
    (outcomes, events)
}

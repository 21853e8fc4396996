//! What must hold, whatever happened.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use leasehold_domain::EndCause;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::LeaseHandle;
use leasehold_domain::Transition;

use super::client::LOCKS;
use super::client::lock;
use super::history::Call;
use super::history::Seen;

/// What is wrong, in words.
pub(crate) type Wrongs = Vec<String>;

/// A lease and its token. A request that comes again after its lease has ended may be granted
/// again, with another token: nobody holds it, and it ends by itself.
type Grant = (LeaseHandle, u64);

/// A lease as its holder may rely on it.
#[derive(Debug)]
struct Hold {
    lock: usize,
    lease: LeaseHandle,
    token: u64,
    asked: Duration,
    /// From when to when the holder knows that it has the lock.
    from: Duration,
    until: Duration,
    /// When its release was answered.
    released: Option<Duration>,
}

/// The holds that the clients were told of.
fn holds(calls: &[Call]) -> Vec<Hold> {
    let mut holds: Vec<Hold> = Vec::new();
    let mut ordered: Vec<&Call> = calls.iter().collect();
    ordered.sort_by_key(|call| call.span.answered);
    for call in ordered {
        match &call.seen {
            Seen::Granted { lease, token, ttl } => holds.push(Hold {
                lock: call.lock,
                lease: *lease,
                token: *token,
                asked: call.span.asked,
                from: call.span.answered,
                until: call.span.asked + *ttl,
                released: None,
            }),
            Seen::Renewed { lease, ttl } => {
                if let Some(hold) = find(&mut holds, lease) {
                    hold.until = hold.until.max(call.span.asked + *ttl);
                }
            }
            Seen::Released { lease } => {
                if let Some(hold) = find(&mut holds, lease) {
                    hold.until = hold.until.min(call.span.asked);
                    hold.released = Some(call.span.answered);
                }
            }
            // It relies on nothing from the moment at which it asked.
            Seen::MaybeReleased { lease } | Seen::Lost { lease } => {
                if let Some(hold) = find(&mut holds, lease) {
                    hold.until = hold.until.min(call.span.asked);
                }
            }
            Seen::Held | Seen::Read { .. } => {}
        }
    }
    holds
}

fn find<'h>(holds: &'h mut [Hold], lease: &LeaseHandle) -> Option<&'h mut Hold> {
    holds.iter_mut().find(|hold| hold.lease == *lease)
}

/// Everything that the clients' own history can show.
pub(crate) fn judge_history(calls: &[Call]) -> Wrongs {
    let mut wrongs = Wrongs::new();
    let holds = holds(calls);
    for (n, one) in holds.iter().enumerate() {
        for other in holds[n + 1..].iter().filter(|other| other.lock == one.lock) {
            if one.from < other.until && other.from < one.until {
                wrongs.push(format!("exclusion: {one:?} and {other:?}"));
            }
            if one.token == other.token {
                wrongs.push(format!("one token twice: {one:?} and {other:?}"));
            }
            let (first, second) = match one.from <= other.from {
                true => (one, other),
                false => (other, one),
            };
            if first.from < second.asked && first.token >= second.token {
                wrongs.push(format!("tokens do not grow: {first:?}, then {second:?}"));
            }
        }
    }
    for call in calls {
        match &call.seen {
            Seen::Lost { lease } => wrongs.extend(lost_early(calls, call, lease)),
            Seen::Read {
                last_token,
                holders,
            } => wrongs.extend(read_old(&holds, calls, call, *last_token, holders)),
            _ => {}
        }
    }
    wrongs
}

/// A lease that its holder was told is over, before it could be.
fn lost_early(calls: &[Call], call: &Call, lease: &LeaseHandle) -> Option<String> {
    let told = calls.iter().filter_map(|earlier| match &earlier.seen {
        Seen::Granted { lease: l, ttl, .. } | Seen::Renewed { lease: l, ttl } if l == lease => {
            Some(earlier.span.asked + *ttl)
        }
        _ => None,
    });
    let until = told.max()?;
    (call.span.answered < until).then(|| format!("ended early: {call:?}, promised until {until:?}"))
}

/// A read that does not show what was answered before it was asked.
fn read_old(
    holds: &[Hold],
    calls: &[Call],
    call: &Call,
    last_token: u64,
    holders: &[u64],
) -> Wrongs {
    let mut wrongs = Wrongs::new();
    let span = call.span;
    for hold in holds.iter().filter(|hold| hold.lock == call.lock) {
        if hold.from < span.asked && hold.token > last_token {
            wrongs.push(format!("old read: {call:?} after {hold:?}"));
        }
        let all_along = hold.from < span.asked && span.answered < hold.until;
        if all_along && !holders.contains(&hold.token) {
            wrongs.push(format!("a holder is not shown: {call:?} during {hold:?}"));
        }
        let gone = hold.released.is_some_and(|released| released < span.asked);
        if gone && holders.contains(&hold.token) {
            wrongs.push(format!(
                "a released lease is shown: {call:?} after {hold:?}"
            ));
        }
    }
    for earlier in calls.iter().filter(|earlier| earlier.lock == call.lock) {
        if let Seen::Read {
            last_token: seen, ..
        } = earlier.seen
            && earlier.span.answered < span.asked
            && seen > last_token
        {
            wrongs.push(format!("reads go back: {earlier:?}, then {call:?}"));
        }
    }
    wrongs
}

/// What the events of one node tell, and that they have all that was answered.
pub(crate) fn judge_events(events: &[Arc<Event>], calls: &[Call]) -> Wrongs {
    let mut wrongs = Wrongs::new();
    let mut holding: BTreeMap<String, LeaseHandle> = BTreeMap::new();
    let mut tokens: BTreeMap<String, u64> = BTreeMap::new();
    let mut granted: BTreeSet<Grant> = BTreeSet::new();
    let mut ended: BTreeMap<Grant, (EndCause, Duration)> = BTreeMap::new();
    for (event, expected) in events.iter().zip(1..) {
        if event.cursor.0 != expected {
            wrongs.push(format!("event {expected} is {}", event.cursor.0));
        }
        let EventKind::Lock {
            lock, transitions, ..
        } = &event.kind
        else {
            continue;
        };
        let lock = lock.to_string();
        for transition in transitions {
            match transition {
                Transition::Granted { handle, token, .. } => {
                    if let Some(other) = holding.insert(lock.clone(), *handle) {
                        wrongs.push(format!("event {expected}: {lock} was {other}'s already"));
                    }
                    let before = tokens.insert(lock.clone(), token.0);
                    if before.is_some_and(|before| before >= token.0) {
                        wrongs.push(format!("event {expected}: {token:?} after {before:?}"));
                    }
                    if !granted.insert((*handle, token.0)) {
                        wrongs.push(format!("event {expected}: {handle} is granted twice"));
                    }
                }
                Transition::Ended {
                    handle,
                    cause,
                    token,
                    ..
                } => {
                    if holding.remove(&lock) != Some(*handle) {
                        wrongs.push(format!("event {expected}: {handle} did not hold {lock}"));
                    }
                    let at = Duration::from_millis(event.wall.0);
                    ended.insert((*handle, token.0), (*cause, at));
                }
                _ => {}
            }
        }
    }
    wrongs.extend(missing(&granted, &ended, calls));
    wrongs
}

/// One lock between two events.
struct Stretch {
    /// When the event that begins it was proposed: it cannot have taken effect before.
    from: Duration,
    /// When the event that ends it was answered, or a later one of the lock: it cannot have taken
    /// effect after that. An event may be proposed by one leader and committed by the next.
    to: Duration,
    last_token: u64,
    holder: Option<u64>,
}

/// How the locks went, event by event.
fn stretches(events: &[Arc<Event>], calls: &[Call]) -> BTreeMap<String, Vec<Stretch>> {
    let answered = answers(calls);
    let mut locks: BTreeMap<String, Vec<Stretch>> = BTreeMap::new();
    for number in 0..LOCKS {
        let never = Stretch {
            from: Duration::ZERO,
            to: Duration::MAX,
            last_token: 0,
            holder: None,
        };
        locks.insert(lock(number).to_string(), vec![never]);
    }
    for event in events {
        let EventKind::Lock {
            lock, transitions, ..
        } = &event.kind
        else {
            continue;
        };
        let Some(stretches) = locks.get_mut(&lock.to_string()) else {
            continue;
        };
        let at = Duration::from_millis(event.wall.0);
        for transition in transitions {
            let Some(before) = stretches.last_mut() else {
                continue;
            };
            let told = match transition {
                Transition::Granted { handle, token, .. } => {
                    answered.get(&(*handle, token.0, true))
                }
                Transition::Ended { handle, token, .. } => answered.get(&(*handle, token.0, false)),
                _ => None,
            };
            before.to = told.copied().unwrap_or(Duration::MAX);
            let (last_token, holder) = match transition {
                Transition::Granted { token, .. } => (token.0, Some(token.0)),
                Transition::Ended { .. } => (before.last_token, None),
                _ => (before.last_token, before.holder),
            };
            stretches.push(Stretch {
                from: at,
                to: Duration::MAX,
                last_token,
                holder,
            });
        }
    }
    for stretches in locks.values_mut() {
        let mut latest = Duration::MAX;
        for stretch in stretches.iter_mut().rev() {
            latest = latest.min(stretch.to);
            stretch.to = latest;
        }
    }
    locks
}

/// When grants (true) and releases (false) were answered.
fn answers(calls: &[Call]) -> BTreeMap<(LeaseHandle, u64, bool), Duration> {
    let (mut answers, mut tokens) = (BTreeMap::new(), BTreeMap::new());
    for call in calls {
        match &call.seen {
            Seen::Granted { lease, token, .. } => {
                tokens.insert(*lease, *token);
                answers.insert((*lease, *token, true), call.span.answered);
            }
            Seen::Released { lease } => {
                if let Some(token) = tokens.get(lease) {
                    answers.insert((*lease, *token, false), call.span.answered);
                }
            }
            _ => {}
        }
    }
    answers
}

/// The events are one order in which all calls can have happened: each refusal and each read fits a
/// stretch that its call overlaps.
pub(crate) fn judge_order(events: &[Arc<Event>], calls: &[Call]) -> Wrongs {
    let locks = stretches(events, calls);
    let mut wrongs = Wrongs::new();
    for call in calls {
        let fits = |stretch: &&Stretch| {
            let overlaps = stretch.from <= call.span.answered && call.span.asked <= stretch.to;
            overlaps
                && match &call.seen {
                    Seen::Held => stretch.holder.is_some(),
                    Seen::Granted { token, .. } => stretch.holder == Some(*token),
                    Seen::Read {
                        last_token,
                        holders,
                    } => {
                        // A lease whose time is over is not shown, also before that is written.
                        let shown = holders.is_empty() || stretch.holder.as_slice() == holders;
                        stretch.last_token == *last_token && shown
                    }
                    _ => true,
                }
        };
        let stretches = locks.get(&lock(call.lock).to_string());
        if !stretches.is_some_and(|stretches| stretches.iter().any(|s| fits(&s))) {
            wrongs.push(format!("fits nowhere in the order of events: {call:?}"));
        }
    }
    wrongs
}

/// What was answered and is not in the events, or ended there before its time.
fn missing(
    granted: &BTreeSet<Grant>,
    ended: &BTreeMap<Grant, (EndCause, Duration)>,
    calls: &[Call],
) -> Wrongs {
    let mut wrongs = Wrongs::new();
    let mut told: BTreeMap<LeaseHandle, Grant> = BTreeMap::new();
    for call in calls {
        let (lease, ttl) = match &call.seen {
            Seen::Granted { lease, token, ttl } => {
                told.insert(*lease, (*lease, *token));
                if !granted.contains(&(*lease, *token)) {
                    wrongs.push(format!("an answered grant is lost: {call:?}"));
                }
                (lease, ttl)
            }
            Seen::Renewed { lease, ttl } => (lease, ttl),
            Seen::Released { lease } => {
                if told
                    .get(lease)
                    .is_some_and(|grant| !ended.contains_key(grant))
                {
                    wrongs.push(format!("an answered release is lost: {call:?}"));
                }
                continue;
            }
            _ => continue,
        };
        // The event's time is cut to whole milliseconds.
        let until = (call.span.asked + *ttl).saturating_sub(Duration::from_millis(1));
        if let Some((EndCause::Expired, at)) = told.get(lease).and_then(|grant| ended.get(grant))
            && *at < until
        {
            wrongs.push(format!("expired early, at {at:?}: {call:?}"));
        }
    }
    wrongs
}

/// Locks that somebody got after all was healed.
pub(crate) fn judge_liveness(got: &BTreeSet<usize>, locks: usize) -> Wrongs {
    (0..locks)
        .filter(|number| !got.contains(number))
        .map(|number| format!("{} was not granted after healing", lock(number)))
        .collect()
}

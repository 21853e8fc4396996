//! A small model of one lock: what each answer says of it, and what time and lost calls may do.
//!
//! Every call takes effect at one instant between its start and its end. The model keeps the
//! *earliest* instant that is possible, because a later one helps nobody: a lease may end late, but
//! never early. Calls whose effect nobody knows are not tried at every place; they take effect when
//! an answer shows that they have, which loses nothing, as what nobody sees restricts nobody.

use std::collections::HashMap;

use crate::robustness::Answer;
use crate::robustness::Ask;
use crate::robustness::Call;
use crate::robustness::Done;
use crate::robustness::Seen;

/// What one lock is, at the earliest possible instant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct State {
    pub(super) holder: Option<Holder>,
    /// The newest token.
    pub(super) token: u64,
    /// The earliest instant of the last effect.
    pub(super) now_us: u64,
}

/// Who holds it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Holder {
    pub(super) key: String,
    pub(super) token: u64,
    /// Before this it cannot have expired.
    pub(super) until_us: u64,
    /// Whether its client was told; else its gateway may give it back.
    pub(super) told: bool,
}

/// Calls about one lock that may take effect at any time from their start on, or never.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// By key: the start of the first, and the ttl in microseconds.
    acquires: HashMap<String, (u64, u64)>,
    /// By key: the start of the first.
    releases: HashMap<String, u64>,
    /// How many releases of a key were sent at all.
    released: HashMap<String, usize>,
}

impl Open {
    pub(super) fn of(calls: &[&Call]) -> Self {
        let mut open = Self::default();
        for call in calls {
            if matches!(call.ask, Ask::Release) {
                *open.released.entry(call.key.clone()).or_default() += 1;
            }
            if !call.is_open() {
                continue;
            }
            match call.ask {
                Ask::Acquire { ttl_ms, .. } => {
                    let first = (call.start_us, ttl_ms * 1_000);
                    let known = open.acquires.entry(call.key.clone()).or_insert(first);
                    known.0 = known.0.min(call.start_us);
                }
                Ask::Release => {
                    let known = open.releases.entry(call.key.clone());
                    let known = known.or_insert(call.start_us);
                    *known = (*known).min(call.start_us);
                }
                // A longer lease, or a question, lets nothing happen that could not otherwise.
                Ask::Renew { .. } | Ask::Validate { .. } | Ask::Read => {}
            }
        }
        open
    }

    /// When the lock can be free at the earliest.
    fn freed(&self, state: &State) -> u64 {
        let Some(holder) = &state.holder else {
            return state.now_us;
        };
        let mut at = holder.until_us;
        if let Some(release) = self.releases.get(&holder.key) {
            at = at.min(*release);
        }
        if let (Some((acquire, _)), false) = (self.acquires.get(&holder.key), holder.told) {
            at = at.min(*acquire);
        }
        at.max(state.now_us)
    }

    fn free(&self, state: &State) -> State {
        State {
            holder: None,
            token: state.token,
            now_us: self.freed(state),
        }
    }

    /// The state in which `seen` holds the lock, if it can come to that.
    fn held_by(&self, state: &State, seen: &Seen) -> Option<State> {
        if let Some(holder) = &state.holder
            && holder.key == seen.key
            && holder.token == seen.token
        {
            return Some(state.clone());
        }
        let (start_us, ttl_us) = *self.acquires.get(&seen.key)?;
        if seen.token <= state.token {
            return None;
        }
        let now_us = self.freed(state).max(start_us);
        Some(State {
            holder: Some(Holder {
                key: seen.key.clone(),
                token: seen.token,
                until_us: now_us + ttl_us,
                told: false,
            }),
            token: seen.token,
            now_us,
        })
    }
}

/// Whether the call says anything about the lock.
pub(super) fn tells(call: &Call) -> bool {
    match &call.answer {
        Answer::Ok(_) => true,
        Answer::Unknown { .. } => false,
        Answer::Failed { code, seen } => match call.ask {
            // What a wait that ended tells may be stale.
            Ask::Acquire { wait_ms, .. } => wait_ms == 0 && code == "held" && seen.is_some(),
            Ask::Renew { .. } | Ask::Release => code == "lease_ended" || code == "lease_lost",
            Ask::Validate { .. } | Ask::Read => false,
        },
    }
}

/// The state after `call` has taken effect, if it can.
pub(super) fn apply(state: &State, call: &Call, open: &Open) -> Option<State> {
    let mut next = effect(state, call, open)?;
    next.now_us = next.now_us.max(call.start_us);
    match (&call.answer, &mut next.holder) {
        (Answer::Ok(Done::Granted { repeated, .. }), Some(holder)) => {
            holder.told = true;
            if let (Ask::Acquire { ttl_ms, .. }, false) = (&call.ask, repeated) {
                holder.until_us = next.now_us + ttl_ms * 1_000;
            }
        }
        (Answer::Ok(Done::Renewed { .. }), Some(holder)) => {
            if let Ask::Renew { ttl_ms } = call.ask {
                holder.until_us = holder.until_us.max(next.now_us + ttl_ms * 1_000);
            }
        }
        _ => {}
    }
    (next.now_us <= call.end_us).then_some(next)
}

fn effect(state: &State, call: &Call, open: &Open) -> Option<State> {
    let mine = |token: u64| Seen {
        key: call.key.clone(),
        token,
    };
    let holds = |key: &str| state.holder.as_ref().is_some_and(|h| h.key == key);
    match &call.answer {
        Answer::Ok(Done::Granted {
            token,
            repeated: false,
            ..
        }) => grant(state, &mine(*token), open),
        Answer::Ok(Done::Granted {
            token,
            repeated: true,
            ..
        }) => open.held_by(state, &mine(*token)),
        Answer::Ok(Done::Renewed { token, .. }) => {
            let same = |h: &Holder| h.key == call.key && h.token == *token;
            state
                .holder
                .as_ref()
                .is_some_and(same)
                .then(|| state.clone())
        }
        Answer::Ok(Done::Released) if holds(&call.key) => Some(State {
            holder: None,
            ..state.clone()
        }),
        // Released once more, after a release whose answer was lost.
        Answer::Ok(Done::Released) => {
            let again = open.released.get(&call.key) > Some(&1);
            again.then(|| state.clone())
        }
        Answer::Ok(Done::Validated { current: true }) => {
            let token = validated(call)?;
            let same = state.holder.as_ref().is_some_and(|h| h.token == token);
            same.then(|| state.clone())
        }
        Answer::Ok(Done::Validated { current: false }) => {
            let token = validated(call)?;
            let same = state.holder.as_ref().is_some_and(|h| h.token == token);
            Some(if same {
                open.free(state)
            } else {
                state.clone()
            })
        }
        Answer::Ok(Done::Viewed { holder: None }) => Some(open.free(state)),
        Answer::Ok(Done::Viewed { holder: Some(seen) }) => open.held_by(state, seen),
        Answer::Failed { seen, .. } => match (&call.ask, seen) {
            (Ask::Acquire { .. }, Some(seen)) => open.held_by(state, seen),
            (Ask::Acquire { .. }, None) => Some(state.clone()),
            _ if holds(&call.key) => Some(open.free(state)),
            _ => Some(state.clone()),
        },
        Answer::Unknown { .. } => Some(state.clone()),
    }
}

fn validated(call: &Call) -> Option<u64> {
    match call.ask {
        Ask::Validate { token } => Some(token),
        _ => None,
    }
}

fn grant(state: &State, lease: &Seen, open: &Open) -> Option<State> {
    if lease.token <= state.token {
        return None;
    }
    let free = open.free(state);
    Some(State {
        holder: Some(Holder {
            key: lease.key.clone(),
            token: lease.token,
            // The caller counts from when the call has taken effect.
            until_us: 0,
            told: true,
        }),
        token: lease.token,
        now_us: free.now_us,
    })
}

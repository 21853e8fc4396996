//! Who held a lock at a moment.

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Hold;
use leasehold_backend_api::Holders;
use leasehold_domain::Cursor;
use leasehold_domain::EventKind;
use leasehold_domain::LockRef;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;

use super::reader::Lookup;
use super::reader::Readers;
use super::rule::RuleSearch;
use super::rule::under;
use super::state::Shared;
use crate::error::corrupt;
use crate::segment::decode_ended;
use crate::segment::hold_key;
use crate::segment::lock_hash;

/// A hold that may be the asked lock's: the grant's event tells.
struct Candidate {
    handle: [u8; 16],
    granted_by: u64,
    from: u64,
    ended: Option<(u64, u64)>,
}

/// A hold covers the moments from its grant's wall time until its end's, and always its grant's
/// own millisecond, also if the clock went back before it ended.
fn covers(candidate: &Candidate, at: u64) -> bool {
    let ended = candidate.ended.is_some_and(|(_, until)| at >= until);
    candidate.from == at || (candidate.from < at && !ended)
}

pub(super) fn holders(
    shared: &Shared,
    readers: &Readers,
    lock: &LockRef,
    at: WallMillis,
) -> Result<Holders, BackendError> {
    let hash = lock_hash(lock);
    let (complete_to, mut candidates, segments) = in_memory(shared, hash, at.0);
    let mut holds =
        readers.with(|connection| {
            let mut lookup = Lookup::new(connection)?;
            for segment in segments {
                let Some(list) = lookup.value(segment, &hold_key(hash))? else {
                    continue;
                };
                let damaged = || corrupt(format!("the holds of segment {segment} are damaged"));
                candidates.extend(decode_ended(&list).ok_or_else(damaged)?.into_iter().map(
                    |hold| Candidate {
                        handle: hold.handle,
                        granted_by: hold.granted_by,
                        from: hold.from,
                        ended: Some((hold.ended_by, hold.until)),
                    },
                ));
            }
            candidates.retain(|candidate| covers(candidate, at.0));
            candidates.sort_by_key(|candidate| candidate.granted_by);
            let mut holds = Vec::new();
            for candidate in &candidates {
                holds.extend(hold(&mut lookup, lock, candidate)?);
            }
            Ok(holds)
        })?;
    for found in &mut holds {
        let search = RuleSearch {
            shared,
            readers,
            lock,
            hold: &found.hold,
            ended_by: found.ended_by,
        };
        if let Some(under) = search.at(at, found.waited)? {
            found.hold.under = Some(under);
        }
    }
    let holds = holds.into_iter().map(|found| found.hold).collect();
    Ok(Holders { holds, complete_to })
}

/// A hold, and what is needed to find the rule under which it was held.
struct Found {
    hold: Hold,
    ended_by: Option<Cursor>,
    /// Whether it came from the queue.
    waited: bool,
}

/// The head, the holds that memory knows, and the closed segments in which one may have ended.
fn in_memory(shared: &Shared, hash: u64, at: u64) -> (Cursor, Vec<Candidate>, Vec<u64>) {
    let state = shared.state();
    let open = state.open.of_lock(hash).into_iter().map(|hold| Candidate {
        handle: hold.handle,
        granted_by: hold.granted_by,
        from: hold.from,
        ended: None,
    });
    let ended = state
        .in_memory()
        .flat_map(|hot| &hot.ended)
        .filter(|(lock, _)| *lock == hash)
        .map(|(_, hold)| Candidate {
            handle: hold.handle,
            granted_by: hold.granted_by,
            from: hold.from,
            ended: Some((hold.ended_by, hold.until)),
        });
    let candidates = open.chain(ended).collect();
    let segments = (0..)
        .zip(&state.closed)
        .filter(|(_, closed)| closed.hold_min <= at && at <= closed.hold_max)
        .map(|(segment, _)| segment)
        .collect();
    (state.head.cursor, candidates, segments)
}

/// The hold in full, from its events; none if it is of another lock with the same hash.
fn hold(
    lookup: &mut Lookup<'_>,
    lock: &LockRef,
    candidate: &Candidate,
) -> Result<Option<Found>, BackendError> {
    let granted = lookup.event(candidate.granted_by)?.event;
    let EventKind::Lock {
        lock: of,
        cause,
        transitions,
    } = granted.kind
    else {
        return Err(corrupt(format!(
            "event {} grants nothing",
            candidate.granted_by
        )));
    };
    if of != *lock {
        return Ok(None);
    }
    let end = match candidate.ended {
        Some((by, _)) => Some(end(lookup, by, &candidate.handle)?),
        None => None,
    };
    for transition in transitions {
        if let Transition::Granted {
            handle,
            owner,
            mode,
            token,
            waited_ms,
            request_id,
            ..
        } = transition
            && *handle.as_bytes() == candidate.handle
        {
            let (from, granted_by) = (WallMillis(candidate.from), Cursor(candidate.granted_by));
            // Whoever waited was granted by somebody else's command.
            let own = cause.filter(|_| waited_ms.is_none());
            let under = own.and_then(|cause| under(granted_by, from, &cause));
            let hold = Hold {
                handle,
                owner,
                mode,
                token: token.0,
                from,
                until: candidate.ended.map(|(_, until)| WallMillis(until)),
                end,
                granted_by,
                request_id: request_id.as_str().to_owned(),
                under,
            };
            return Ok(Some(Found {
                hold,
                ended_by: candidate.ended.map(|(by, _)| Cursor(by)),
                waited: waited_ms.is_some(),
            }));
        }
    }
    Err(corrupt(format!(
        "event {} grants another lease",
        candidate.granted_by
    )))
}

fn end(lookup: &mut Lookup<'_>, by: u64, lease: &[u8; 16]) -> Result<String, BackendError> {
    let ended = lookup.event(by)?.event;
    if let EventKind::Lock { transitions, .. } = &ended.kind {
        for transition in transitions {
            if let Transition::Ended { handle, cause, .. } = transition
                && handle.as_bytes() == lease
            {
                return Ok(cause.as_str().to_owned());
            }
        }
    }
    Err(corrupt(format!("event {by} does not end the lease")))
}

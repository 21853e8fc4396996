//! What the ledger should answer, computed the slow way.

use std::sync::Arc;

use leasehold_backend_api::Hold;
use leasehold_backend_api::LedgerQuery;
use leasehold_domain::Cursor;
use leasehold_domain::EndCause;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::FencingToken;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::Mode;
use leasehold_domain::Owner;
use leasehold_domain::Renewals;
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
        (_, true) => "expire".to_owned(),
        _ => text(&body["cause"]["request"]["operation"]).unwrap(),
    };
    let decision = &body["cause"]["decision"];
    let (effect, kind) = (&decision["effect"]["type"], &decision["effect"]["kind"]);
    let policies: Vec<String> = decision["verdicts"]
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
        .collect();
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
            effect == &**asked || kind == &**asked || (asked == "allow" && effect == "override")
        })
}

/// One step of a history of holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// The lock.
    lock: u64,
    /// The wall time.
    wall: u64,
    /// Whether to grant another hold, or to end the one that this picks.
    end: Option<usize>,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    (0_u64..2, 0_u64..40, proptest::option::of(any::<usize>())).prop_map(|(lock, wall, end)| Step {
        lock,
        wall,
        end,
    })
}

/// Each lock is granted and released, at rising times.
pub(super) fn acquire_and_release(count: usize) -> Vec<Step> {
    let wall = |at: usize| at as u64;
    (0..count)
        .map(|at| Step {
            lock: wall(at) / 2,
            wall: wall(at),
            end: (at % 2 == 1).then_some(0),
        })
        .collect()
}

/// The events of a history, and its holds in the order of their grants.
pub(super) fn holds(steps: Vec<Step>) -> (Vec<Arc<Event>>, Vec<(LockRef, Hold)>) {
    let mut kinds = Vec::new();
    let mut holds: Vec<(LockRef, Hold)> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for (cursor, step) in (1_u64..).zip(steps) {
        let pick = step
            .end
            .filter(|_| !open.is_empty())
            .map(|pick| pick % open.len());
        let (lock, transition) = match pick {
            Some(pick) => end(&mut holds[open.swap_remove(pick)], step.wall),
            None => {
                open.push(holds.len());
                holds.push(granted(cursor, step));
                grant(&holds[holds.len() - 1])
            }
        };
        kinds.push((
            step.wall,
            EventKind::Lock {
                lock,
                cause: None,
                transitions: vec![transition],
            },
        ));
    }
    (super::number(kinds, 1), holds)
}

fn granted(cursor: u64, step: Step) -> (LockRef, Hold) {
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
    };
    (name.parse().unwrap(), hold)
}

fn grant((lock, hold): &(LockRef, Hold)) -> (LockRef, Transition) {
    let transition = Transition::Granted {
        handle: hold.handle,
        owner: hold.owner.clone(),
        mode: hold.mode,
        token: FencingToken(hold.token),
        ttl_ms: 1_000,
        waited_ms: None,
        request_id: hold.request_id.parse().unwrap(),
    };
    (lock.clone(), transition)
}

fn end((lock, hold): &mut (LockRef, Hold), wall: u64) -> (LockRef, Transition) {
    hold.until = Some(WallMillis(wall));
    hold.end = Some("expired".to_owned());
    let transition = Transition::Ended {
        handle: hold.handle,
        owner: hold.owner.clone(),
        mode: hold.mode,
        token: FencingToken(hold.token),
        cause: EndCause::Expired,
        since: hold.from,
        held_ms: wall.saturating_sub(hold.from.0),
        late_ms: 0,
        renewals: Renewals::default(),
    };
    (lock.clone(), transition)
}

/// The holds of a lock that covered the moment.
pub(super) fn holders(holds: &[(LockRef, Hold)], lock: &LockRef, at: u64) -> Vec<Hold> {
    holds
        .iter()
        .filter(|(of, _)| of == lock)
        .map(|(_, hold)| hold)
        .filter(|hold| {
            let span = hold.from.0..hold.until.map_or(u64::MAX, |until| until.0);
            hold.from.0 == at || span.contains(&at)
        })
        .cloned()
        .collect()
}

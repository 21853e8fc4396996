//! The outbox: ordered, dense, resumable, kept until it is trimmed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::Action;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::RuleDigest;
use leasehold_domain::Transition;

use crate::Harness;
use crate::asking::LONG;
use crate::asking::Store;
use crate::asking::acquire;
use crate::asking::by;
use crate::asking::granted;
use crate::asking::renew;
use crate::asking::ruled;
use crate::head;
use crate::tail::names;

/// Every grant and end that was answered to many clients is told of exactly once, in order.
pub async fn every_change_is_told_of_once(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let clients = (0..8).map(|client| {
        let store = &store;
        async move {
            let who = format!("client-{client}");
            let mut answered = Vec::new();
            for round in 0..10 {
                let name = format!("l-{}", (client + round) % 8);
                let grant = store
                    .ask(&who, &name, crate::asking::acquire(LONG, None))
                    .await;
                let leasehold_domain::Outcome::Granted(grant) = grant else {
                    continue;
                };
                store.give_back(&who, &name, grant.lease_id).await;
                answered.push((grant.lease_id.handle(), grant.token));
            }
            answered
        }
    });
    let answered: BTreeMap<_, _> = join_all(clients).await.into_iter().flatten().collect();
    let newest = store.running.backend.health().await.newest.0;
    let events = store
        .tail()
        .take(usize::try_from(newest).expect("few"))
        .await;
    let (mut granted, mut ended) = (BTreeMap::new(), BTreeSet::new());
    for event in &events {
        let EventKind::Lock { transitions, .. } = &event.kind else {
            panic!("{event:?}");
        };
        for transition in transitions {
            match transition {
                Transition::Granted { handle, token, .. } => {
                    assert_eq!(granted.insert(*handle, *token), None, "granted twice");
                }
                Transition::Ended { handle, .. } => {
                    assert!(granted.contains_key(handle), "ended before it was granted");
                    assert!(ended.insert(*handle), "ended twice");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(granted, answered);
    assert_eq!(ended.len(), answered.len());
}

/// A stream begins where it is asked to, and all streams tell the same.
pub async fn a_stream_resumes_where_it_ended(harness: &impl Harness) {
    let store = Store::start(harness).await;
    for n in 0..10 {
        store.take("ann", &format!("l-{n}"), LONG).await;
    }
    let whole = store.tail().take(10).await;
    for after in [0_u64, 1, 5, 9] {
        let from = usize::try_from(after).expect("small");
        let rest = store.tail_after(after).take(10 - from).await;
        assert_eq!(rest, whole[from..]);
    }
    // One that has read all goes on with what is new.
    let mut late = store.tail_after(10);
    let (event, _) = tokio::join!(late.next(), store.take("ann", "new", LONG));
    assert_eq!(names(&event, "new"), ["granted"]);
}

/// What was answered is told of: there is no moment at which the answer is out and the event not.
pub async fn an_answered_command_has_its_event(harness: &impl Harness) {
    let store = Store::start(harness).await;
    for n in 1..=20_u64 {
        store.take("ann", &format!("l-{n}"), LONG).await;
        assert_eq!(store.running.backend.health().await.newest, Cursor(n));
    }
}

/// Trimmed events are gone, the others stay, and a reader that is too late is told so.
pub async fn trimmed_events_are_gone_and_the_others_stay(harness: &impl Harness) {
    let store = Store::start(harness).await;
    for n in 0..10 {
        store.take("ann", &format!("l-{n}"), LONG).await;
    }
    let whole: Vec<Arc<Event>> = store.tail().take(10).await;
    let backend = &store.running.backend;
    backend.trim(head(6)).await.expect("trim");
    // Trimming less than before changes nothing.
    backend.trim(head(3)).await.expect("trim");
    assert_eq!(backend.health().await.trimmed, Cursor(6));
    assert_eq!(store.tail_after(6).take(4).await, whole[6..]);
    let error = store.tail_after(5).try_next().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Trimmed);
    backend.trim(head(10)).await.expect("trim");
    let mut tail = store.tail_after(10);
    store.take("ann", "new", LONG).await;
    assert_eq!(names(&*tail.next().await, "new"), ["granted"]);
}

/// A reader that stood still while others were trimmed behind it goes on without a gap.
pub async fn a_reader_ahead_of_the_trim_loses_nothing(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let mut tail = store.tail();
    for n in 0..50_u64 {
        store.take("ann", &format!("l-{n}"), LONG).await;
        tail.next().await;
        store.running.backend.trim(head(n)).await.expect("trim");
    }
}

/// A renewal is an event only if that is asked for; the lease's end counts them all.
pub async fn renewals_are_summed_up_in_the_end(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let grant = store.take("ann", "one", LONG).await;
    let lease_id = grant.lease_id;
    for _ in 0..3 {
        store.ask("ann", "one", renew(lease_id, None)).await;
    }
    let recorded = Action::Renew {
        lease_id,
        ttl_ms: None,
        max_hold_ms: None,
        record: true,
    };
    store.ask("ann", "one", recorded).await;
    store.give_back("ann", "one", lease_id).await;
    let events = store.tail().take(3).await;
    let told: Vec<_> = events.iter().map(|event| names(event, "one")).collect();
    assert_eq!(told, [["granted"], ["renewed"], ["released"]]);
    let EventKind::Lock { transitions, .. } = &events[2].kind else {
        panic!("{events:?}");
    };
    let Transition::Ended { renewals, .. } = &transitions[0] else {
        panic!("{transitions:?}");
    };
    assert_eq!(renewals.count, 4);
}

/// A renewal under another rule is an event, with its decision; under the same rule it is not.
pub async fn a_renewal_under_another_rule_is_told(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let under = |rule, action| ruled(by("ann", "one", action), rule);
    let grant = granted(store.run_one(under(1, acquire(LONG, None))).await);
    for rule in [1, 2, 2, 1] {
        let renewal = under(rule, renew(grant.lease_id, None));
        granted(store.run_one(renewal).await);
    }
    store.give_back("ann", "one", grant.lease_id).await;
    let events = store.tail().take(4).await;
    let told: Vec<_> = events.iter().map(|event| names(event, "one")).collect();
    assert_eq!(told, [["granted"], ["renewed"], ["renewed"], ["released"]]);
    let rules = events.iter().map(|event| match &event.kind {
        EventKind::Lock {
            cause: Some(cause), ..
        } => cause.decision.as_ref().and_then(|decision| decision.rule),
        other => panic!("{other:?}"),
    });
    let digest = |rule: u8| Some(RuleDigest([rule; 8]));
    assert_eq!(
        rules.collect::<Vec<_>>(),
        [digest(1), digest(2), digest(1), None]
    );
}

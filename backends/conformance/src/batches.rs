//! Several commands and notes in one durable step.

use futures_util::future::join_all;
use leasehold_backend_api::Batch;
use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::EndCause;
use leasehold_domain::EventKind;
use leasehold_domain::Expectation;
use leasehold_domain::Note;
use leasehold_domain::Outcome;
use leasehold_domain::Usage;

use crate::Harness;
use crate::asking::LONG;
use crate::asking::Store;
use crate::asking::acquire;
use crate::asking::by;
use crate::asking::cause;
use crate::asking::each;
use crate::asking::fresh_lease;
use crate::asking::fresh_request;
use crate::asking::granted;
use crate::asking::lock;
use crate::asking::renew;
use crate::asking::together;

fn denied(who: &str, name: &str) -> Note {
    Note::Denied(cause(who, &fresh_request(), &lock(name)))
}

/// Several locks are granted together, or none is; then nothing is changed and nothing told.
pub async fn all_or_nothing_grants_all_or_none(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let take = |who: &str| {
        let names = ["a", "b", "c"];
        let commands = names.map(|name| by(who, name, acquire(LONG, None)));
        together(commands.into())
    };
    let held = store.take("bob", "b", LONG).await;
    let outcomes = store.run(take("ann")).await;
    assert_eq!(outcomes[0], Outcome::NotAttempted);
    assert!(matches!(outcomes[1], Outcome::Held { .. }), "{outcomes:?}");
    assert_eq!(outcomes[2], Outcome::NotAttempted);
    for name in ["a", "c"] {
        assert_eq!(store.view(name).await.revision, 0, "{name} is untouched");
    }
    store.give_back("bob", "b", held.lease_id).await;
    for outcome in store.run(take("ann")).await {
        granted(outcome);
    }
    // Two events of bob's, three of ann's: the failure made none.
    let events = store.tail().take(5).await;
    assert_eq!(
        store.running.backend.health().await.newest,
        events[4].cursor
    );
}

/// Batches that want the same locks in opposite orders neither halve nor block each other.
pub async fn crossing_batches_never_hold_halves(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let clients = (0..8).map(|client| {
        let store = &store;
        async move {
            let who = format!("client-{client}");
            let mut names = ["left", "right"];
            if client % 2 == 1 {
                names.reverse();
            }
            let mut rounds = 0;
            while rounds < 4 {
                let commands = names.map(|name| by(&who, name, acquire(LONG, None)));
                let outcomes = store.run(together(commands.into())).await;
                if !outcomes.iter().all(|o| matches!(o, Outcome::Granted(_))) {
                    let half = outcomes.iter().any(|o| matches!(o, Outcome::Granted(_)));
                    assert!(!half, "{outcomes:?}");
                    tokio::task::yield_now().await;
                    continue;
                }
                let mut releases = Vec::new();
                for (name, outcome) in names.iter().zip(outcomes) {
                    let lease_id = granted(outcome).lease_id;
                    releases.push(by(&who, name, Action::Release { lease_id }));
                }
                store.run(each(releases)).await;
                rounds += 1;
            }
        }
    });
    join_all(clients).await;
}

/// A batch of renewals is answered lease by lease.
pub async fn a_batch_of_renewals_answers_for_each(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let mut commands = Vec::new();
    for n in 0..100 {
        let name = format!("l-{n}");
        let grant = store.take("ann", &name, 10_000).await;
        commands.push(by("ann", &name, renew(grant.lease_id, Some(20_000))));
    }
    commands.push(by("ann", "l-0", renew(fresh_lease(), None)));
    let mut outcomes = store.run(each(commands)).await;
    let unknown = outcomes.pop();
    assert_eq!(unknown, Some(Outcome::LeaseLost(EndCause::Unknown)));
    for outcome in outcomes {
        assert!(matches!(outcome, Outcome::Renewed(grant) if grant.remaining_ms == 20_000));
    }
}

/// A denial is an event like any other: after the commands of its batch, also by itself, also if
/// the commands failed.
pub async fn notes_are_events_of_their_batch(harness: &impl Harness) {
    let store = Store::start(harness).await;
    assert!(
        store
            .run(Batch::note(denied("eve", "one")))
            .await
            .is_empty()
    );
    let batch = Batch {
        commands: vec![by("ann", "one", acquire(LONG, None))],
        atomicity: Atomicity::Each,
        notes: vec![denied("eve", "two"), denied("eve", "three")],
    };
    store.run(batch).await;
    let failing = Batch {
        commands: vec![by("bob", "one", acquire(LONG, None))],
        atomicity: Atomicity::AllOrNothing,
        notes: vec![denied("eve", "four")],
    };
    store.run(failing).await;
    let mut told = Vec::new();
    for event in store.tail().take(5).await {
        told.push(match &event.kind {
            EventKind::Denied(cause) => format!("denied {}", cause.request.lock.lock),
            EventKind::Lock { lock, .. } => format!("lock {}", lock.lock),
            EventKind::Governance(_) => "governance".to_owned(),
        });
    }
    let expected = [
        "denied one",
        "lock one",
        "denied two",
        "denied three",
        "denied four",
    ];
    assert_eq!(told, expected);
}

/// An event of a command carries the cause that the command was given.
pub async fn an_event_names_its_cause(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let command = by("ann", "one", acquire(LONG, None));
    store.run_one(command.clone()).await;
    let event = store.tail().next().await;
    let EventKind::Lock { lock, cause, .. } = &event.kind else {
        panic!("{event:?}");
    };
    assert_eq!((lock, cause), (&command.lock, &command.cause));
}

/// A command that expects a state that is no more changes nothing.
pub async fn a_stale_expectation_changes_nothing(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let expecting = |revision, usage| {
        let mut command = by("ann", "one", acquire(LONG, None));
        command.expect = Some(Expectation {
            revision,
            usage,
            ..Expectation::default()
        });
        command
    };
    let usage = |subject_leases, team_leases| {
        Some(Usage {
            subject_leases,
            team_leases,
        })
    };
    let stale = store.run_one(expecting(Some(7), None)).await;
    assert_eq!(stale, Outcome::Stale);
    let stale = store.run_one(expecting(Some(0), usage(1, 1))).await;
    assert_eq!(stale, Outcome::Stale);
    assert_eq!(store.view("one").await.revision, 0);
    let grant = granted(store.run_one(expecting(Some(0), usage(0, 0))).await);
    store.give_back("ann", "one", grant.lease_id).await;
    // The lock is free as before, but it is not the state that was seen.
    let stale = store.run_one(expecting(Some(0), None)).await;
    assert_eq!(stale, Outcome::Stale);
    let revision = store.view("one").await.revision;
    granted(store.run_one(expecting(Some(revision), usage(0, 0))).await);
}

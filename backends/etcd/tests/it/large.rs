//! Batches that hardly fit into a transaction, and one that does not.

use std::sync::Arc;

use futures_util::future::join_all;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Documents;
use leasehold_backend_api::Effect;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Freshness;
use leasehold_backend_etcd::EtcdBackend;
use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Change;
use leasehold_domain::Command;
use leasehold_domain::Cursor;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::LockSettings;
use leasehold_domain::Mode;
use leasehold_domain::Outcome;
use leasehold_domain::Precondition;
use leasehold_domain::Seat;
use leasehold_domain::SeatState;
use leasehold_test_servers::until;

use crate::asking::acquire;
use crate::asking::ask;
use crate::asking::command;
use crate::asking::take;
use crate::asking::view;
use crate::asking::waiting;
use crate::sharing::Gateways;

/// A batch of a thousand locks is one point in time, also for the other gateway; one that no
/// transaction can hold is refused, and nothing of it happens.
#[test]
fn a_large_batch_is_whole_and_a_huge_one_is_refused() {
    leasehold_conformance::run(async {
        let gateways = Gateways::start(2).await;
        let commands = |who: &str, bytes: usize| {
            let each = (0..1_000).map(|n| {
                let mut command = command(who, &format!("l-{n}"), acquire(60_000));
                if let Some(cause) = command.cause.as_mut().map(Arc::make_mut) {
                    cause.request.value = Some(noise(bytes).into());
                }
                command
            });
            Batch {
                commands: each.collect(),
                atomicity: Atomicity::AllOrNothing,
                notes: Vec::new(),
            }
        };
        let huge = gateways.each[0].execute(commands("eve", 4_096)).await;
        let failure = huge.expect_err("it is too large");
        assert_eq!(
            (failure.kind, failure.effect),
            (ErrorKind::Invalid, Effect::None)
        );
        let both = gateways
            .each
            .iter()
            .zip(["ann", "bob"])
            .map(|(gateway, who)| {
                let batch = commands(who, 0);
                async move { gateway.execute(batch).await.expect("an answer") }
            });
        let outcomes = join_all(both).await;
        let granted = |outcomes: &Vec<Outcome>| {
            outcomes
                .iter()
                .filter(|o| matches!(o, Outcome::Granted(_)))
                .count()
        };
        let mut counts: Vec<usize> = outcomes.iter().map(granted).collect();
        counts.sort_unstable();
        assert_eq!(counts, [0, 1_000]);
        assert_eq!(gateways.each[0].health().await.newest, Cursor(1_000));
    });
}

/// Who waits is kept beside the lock, so that a hand-over moves one of them. All may have to go in one
/// write, though: a queue that is too large for that takes nobody more, and is served as a whole.
#[test]
fn a_queue_takes_no_more_than_can_go_in_one_write() {
    leasehold_conformance::run(async {
        let gateways = Gateways::start(2).await;
        let (one, other) = (&gateways.each[0], &gateways.each[1]);
        let settings = LockSettings {
            limit: 1_000,
            ..LockSettings::default()
        };
        let configure = command("op", "big", Action::Configure(settings));
        ask(one, configure).await.expect("an answer");
        let held = take(one, "ann", "big", 60_000).await;
        let mut waiters = 0;
        let refused = loop {
            let gateway = if waiters % 3 == 0 { other } else { one };
            match ask(gateway, shared_crowd(waiters)).await {
                Ok(Outcome::Queued { .. }) => waiters += 1,
                Ok(outcome) => panic!("{outcome:?}"),
                Err(refused) => break refused,
            }
        };
        assert!(waiters > 60, "only {waiters} may wait");
        assert_eq!(
            (refused.kind, refused.effect),
            (ErrorKind::Invalid, Effect::None)
        );
        let lease_id = held.lease_id;
        let release = command("ann", "big", Action::Release { lease_id });
        let released = ask(other, release).await.expect("an answer");
        assert_eq!(released, Outcome::Released);
        for gateway in [one, other] {
            let view = view(gateway, "big").await;
            let holders = view.holders.iter().map(|h| h.owner.subject.to_string());
            let expected = (0..waiters).map(|number| format!("s-{number}"));
            assert_eq!(holders.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
            assert!(view.queue.is_empty());
        }
    });
}

/// All who wait leave at once, when their time is over; other locks do not notice.
#[test]
fn the_largest_queue_ends_by_time() {
    leasehold_conformance::run(async {
        let gateways = Gateways::start(1).await;
        let store = &gateways.each[0];
        take(store, "ann", "big", 600_000).await;
        let mut waiters = 0;
        while ask(store, crowd(waiters)).await.is_ok() {
            waiters += 1;
        }
        let other = command("bob", "other", acquire(62_000));
        ask(store, other).await.expect("an answer");
        gateways.pass(90_000).await;
        until("their time is over", || async {
            view(store, "big").await.queue.is_empty()
                && view(store, "other").await.holders.is_empty()
        })
        .await;
        assert!(waiters > 60, "only {waiters} may wait");
    });
}

/// What the store says that it takes of a record it takes, to the last of those who wait.
#[test]
fn a_record_within_the_limit_comes_from_another_store() {
    leasehold_conformance::run(async {
        let (old, new) = (Gateways::start(1).await, Gateways::start(1).await);
        let (old, new) = (&old.each[0], &new.each[0]);
        let name = command("op", "big", Action::Tick).lock;
        let limit = new.import_limit().expect("etcd has one");
        let (mut fits, mut waiters) = (None, 0);
        loop {
            let exported = step(old, Action::Export).await;
            let Outcome::Exported { record, .. } = exported else {
                panic!("{exported:?}");
            };
            let bytes = record
                .as_ref()
                .map_or(0, |record| (limit.bytes_of)(&name, record));
            if bytes > limit.bytes_max {
                break;
            }
            fits = record.map(|record| (record, bytes));
            // The old store has a limit of its own, which is a little higher.
            ask(old, crowd(waiters)).await.expect("a place");
            waiters += 1;
        }
        let (record, bytes) = fits.expect("the first ones fit");
        assert!(
            bytes > limit.bytes_max - 32 * 1_024,
            "{bytes} of {}",
            limit.bytes_max
        );
        seat(new, SeatState::Arriving).await;
        let import = Action::Import { era: ERA, record };
        assert_eq!(step(new, import).await, Outcome::Imported);
        seat(new, SeatState::Open).await;
        let view = new
            .read(&name, Freshness::Linearizable)
            .await
            .expect("a view");
        assert_eq!(view.queue.len() + 2, waiters);
    });
}

const ERA: u64 = 1;

/// One more who wants the lock, with all that an acquire may bring.
fn crowd(number: usize) -> Command {
    let action = waiting(60_000, 60_000);
    let mut command = command(&format!("s-{number}"), "big", action);
    if let Some(cause) = command.cause.as_mut().map(Arc::make_mut) {
        cause.request.value = Some(noise(4_096).into());
        let label = |n| (format!("label-{n}").into(), noise(256).into());
        cause.request.labels = (0..16).map(label).collect();
    }
    command
}

/// The same, for a share of it.
fn shared_crowd(number: usize) -> Command {
    let mut command = crowd(number);
    if let Action::Acquire { mode, .. } = &mut command.action {
        *mode = Mode::Shared { permits: 1 };
    }
    command
}

async fn step(store: &EtcdBackend, action: Action) -> Outcome {
    let step = Command {
        cause: None,
        ..command("op", "big", action)
    };
    ask(store, step).await.expect("an answer")
}

async fn seat(store: &EtcdBackend, state: SeatState) {
    let seat = Seat {
        era: ERA,
        state,
        token_offset: 0,
    };
    let op = command("op", "big", Action::Tick);
    let (cause, namespace) = (op.cause.expect("a cause"), op.lock.namespace);
    let edit = Edit {
        collection: Seat::COLLECTION.into(),
        id: namespace.as_str().into(),
        precondition: Precondition::Any,
        body: Some(Arc::from(seat.to_string().into_bytes())),
        change: Some(Change {
            request_id: cause.request_id.clone(),
            principal: cause.principal.clone(),
            collection: Seat::COLLECTION.into(),
            id: namespace.as_str().into(),
            digest: None,
            summary: "moved".into(),
        }),
    };
    let written = store.write(vec![edit]).await.expect("an answer");
    assert!(matches!(written, EditOutcome::Done(_)), "{written:?}");
}

fn noise(bytes: usize) -> String {
    (0..bytes / 16)
        .map(|n| format!("{:016x}", rand_like(n as u64)))
        .collect()
}

/// Bytes that do not pack.
fn rand_like(n: u64) -> u64 {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;
    static STATE: AtomicU64 = AtomicU64::new(0x9e37_79b9_7f4a_7c15);
    let mut x = STATE.fetch_add(n | 1, Ordering::Relaxed);
    x ^= x << 13;
    x ^= x >> 7;
    x.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

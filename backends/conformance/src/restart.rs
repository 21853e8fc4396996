//! What a durable store keeps.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::join_all;
use leasehold_domain::Action;
use leasehold_domain::Cursor;
use leasehold_domain::EditOutcome;
use leasehold_domain::EndCause;
use leasehold_domain::LockSettings;
use leasehold_domain::Outcome;
use leasehold_domain::Precondition;

use crate::Durable;
use crate::asking::LONG;
use crate::asking::Store;
use crate::asking::WAIT;
use crate::asking::acquire;
use crate::asking::acquire_once;
use crate::asking::command;
use crate::asking::granted;
use crate::asking::lock;
use crate::asking::renew;
use crate::governing::edit;
use crate::head;
use crate::tail::names;

impl<H: Durable> Store<'_, H> {
    pub(crate) async fn restart(self) -> Self {
        Self {
            running: self.harness.restart(self.running).await,
            harness: self.harness,
        }
    }
}

/// Acquires whose leases have ended are known after a restart, those of a while ago and those of
/// just now, and their late duplicates are granted nothing.
pub async fn a_late_duplicate_is_known_after_a_restart(harness: &impl Durable) {
    let store = Store::start(harness).await;
    let ask = |n: usize| {
        let request = format!("request-{n}-of-ann");
        command("ann", &request, lock("one"), acquire_once(LONG, None))
    };
    for n in 0..30 {
        let grant = granted(store.run_one(ask(n)).await);
        store.give_back("ann", "one", grant.lease_id).await;
        if n == 20 {
            store.pass(1_500).await;
        }
    }
    let mut store = store.restart().await;
    for again in [false, true] {
        for n in [0, 20, 25, 29] {
            let outcome = store.run_one(ask(n)).await;
            assert_eq!(outcome, Outcome::LeaseLost(EndCause::Released), "{n}");
        }
        if !again {
            store = store.restart().await;
        }
    }
    granted(store.run_one(ask(30)).await);
}

/// Leases, queues, settings, documents and blobs are there again, and a repeated request gets its
/// old answer.
pub async fn what_was_answered_is_there_after_a_restart(harness: &impl Durable) {
    let store = Store::start(harness).await;
    let ask = || command("ann", "the-request", lock("one"), acquire(LONG, None));
    let first = granted(store.run_one(ask()).await);
    let waits = || command("bob", "bob-waits", lock("one"), acquire(LONG, WAIT));
    store.run_one(waits()).await;
    let settings = LockSettings {
        limit: 7,
        cooldown_ms: 3,
        description: "kept".into(),
    };
    store
        .ask("ops", "two", Action::Configure(settings.clone()))
        .await;
    let written = store
        .write(vec![edit("a", Some("1"), Precondition::Absent)])
        .await;
    let blob: Arc<[u8]> = Arc::from(*b"module");
    let digest = store
        .running
        .documents
        .put_blob(blob.clone())
        .await
        .expect("stored");
    let released = store.take("ann", "three", LONG).await;
    store.give_back("ann", "three", released.lease_id).await;

    let store = store.restart().await;
    let again = granted(store.run_one(ask()).await);
    assert_eq!((again.lease_id, again.token), (first.lease_id, first.token));
    assert!(again.repeated);
    let queued = store.run_one(waits()).await;
    assert!(
        matches!(queued, Outcome::Queued { position: 0, .. }),
        "{queued:?}"
    );
    assert_eq!(store.view("two").await.settings, settings);
    assert_eq!(store.body("a").await.as_deref(), Some("1"));
    let found = store
        .running
        .documents
        .get_blob(&digest)
        .await
        .expect("read");
    assert_eq!(found, Some(blob));
    store.give_back("ann", "three", released.lease_id).await;
    store.give_back("ann", "one", first.lease_id).await;
    assert_eq!(store.holders("one").await, ["bob"]);
    let more = store
        .write(vec![edit("b", Some("2"), Precondition::Absent)])
        .await;
    let (EditOutcome::Done(before), EditOutcome::Done(after)) = (written, more) else {
        panic!("a conflict");
    };
    assert!(after > before, "revisions go on");
}

/// Tokens go on growing, whether the record is still there or not.
pub async fn tokens_grow_over_restarts(harness: &impl Durable) {
    let mut store = Store::start(harness).await;
    let mut last = 0;
    for round in 0..4 {
        let grant = store.take("ann", "one", LONG).await;
        assert!(
            grant.token.0 > last,
            "round {round}: {} after {last}",
            grant.token
        );
        last = grant.token.0;
        store.give_back("ann", "one", grant.lease_id).await;
        if round == 2 {
            let memory = leasehold_domain::limits::ENDED_LEASE_MEMORY_MS;
            store
                .until("one", memory + 30_000, |view| view.revision == 0)
                .await;
        }
        store = store.restart().await;
    }
}

/// The same events have the same cursors after a restart; those that were trimmed stay trimmed or
/// come back the same; new ones follow.
pub async fn events_are_the_same_after_a_restart(harness: &impl Durable) {
    let store = Store::start(harness).await;
    for n in 0..20 {
        let name = format!("l-{n}");
        let grant = store.take("ann", &name, LONG).await;
        store.give_back("ann", &name, grant.lease_id).await;
    }
    let before = store.tail().take(40).await;
    store.running.backend.trim(head(15)).await.expect("trim");
    let store = store.restart().await;
    let after = store.tail_after(15).take(25).await;
    assert_eq!(after, before[15..]);
    let health = store.running.backend.health().await;
    assert_eq!(health.newest, Cursor(40));
    assert!(
        health.trimmed <= Cursor(15),
        "more was trimmed than asked for"
    );
    let store = store.restart().await;
    let mut tail = store.tail_after(40);
    store.take("ann", "new", LONG).await;
    assert_eq!(names(&*tail.next().await, "new"), ["granted"]);
}

/// A restart shortens no lease, and keeps none for ever.
pub async fn a_lease_does_not_end_early_by_a_restart(harness: &impl Durable) {
    let store = Store::start(harness).await;
    let since = store.clock();
    store.take("ann", "one", 1_500).await;
    // Longer than time passes below: who is not there any more is granted nothing.
    let queued = store.ask("bob", "one", acquire(LONG, Some(LONG))).await;
    assert!(matches!(queued, Outcome::Queued { .. }), "{queued:?}");
    store.pass(500).await;
    let store = store.restart().await;
    store
        .until("one", 60_000, |view| view.queue.is_empty())
        .await;
    let lasted = store.clock() - since;
    assert!(
        lasted >= Duration::from_millis(1_500),
        "ended after {lasted:?}"
    );
    assert_eq!(store.holders("one").await, ["bob"]);
    let mut tail = store.tail();
    let handover = tail.until("one", "expired").await;
    assert_eq!(names(&handover, "one"), ["expired", "granted"]);
}

/// A holder can renew after a restart as if nothing had been.
pub async fn a_holder_does_not_notice_a_restart(harness: &impl Durable) {
    let mut store = Store::start(harness).await;
    let grant = store.take("ann", "one", 5_000).await;
    for _ in 0..3 {
        store.pass(1_000).await;
        store = store.restart().await;
        let renewed = granted(store.ask("ann", "one", renew(grant.lease_id, None)).await);
        assert_eq!(renewed.token, grant.token);
    }
}

/// After much work by many, and a restart, the store has what it had.
pub async fn much_work_survives_restarts(harness: &impl Durable) {
    let mut store = Store::start(harness).await;
    let mut told = 0;
    for round in 0..3 {
        let clients = (0..16).map(|client| {
            let store = &store;
            async move {
                let who = format!("client-{client}");
                for n in 0..20 {
                    let name = format!("r-{round}-c-{client}-{n}");
                    let grant = store.take(&who, &name, LONG).await;
                    if n % 2 == 0 {
                        store.give_back(&who, &name, grant.lease_id).await;
                    }
                }
            }
        });
        join_all(clients).await;
        told += 16 * 30;
        let before = store.running.backend.health().await;
        assert_eq!(before.newest.0, told);
        store = store.restart().await;
        let after = store.running.backend.health().await;
        assert_eq!((after.newest, after.counts), (before.newest, before.counts));
        assert_eq!(after.counts.leases, 160 * (round + 1));
        let all = usize::try_from(told).expect("few");
        store.tail().take(all).await;
    }
}

/// Whoever reads a stream may look at it once and then do something else for long, as a watcher does
/// whose client takes nothing: what is stored is there for all others meanwhile.
pub async fn a_stream_that_is_left_alone_holds_nobody_up(harness: &impl Durable) {
    let store = Store::start(harness).await;
    for n in 0..4 {
        store.take("ann", &format!("l-{n}"), LONG).await;
    }
    // What is to be read is not at hand then.
    let store = store.restart().await;
    let (backend, documents) = (&store.running.backend, &store.running.documents);
    let mut left_alone = Vec::new();
    for _ in 0..8 {
        let mut stream = backend.events(Cursor(0));
        let seen = stream.next().now_or_never().is_some();
        left_alone.push((stream, if seen { 2 } else { 1 }));
    }
    let others = async {
        let digest = documents.put_blob(Arc::from(*b"module")).await;
        let there = documents.get_blob(&digest.expect("stored")).await;
        assert!(there.expect("an answer").is_some());
        store.take("ann", "another", LONG).await;
        let last = backend.events(Cursor(4)).next().await;
        assert_eq!(last.expect("a stream").expect("an event").cursor, Cursor(5));
        backend.trim(head(0)).await.expect("an answer");
    };
    let patience = Duration::from_secs(20);
    let done = tokio::time::timeout(patience, others).await;
    done.expect("nobody waits for those who were left alone");
    for (mut stream, next) in left_alone {
        let event = stream.next().await.expect("a stream").expect("an event");
        assert_eq!(event.cursor, Cursor(next));
    }
}

//! Acquire and release of own locks by many clients, and hand-overs of one lock, through the
//! backend alone, on a real member whose commits reach the disk:
//! `cargo bench -p leasehold-backend-etcd`.

#[path = "../tests/it/asking.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod asking;
#[path = "../tests/it/server.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use more of it")]
mod server;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Writes;
use leasehold_backend_etcd::EtcdBackend;
use leasehold_domain::Action;
use leasehold_domain::Clock;
use leasehold_domain::Cursor;
use leasehold_domain::EventKind;
use leasehold_domain::LeaseHandle;
use leasehold_domain::Outcome;
use leasehold_domain::SystemClock;
use leasehold_domain::Transition;
use tokio::sync::oneshot;

const MEASURED: Duration = Duration::from_secs(5);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        for members in [1, 3] {
            let cluster = server::Etcd::start(members).await;
            for clients in [1, 16, 64, 256] {
                let store = EtcdBackend::open(server::config(&cluster), clock.clone()).await;
                let store = store.expect("it opens");
                let each = (0..clients).map(|client| cycles(&store, &clock, client));
                let what = format!("{members} members, {clients:>3} clients, cycles");
                measure(&what, &store, &clock, each).await;
            }
            let store = EtcdBackend::open(server::config(&cluster), clock.clone()).await;
            let store = store.expect("it opens");
            let grants = Grants::listen(&store);
            let each = (0..64).map(|client| hand_overs(&store, &clock, &grants, client));
            let what = format!("{members} members,  64 waiters, hand-overs");
            measure(&what, &store, &clock, each).await;
        }
    });
}

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
async fn measure<F: Future<Output = u64>>(
    what: &str,
    store: &Arc<EtcdBackend>,
    clock: &Arc<dyn Clock>,
    each: impl Iterator<Item = F>,
) {
    let before = store.health().await.writes;
    let begin = clock.monotonic();
    let done: u64 = join_all(each).await.into_iter().sum();
    let seconds = (clock.monotonic() - begin).as_secs_f64();
    let after = store.health().await.writes;
    let new = |of: fn(&Writes) -> u64| (of(&after) - of(&before)) as f64;
    let (writes, commands) = (new(Writes::count), new(Writes::commands));
    println!(
        "{what}: {:>7.0} /s, {:>6.0} transactions/s, {:.1} commands each",
        done as f64 / seconds,
        writes / seconds,
        commands / writes,
    );
    store.close().await;
}

/// One client that takes a lock of its own and gives it back, again and again.
fn cycles(
    store: &Arc<EtcdBackend>,
    clock: &Arc<dyn Clock>,
    client: usize,
) -> impl Future<Output = u64> {
    let (store, clock) = (store.clone(), clock.clone());
    let working = tokio::spawn(async move {
        let (who, name) = (format!("client-{client}"), format!("lock-{client}"));
        let (mut cycles, begin) = (0_u64, clock.monotonic());
        while clock.monotonic() - begin < MEASURED {
            let grant = asking::take(&store, &who, &name, 10_000).await;
            give(&store, &who, &name, grant.lease_id).await;
            cycles += 1;
            trim(&store, client, cycles).await;
        }
        cycles
    });
    async { working.await.expect("a client") }
}

/// One client that waits for the one lock, and hands it on at once.
fn hand_overs(
    store: &Arc<EtcdBackend>,
    clock: &Arc<dyn Clock>,
    grants: &Arc<Grants>,
    client: usize,
) -> impl Future<Output = u64> {
    let (store, clock, grants) = (store.clone(), clock.clone(), grants.clone());
    let working = tokio::spawn(async move {
        let (who, mut held) = (format!("client-{client}"), 0_u64);
        let begin = clock.monotonic();
        while clock.monotonic() - begin < MEASURED {
            let wait = asking::waiting(10_000, 60_000);
            let Action::Acquire { lease_id, .. } = wait else {
                panic!("an acquire");
            };
            let granted = grants.expect(lease_id.handle());
            let asked = asking::command(&who, "one", wait);
            match asking::ask(&store, asked).await.expect("an answer") {
                Outcome::Queued { .. } => granted.await.expect("a grant"),
                outcome => drop(asking::granted(Ok(outcome))),
            }
            give(&store, &who, "one", lease_id).await;
            held += 1;
            trim(&store, client, held * 64).await;
        }
        held
    });
    async { working.await.expect("a client") }
}

async fn give(store: &EtcdBackend, who: &str, name: &str, lease_id: leasehold_domain::LeaseId) {
    let give = asking::command(who, name, Action::Release { lease_id });
    asking::ask(store, give).await.expect("an answer");
}

/// As the ledger would.
async fn trim(store: &EtcdBackend, client: usize, done: u64) {
    if client == 0 && done.is_multiple_of(128) {
        let newest = store.health().await.newest;
        store
            .trim(leasehold_conformance::head(newest.0))
            .await
            .expect("a trim");
    }
}

/// Who waits for which lease.
#[derive(Default)]
struct Grants(Mutex<HashMap<LeaseHandle, oneshot::Sender<()>>>);

impl Grants {
    fn listen(store: &EtcdBackend) -> Arc<Self> {
        let grants = Arc::new(Self::default());
        let (told, mut events) = (grants.clone(), store.events(Cursor(0)));
        tokio::spawn(async move {
            while let Some(Ok(event)) = events.next().await {
                let EventKind::Lock { transitions, .. } = &event.kind else {
                    continue;
                };
                for transition in transitions {
                    if let Transition::Granted { handle, .. } = transition
                        && let Some(waits) = told.0.lock().expect("a map").remove(handle)
                    {
                        let _ = waits.send(());
                    }
                }
            }
        });
        grants
    }

    fn expect(&self, handle: LeaseHandle) -> oneshot::Receiver<()> {
        let (granted, waits) = oneshot::channel();
        self.0.lock().expect("a map").insert(handle, granted);
        waits
    }
}

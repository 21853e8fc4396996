//! Watches of a real store that forgets, and of the real ledger that does not.

use std::path::Path;

use leasehold_audit::LedgerOptions;
use leasehold_audit::SqliteLedger;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Batch;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_memory::MemoryBackend;
use leasehold_domain::Action;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::Digest;
use leasehold_domain::LockRef;
use leasehold_domain::LockSettings;
use leasehold_domain::ManualClock;
use leasehold_domain::Operation;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;

use super::*;
use crate::safety::tests::safety;
use crate::telemetry::Metrics;

/// Longer than any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A store, its ledger, and how far that was carried.
struct House {
    backend: Arc<MemoryBackend>,
    ledger: Arc<SqliteLedger>,
    watches: Watches,
    carried: Cursor,
}

fn house(folder: &Path) -> House {
    let clock = Arc::new(ManualClock::new(WallMillis(1_000_000)));
    let backend = MemoryBackend::new(clock.clone());
    let options = LedgerOptions {
        segment_events: 16,
        ..LedgerOptions::default()
    };
    let ledger = SqliteLedger::open(&folder.join("ledger"), options).unwrap();
    let ledger = Arc::new(ledger);
    let home = leasehold_domain::StoreName::home();
    let store = StoreClient::new(&home, backend.clone(), clock, &Metrics::new(), &safety());
    House {
        watches: Watches::new(Arc::new(store), ledger.clone()),
        backend,
        ledger,
        carried: Cursor(0),
    }
}

/// A position for a store that does not check the chain.
fn head(cursor: u64) -> LedgerHead {
    LedgerHead {
        cursor: Cursor(cursor),
        chain: Digest([0; 32]),
    }
}

fn lock(name: &str) -> LockRef {
    format!("demo/{name}").parse().unwrap()
}

impl House {
    /// A change of a lock: one event.
    async fn change(&self, name: &str, limit: u32) {
        let principal = Principal {
            subject: "op".parse().unwrap(),
            team: None,
            roles: RoleSet::default(),
            claims: [].into(),
        };
        let cause = Cause {
            request_id: "r".parse().unwrap(),
            received: WallMillis(0),
            principal: Arc::new(principal),
            request: Request::new(Operation::Configure, lock(name)),
            decision: None,
        };
        let command = Command {
            lock: lock(name),
            action: Action::Configure(LockSettings {
                limit,
                ..LockSettings::default()
            }),
            cause: Some(Arc::new(cause)),
            expect: None,
        };
        self.backend.execute(Batch::one(command)).await.unwrap();
    }

    /// Changes of two locks in turn: the even ones are of `a`.
    async fn changes(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            self.change(["a", "b"][number as usize % 2], number + 1)
                .await;
        }
    }

    /// Carries all that there is into the ledger, and lets the backend forget up to `trim`.
    async fn carry(&mut self, trim: u64) {
        let newest = self.backend.health().await.newest;
        let events = self.backend.events(self.carried);
        let count = usize::try_from(newest.0 - self.carried.0).unwrap();
        let events: Vec<_> = events.take(count).map(Result::unwrap).collect().await;
        self.ledger.append(events).await.unwrap();
        self.carried = newest;
        self.backend.trim(head(trim)).await.unwrap();
    }

    async fn watch(&self, after: Option<Place>) -> Watching {
        self.watches.begin(WatchScope::Lock(lock("a")), after).await
    }
}

fn after(cursor: u64) -> Option<Place> {
    Some(Place {
        cursor: Cursor(cursor),
        store: None,
    })
}

/// What a watch tells next, in short: the change of the lock, or why some were missed.
async fn next(watching: &mut Watching) -> String {
    let told = tokio::time::timeout(PATIENCE, watching.told.next()).await;
    match told.expect("it tells in time").expect("it has no end") {
        Told::Event(published) => match &published.event.kind {
            EventKind::Lock { transitions, .. } => match &transitions[..] {
                [Transition::Configured { settings }] => (settings.limit - 1).to_string(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        },
        Told::Resync { reason, goes_on } => format!("{reason}, on after {}", goes_on.0),
        Told::Broken => "broken".to_owned(),
    }
}

async fn expect(watching: &mut Watching, numbers: impl Iterator<Item = u32>) {
    for number in numbers {
        assert_eq!(next(watching).await, number.to_string());
    }
}

#[tokio::test]
async fn what_the_store_has_forgotten_is_told_from_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = house(folder.path());
    // More than a page of the ledger, over many segments.
    house.changes(0..1_200).await;
    house.carry(1_100).await;
    for begin in [0_u64, 1, 2, 7, 500, 1_098, 1_100, 1_150] {
        let mut watching = house.watch(after(begin)).await;
        assert_eq!(watching.begin.cursor, Cursor(begin));
        let first = u32::try_from(begin).unwrap().next_multiple_of(2);
        expect(&mut watching, (first..1_200).step_by(2)).await;
    }
    // On from the ledger to the store, and over what both have, without a gap or a repetition.
    let mut slow = house.watch(after(0)).await;
    expect(&mut slow, (0..10).step_by(2)).await;
    house.changes(1_200..1_300).await;
    expect(&mut slow, (10..1_300).step_by(2)).await;
    // A reader that stands still while everything is trimmed before it.
    house.changes(1_300..1_400).await;
    house.carry(1_400).await;
    house.changes(1_400..1_402).await;
    expect(&mut slow, (1_300..1_402).step_by(2)).await;
}

#[tokio::test]
async fn a_whole_namespace_and_a_prefix_are_told_from_the_ledger_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = house(folder.path());
    house.changes(0..40).await;
    house.carry(40).await;
    for (prefix, step) in [("", 1), ("a", 2)] {
        let scope = WatchScope::Prefix("demo".parse().unwrap(), prefix.to_owned());
        let mut watching = house.watches.begin(scope, after(0)).await;
        expect(&mut watching, (0..40).step_by(step)).await;
    }
}

#[tokio::test]
async fn a_place_that_nobody_has_is_answered_by_one_resync_and_the_watch_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path());
    house.changes(0..10).await;
    // Trimmed before the ledger had them, which no carrier does.
    house.backend.trim(head(4)).await.unwrap();
    let mut watching = house.watch(after(0)).await;
    assert_eq!(next(&mut watching).await, "trimmed, on after 10");
    house.changes(10..12).await;
    expect(&mut watching, std::iter::once(10)).await;
    // With a ledger the store is known: another one's place is foreign.
    let folder = tempfile::tempdir().unwrap();
    let mut other = self::house(folder.path());
    other.changes(0..3).await;
    other.carry(0).await;
    let own = other.watch(None).await.begin;
    assert!(own.store.is_some());
    let mut known = other
        .watch(Some(Place {
            cursor: Cursor(0),
            ..own.clone()
        }))
        .await;
    expect(&mut known, (0..3).step_by(2)).await;
    let foreign = Place {
        cursor: Cursor(1),
        store: Some("0badcafe".into()),
    };
    let mut watching = other.watch(Some(foreign)).await;
    assert_eq!(watching.begin.cursor, Cursor(3));
    assert_eq!(next(&mut watching).await, "foreign, on after 3");
    other.changes(4..5).await;
    expect(&mut watching, std::iter::once(4)).await;
}

#[tokio::test]
async fn a_place_ahead_of_the_store_is_waited_for_and_then_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = house(folder.path());
    house.changes(0..2).await;
    house.watches.place_patience = Duration::from_millis(50);
    let mut watching = house.watch(after(50)).await;
    assert_eq!(next(&mut watching).await, "unknown, on after 2");
    house.watches.place_patience = PATIENCE;
    // A node that is a little behind another comes to it.
    let (mut watching, ()) = tokio::join!(house.watch(after(3)), house.changes(2..6));
    assert_eq!(watching.begin.cursor, Cursor(3));
    expect(&mut watching, std::iter::once(4)).await;
}

//! The ledger against naive models, with segments of a few events.

mod bytes;
mod damage;
mod model;
mod reopening;
mod schema;
mod tree;

use std::path::Path;
use std::sync::Arc;

use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerQuery;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::FeatureLevel;
use leasehold_domain::Millis;
use leasehold_domain::WallMillis;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::LedgerOptions;
use super::SqliteLedger;
use crate::canonical::arbitrary;

fn options(segment_events: u32) -> LedgerOptions {
    LedgerOptions {
        backend: "test".to_owned(),
        segment_events,
        ..LedgerOptions::default()
    }
}

fn open(folder: &Path, segment_events: u32, close: bool) -> SqliteLedger {
    open_with(folder, &options(segment_events), close)
}

fn open_with(folder: &Path, options: &LedgerOptions, close: bool) -> SqliteLedger {
    SqliteLedger::start(&folder.join("ledger"), options, close).unwrap()
}

/// Segments that few events fill, or few bytes.
fn limits() -> impl Strategy<Value = LedgerOptions> {
    let bytes = prop_oneof![Just(u32::MAX), 1_u32..20_000];
    (1_u32..40, bytes).prop_map(|(segment_events, segment_bytes)| LedgerOptions {
        segment_bytes,
        ..options(segment_events)
    })
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Any events, numbered from 1, at wall times that go forth and back.
fn events(count: usize) -> impl Strategy<Value = Vec<Arc<Event>>> {
    vec((0_u64..40, arbitrary::kind().boxed()), 1..count).prop_map(|kinds| number(kinds, 1))
}

fn number(kinds: Vec<(u64, EventKind)>, first: u64) -> Vec<Arc<Event>> {
    (first..)
        .zip(kinds)
        .map(|(cursor, (wall, kind))| {
            let (cursor, now, wall) = (Cursor(cursor), Millis(cursor), WallMillis(wall));
            Arc::new(Event {
                level: FeatureLevel::FIRST,
                cursor,
                now,
                wall,
                kind,
            })
        })
        .collect()
}

fn queries() -> impl Strategy<Value = LedgerQuery> {
    let text = |pattern: &'static str| proptest::option::weighted(0.25, pattern);
    let verdict = text(
        "allow|deny|override|denied|policy_error|no_policy_bound|role|advisory_(denied|error)|other",
    );
    let operation = text("acquire|renew|release|revoke|expire|move|governance");
    let names = (
        text("a|b|c"),
        text("(a|b)/(x|y|z/w)"),
        text("s[1-5]"),
        text("t[1-4]"),
    );
    let policy = text("p[1-4](@[12]\\.0\\.0)?");
    let time = (of(0_u64..45), of(0_u64..45));
    let page = (any::<bool>(), of(0_u64..60), 1_usize..8);
    (names, operation, verdict, policy, time, page).prop_map(
        |(names, operation, verdict, policy, time, (descending, after, limit))| LedgerQuery {
            from: time.0.map(WallMillis),
            until: time.1.map(WallMillis),
            namespace: names.0,
            lock: names.1,
            subject: names.2,
            team: names.3,
            operation,
            verdict,
            policy,
            descending,
            after: after.map(Cursor),
            limit,
        },
    )
}

/// All pages of a query, by their cursors.
fn pages(runtime: &Runtime, ledger: &SqliteLedger, query: &LedgerQuery) -> Vec<u64> {
    let mut query = query.clone();
    let mut found = Vec::new();
    loop {
        let page = runtime.block_on(ledger.query(query.clone())).unwrap();
        assert_eq!(page.complete_to, ledger.head().cursor);
        assert!(page.rows.len() <= query.limit);
        assert!(
            page.next.is_none() || page.rows.len() == query.limit,
            "a short page is the last"
        );
        found.extend(page.rows.iter().map(|row| row.cursor.0));
        query.after = page.next;
        if page.next.is_none() {
            return found;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Filters equal a naive filter over all events: in closed segments, in full ones that are not
    /// closed (a crash), and in the open one; with a restart at any point.
    #[test]
    fn a_query_finds_what_a_naive_filter_finds(
        events in events(80),
        queries in vec(queries(), 12),
        limits in limits(),
        other_limits in limits(),
        split: prop::sample::Index,
        close: bool,
        restart: bool,
    ) {
        let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
        let mut ledger = open_with(folder.path(), &limits, close);
        let split = split.index(events.len());
        runtime.block_on(ledger.append(events[..split].to_vec())).unwrap();
        if restart {
            drop(ledger);
            // The file's limits hold, whatever is asked for later.
            ledger = open_with(folder.path(), &other_limits, close);
        }
        // The part that is there already is passed over.
        let head = runtime.block_on(ledger.append(events.clone())).unwrap();
        prop_assert_eq!(head.cursor.0, events.len() as u64);
        for query in &queries {
            prop_assert_eq!(pages(&runtime, &ledger, query), model::filter(&events, query), "{:?}", query);
        }
        prop_assert_eq!(runtime.block_on(ledger.verify()).unwrap(), None);
    }

    /// Holders equal a model that remembers every hold, also after crashes before a close.
    #[test]
    fn holders_are_those_that_held(
        steps in vec(model::step(), 1..80),
        limits in limits(),
        split: prop::sample::Index,
        close: bool,
    ) {
        let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
        let (events, expected) = model::holds(steps);
        let ledger = open_with(folder.path(), &limits, close);
        let split = split.index(events.len());
        runtime.block_on(ledger.append(events[..split].to_vec())).unwrap();
        drop(ledger);
        let ledger = open_with(folder.path(), &limits, true);
        runtime.block_on(ledger.append(events.clone())).unwrap();
        for lock in ["a/x", "a/y"] {
            for at in 0..45 {
                let lock = lock.parse().unwrap();
                let holders = runtime.block_on(ledger.holders(&lock, WallMillis(at))).unwrap();
                prop_assert_eq!(holders.complete_to.0, events.len() as u64);
                prop_assert_eq!(holders.holds, model::holders(&expected, &lock, at));
            }
        }
    }
}

#[tokio::test]
async fn a_gap_is_refused_and_appends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path(), 4, true);
    let (events, _) = model::holds(model::acquire_and_release(6));
    ledger.append(events[..2].to_vec()).await.unwrap();
    let before = ledger.head();
    for gap in [
        events[3..].to_vec(),
        vec![events[2].clone(), events[4].clone()],
    ] {
        let error = ledger.append(gap).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert_eq!(ledger.head(), before);
    }
    let head = ledger.append(events.clone()).await.unwrap();
    assert_eq!(ledger.append(events[1..3].to_vec()).await.unwrap(), head);
    assert_eq!(ledger.verify().await.unwrap(), None);
}

#[tokio::test]
async fn a_page_has_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path(), 4, true);
    for limit in [0, leasehold_domain::limits::PAGE_ROWS_MAX + 1] {
        let query = LedgerQuery {
            limit,
            ..LedgerQuery::default()
        };
        assert_eq!(
            ledger.query(query).await.unwrap_err().kind,
            ErrorKind::Invalid
        );
    }
}

/// A copy of the files, taken while the ledger is open, is what a killed process leaves.
#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let (folder, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ledger = open(folder.path(), 4, false);
    let (events, _) = model::holds(model::acquire_and_release(30));
    for batch in events.chunks(3) {
        let head = ledger.append(batch.to_vec()).await.unwrap();
        for name in ["ledger", "ledger-wal"] {
            std::fs::copy(folder.path().join(name), image.path().join(name)).unwrap();
        }
        // The killed process' shared memory is of no use to the next.
        let survivor = open(image.path(), 4, true);
        assert_eq!(survivor.head(), head);
        assert_eq!(survivor.verify().await.unwrap(), None);
        drop(survivor);
        for file in std::fs::read_dir(image.path()).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
    }
}

#[tokio::test]
async fn the_open_segment_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path(), 65_536, true);
    // As many events as fit, each two of a lock of their own.
    let (events, _) = model::holds(model::acquire_and_release(65_534));
    ledger.append(events).await.unwrap();
    assert!(
        ledger.index_bytes() < 10 * 1_024 * 1_024,
        "{} bytes",
        ledger.index_bytes()
    );
}

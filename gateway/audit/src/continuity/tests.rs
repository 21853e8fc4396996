//! Every way in which two parts can be of different age or origin is noticed, and none else.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Ledger;
use proptest::prelude::*;

use super::*;
use crate::SqliteLedger;
use crate::carrier::tests::Journal;
use crate::carrier::tests::Source;
use crate::carrier::tests::ledger;

fn id(byte: u8) -> StoreId {
    StoreId::from_bytes([byte; 16])
}

fn head(cursor: u64, chain: u8) -> LedgerHead {
    LedgerHead {
        cursor: Cursor(cursor),
        chain: Digest([chain; 32]),
    }
}

/// A store with events up to 100 of which 40 are gone, and a ledger that has them up to 90.
fn fitting() -> Evidence {
    Evidence {
        store: StoreHistory {
            id: id(1),
            newest: Cursor(100),
            trimmed: Cursor(40),
            revision: 200,
            ledger: Some(head(40, 7)),
            begins_after: None,
        },
        ledger_of: Some(id(1)),
        ledger: head(90, 9),
        checkpoints: vec![Checkpoint {
            cursor: Cursor(40),
            ledger: Digest([7; 32]),
            witnessed: Digest([7; 32]),
            witness: Witness::Trim,
        }],
        memory: Some(Memory {
            id: id(1),
            newest: Cursor(95),
            revision: 190,
            ledger: Cursor(85),
        }),
        others_have_rows: false,
    }
}

type Change = fn(&mut Evidence);

#[test]
fn parts_of_one_history_continue() {
    let changes: [Change; 6] = [
        |_| {},
        |evidence| evidence.ledger_of = None,
        |evidence| evidence.memory = None,
        |evidence| evidence.ledger.cursor = Cursor(40),
        |evidence| evidence.ledger.cursor = Cursor(100),
        |evidence| evidence.checkpoints.clear(),
    ];
    for (case, change) in changes.iter().enumerate() {
        let mut evidence = fitting();
        change(&mut evidence);
        assert_eq!(compare(&evidence), Ok(Continuity::Continues), "{case}");
    }
}

#[test]
fn parts_of_different_age_or_origin_are_refused_and_both_positions_named() {
    let cases: [(Change, [&str; 2]); 8] = [
        (|e| e.store.id = id(2), ["event 100", "event 95"]),
        (
            |e| e.memory.as_mut().unwrap().id = id(2),
            ["event 100", "event 95"],
        ),
        (|e| e.ledger_of = Some(id(2)), ["event 90", "event 100"]),
        (|e| e.store.newest = Cursor(89), ["is 89", "is 90"]),
        (
            |e| {
                e.store.newest = Cursor(94);
            },
            ["event 94", "event 95"],
        ),
        (|e| e.store.revision = 189, ["write 189", "write 190"]),
        (
            |e| e.checkpoints[0].ledger = Digest([8; 32]),
            ["event 90", "event 40"],
        ),
        (|e| e.ledger.cursor = Cursor(39), ["event 39", "event 40"]),
    ];
    for (case, (change, named)) in cases.into_iter().enumerate() {
        let mut evidence = fitting();
        change(&mut evidence);
        let said = compare(&evidence).expect_err("it is noticed").to_string();
        for name in named {
            assert!(said.contains(name), "{case}: {said}");
        }
    }
}

#[test]
fn a_gap_that_others_can_fill_is_a_gap() {
    let mut evidence = fitting();
    evidence.others_have_rows = true;
    evidence.ledger = head(12, 3);
    let gap = Continuity::Gap {
        from: Cursor(12),
        to: Cursor(40),
    };
    assert_eq!(compare(&evidence), Ok(gap));
}

#[test]
fn only_a_gateway_that_is_new_begins_where_the_store_is() {
    let new = || {
        let mut evidence = fitting();
        evidence.store.ledger = None;
        evidence.store.begins_after = Some(head(41, 6));
        (evidence.ledger, evidence.ledger_of) = (head(0, 0), None);
        evidence.checkpoints.clear();
        evidence.memory = None;
        evidence
    };
    assert_eq!(compare(&new()), Ok(Continuity::Begins(head(41, 6))));
    let changes: [Change; 5] = [
        |evidence| evidence.store.begins_after = None,
        |evidence| evidence.store.ledger = Some(head(40, 7)),
        |evidence| evidence.ledger_of = Some(id(1)),
        |evidence| evidence.ledger = head(1, 1),
        |evidence| evidence.memory = fitting().memory,
    ];
    for (case, change) in changes.iter().enumerate() {
        let mut evidence = new();
        change(&mut evidence);
        assert!(compare(&evidence).is_err(), "{case}");
    }
}

proptest! {
    /// Whatever the positions are: no store that is behind its ledger or what was seen of it passes,
    /// and no ledger that ends before what the store has forgotten.
    #[test]
    fn nothing_older_passes(
        newest in 0_u64..20, trimmed in 0_u64..20, ledger in 0_u64..20,
        seen in 0_u64..20, revision in 0_u64..20, seen_revision in 0_u64..20,
        same in any::<[bool; 2]>(), others in any::<bool>(),
    ) {
        let mut evidence = fitting();
        evidence.store.newest = Cursor(newest);
        evidence.store.trimmed = Cursor(trimmed.min(newest));
        evidence.store.revision = revision;
        evidence.ledger.cursor = Cursor(ledger);
        evidence.ledger_of = same[0].then(|| id(1));
        evidence.memory = Some(Memory {
            id: if same[1] { id(1) } else { id(2) },
            newest: Cursor(seen),
            revision: seen_revision,
            ledger: Cursor(0),
        });
        evidence.others_have_rows = others;
        let fits = newest >= ledger && newest >= seen && revision >= seen_revision && same[1];
        let short = ledger < trimmed.min(newest);
        let passes = fits && (others || !short);
        prop_assert_eq!(compare(&evidence).is_ok(), passes);
    }
}

/// A store that has forgotten its events up to `trimmed`, and a ledger with the first `count`.
async fn parts(
    folder: &tempfile::TempDir,
    (added, trimmed, count): (u64, u64, u64),
) -> (Source, Arc<SqliteLedger>) {
    let journal = Journal::new(0, ErrorKind::Unavailable);
    journal.add(added);
    let ledger = ledger(folder);
    let source = Source(journal);
    fill(&source, &ledger, count).await;
    let chain = ledger.chain_at(Cursor(trimmed)).await.unwrap().unwrap();
    *source.0.ledger.lock().unwrap() = Some(LedgerHead {
        cursor: Cursor(trimmed),
        chain,
    });
    source.0.trimmed.store(trimmed, Ordering::SeqCst);
    (source, ledger)
}

async fn fill(source: &Source, ledger: &SqliteLedger, count: u64) {
    use futures_util::StreamExt;
    use leasehold_backend_api::Backend;
    let events = source
        .events(Cursor(0))
        .take(usize::try_from(count).unwrap());
    let events: Vec<_> = events.map(Result::unwrap).collect().await;
    ledger.append(events).await.unwrap();
}

async fn judged(source: &Source, ledger: &SqliteLedger) -> Result<Continuity, Discontinuity> {
    compare(&gather(source, ledger, None, None).await.unwrap())
}

#[tokio::test]
async fn a_ledger_is_held_against_the_stores_own_events_and_the_chain_that_it_kept() {
    for numbers in [(60, 20, 50), (60, 50, 50), (60, 60, 60), (60, 0, 50)] {
        let folder = tempfile::tempdir().unwrap();
        let (source, own) = parts(&folder, numbers).await;
        assert_eq!(judged(&source, &own).await, Ok(Continuity::Continues));

        // Another store's ledger of the same length: its events differ from the first on.
        let other = tempfile::tempdir().unwrap();
        let foreign = ledger(&other);
        let strange = Source(Journal::strange(numbers.2));
        fill(&strange, &foreign, numbers.2).await;
        let refused = judged(&source, &foreign).await;
        let differs = matches!(refused, Err(Discontinuity::Differs { .. }));
        assert!(differs, "{numbers:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_shorter_ledger_is_refused_once_the_store_has_forgotten_more() {
    let folder = tempfile::tempdir().unwrap();
    let (source, _) = parts(&folder, (60, 20, 50)).await;
    for (count, fits) in [(0, false), (19, false), (20, true), (21, true)] {
        let folder = tempfile::tempdir().unwrap();
        let shorter = ledger(&folder);
        fill_from(&source, &shorter, count).await;
        let judged = judged(&source, &shorter).await;
        assert_eq!(judged.is_ok(), fits, "{count}: {judged:?}");
    }
}

/// Appends the first events although the store has forgotten them.
async fn fill_from(source: &Source, ledger: &SqliteLedger, count: u64) {
    let trimmed = source.0.trimmed.swap(0, Ordering::SeqCst);
    fill(source, ledger, count).await;
    source.0.trimmed.store(trimmed, Ordering::SeqCst);
}

#[tokio::test]
async fn whose_events_they_are_is_recorded_in_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let first = ledger(&folder);
    assert_eq!(first.store(), None);
    first.set_store(id(3)).await.unwrap();
    assert_eq!(first.store(), Some(id(3)));
    drop(first);
    let again = ledger(&folder);
    assert_eq!(again.store(), Some(id(3)));
    again.set_store(id(4)).await.unwrap();
    drop(again);
    assert_eq!(ledger(&folder).store(), Some(id(4)));
}

#[tokio::test]
async fn a_ledger_may_begin_in_the_middle_and_keeps_to_it() {
    use futures_util::StreamExt;
    use leasehold_backend_api::Backend;
    use leasehold_backend_api::LedgerQuery;
    let folder = tempfile::tempdir().unwrap();
    let (source, whole) = parts(&folder, (60, 0, 60)).await;
    let chain = whole.chain_at(Cursor(25)).await.unwrap().unwrap();
    let start = LedgerHead {
        cursor: Cursor(25),
        chain,
    };
    let folder = tempfile::tempdir().unwrap();
    let late = ledger(&folder);
    late.begin_after(start).await.unwrap();
    drop(late);
    let late = ledger(&folder);
    assert_eq!(late.head(), start);
    let events = source.events(Cursor(25)).take(35);
    let events: Vec<_> = events.map(Result::unwrap).collect().await;
    late.append(events).await.unwrap();
    assert_eq!(late.head(), whole.head());
    late.begin_after(start).await.expect_err("it has events");
    drop(late);
    let late = ledger(&folder);
    assert_eq!(late.verify().await.unwrap(), None);
    assert_eq!(late.chain_at(Cursor(24)).await.unwrap(), None);
    assert_eq!(late.chain_at(Cursor(25)).await.unwrap(), Some(chain));
    let chain = whole.chain_at(Cursor(26)).await.unwrap();
    assert_eq!(late.chain_at(Cursor(26)).await.unwrap(), chain);
    for descending in [false, true] {
        let all = LedgerQuery {
            limit: 100,
            descending,
            ..LedgerQuery::default()
        };
        let page = late.query(all).await.unwrap();
        assert_eq!(page.rows.len(), 35);
    }
}

//! Files that were changed behind the ledger's back.

use std::path::Path;

use leasehold_backend_api::Ledger;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use rusqlite::Connection;

use super::model;
use super::open;
use super::options;
use crate::OpenError;
use crate::SqliteLedger;
use crate::chunk::Chunk;

/// Ten events in segments of four: two closed, two events in the open one.
async fn written(folder: &Path) -> SqliteLedger {
    let (events, _) = model::holds(model::acquire_and_release(10));
    drop(filled(folder, events).await);
    // Opened again, so that the closes that were under way are done.
    open(folder, 4, true)
}

async fn filled(
    folder: &Path,
    events: Vec<std::sync::Arc<leasehold_domain::Event>>,
) -> SqliteLedger {
    let ledger = open(folder, 4, true);
    ledger.append(events).await.unwrap();
    ledger
}

fn change(folder: &Path, sql: &str) {
    let connection = Connection::open(folder.join("ledger")).unwrap();
    connection.execute_batch(sql).unwrap();
}

/// Changes the events of the chunk that begins at `first`, and stores it as it should be stored.
fn edit(folder: &Path, first: u32, edit: impl FnOnce(&mut Vec<(String, Digest)>)) {
    let connection = Connection::open(folder.join("ledger")).unwrap();
    let sql = "SELECT chains, bodies FROM chunks WHERE first = ?1";
    let (chains, bodies): (Vec<u8>, Vec<u8>) = connection
        .query_row(sql, [first], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let (chains, bodies) = Chunk::read(first.into(), &chains, &bodies)
        .unwrap()
        .edited(edit);
    let sql = "UPDATE chunks SET chains = ?2, bodies = ?3 WHERE first = ?1";
    connection.execute(sql, (first, chains, bodies)).unwrap();
}

/// A change to the file, and the event at which it must be found.
struct Damage {
    name: &'static str,
    change: fn(&Path),
    found_at: u64,
}

/// Changes to the chunks 1 to 4, 5 to 8, and 9 to 10.
const DAMAGES: &[Damage] = &[
    Damage {
        name: "another body",
        change: |folder| {
            edit(folder, 1, |events| {
                events[2].0 = events[2].0.replace("subject-", "Subject-");
            });
        },
        found_at: 3,
    },
    Damage {
        name: "another chain",
        change: |folder| edit(folder, 5, |events| events[2].1 = Digest([0; 32])),
        found_at: 7,
    },
    Damage {
        name: "an event gone from within a chunk",
        change: |folder| edit(folder, 5, |events| drop(events.remove(1))),
        found_at: 6,
    },
    Damage {
        name: "the last event gone",
        change: |folder| edit(folder, 9, |events| drop(events.pop())),
        found_at: 10,
    },
    Damage {
        name: "two events as one",
        change: |folder| {
            edit(folder, 1, |events| {
                let (second, _) = events.remove(1);
                events[0].0 += &second;
            });
        },
        found_at: 1,
    },
    Damage {
        name: "a chain of another type",
        change: |folder| change(folder, "UPDATE chunks SET chains = 'text' WHERE first = 5"),
        found_at: 5,
    },
    Damage {
        name: "a chain too few",
        change: |folder| {
            let sql = "UPDATE chunks SET chains = substr(chains, 33) WHERE first = 5";
            change(folder, sql);
        },
        found_at: 5,
    },
    Damage {
        name: "bodies of another type",
        change: |folder| change(folder, "UPDATE chunks SET bodies = 5 WHERE first = 1"),
        found_at: 1,
    },
    Damage {
        name: "bodies cut short",
        change: |folder| {
            let sql = "UPDATE chunks SET bodies = substr(bodies, 1, 50) WHERE first = 9";
            change(folder, sql);
        },
        found_at: 9,
    },
    Damage {
        name: "the first chunk gone",
        change: |folder| change(folder, "DELETE FROM chunks WHERE first = 1"),
        found_at: 1,
    },
    Damage {
        name: "a chunk gone",
        change: |folder| change(folder, "DELETE FROM chunks WHERE first = 5"),
        found_at: 5,
    },
    Damage {
        name: "the last chunk gone",
        change: |folder| change(folder, "DELETE FROM chunks WHERE first = 9"),
        found_at: 9,
    },
    Damage {
        name: "all gone",
        change: |folder| change(folder, "DELETE FROM chunks"),
        found_at: 1,
    },
];

#[tokio::test]
async fn verify_finds_each_change() {
    for damage in DAMAGES {
        let folder = tempfile::tempdir().unwrap();
        let ledger = written(folder.path()).await;
        assert_eq!(ledger.verify().await.unwrap(), None);
        (damage.change)(folder.path());
        let found = ledger.verify().await.unwrap();
        assert_eq!(found, Some(Cursor(damage.found_at)), "{}", damage.name);
    }
}

#[tokio::test]
async fn a_changed_tail_is_not_opened() {
    type Change = fn(&Path);
    let changes: [(Change, u64); 7] = [
        (
            |folder| {
                edit(folder, 9, |events| {
                    events[1].0 = events[1].0.replace("a/", "b/");
                });
            },
            10,
        ),
        (
            |folder| edit(folder, 9, |events| events[0].1 = Digest([0; 32])),
            9,
        ),
        (|folder| edit(folder, 9, |events| drop(events.remove(0))), 9),
        (
            |folder| change(folder, "UPDATE chunks SET bodies = x'0105' WHERE first = 9"),
            9,
        ),
        (
            |folder| change(folder, "DELETE FROM chunks WHERE first >= 5"),
            8,
        ),
        (|folder| edit(folder, 5, |events| drop(events.pop())), 8),
        (
            |folder| edit(folder, 5, |events| events[3].1 = Digest([0; 32])),
            8,
        ),
    ];
    for (at, (change, expected)) in changes.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        drop(written(folder.path()).await);
        // What the closes left to do is done, so that two segments are closed now.
        change(folder.path());
        let opened = SqliteLedger::open(&folder.path().join("ledger"), options(4));
        match opened {
            Err(OpenError::Tampered { cursor, .. }) => assert_eq!(cursor, expected, "change {at}"),
            other => panic!("change {at}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn other_files_are_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    drop(written(folder.path()).await);
    let other = super::LedgerOptions {
        backend: "other".to_owned(),
        ..options(4)
    };
    assert!(matches!(
        SqliteLedger::open(&path, other),
        Err(OpenError::OtherBackend { .. })
    ));
    let opened = SqliteLedger::open(&path, options(0));
    assert!(matches!(opened, Err(OpenError::Options(_))));

    let path = folder.path().join("stranger");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE mine (x)")
        .unwrap();
    assert!(matches!(
        SqliteLedger::open(&path, options(4)),
        Err(OpenError::NotALedger)
    ));
    std::fs::write(
        &path,
        "not a database at all, but long enough to be read as one",
    )
    .unwrap();
    assert!(matches!(
        SqliteLedger::open(&path, options(4)),
        Err(OpenError::Sqlite(_))
    ));
}

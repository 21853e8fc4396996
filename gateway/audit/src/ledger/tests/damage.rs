//! Files that were changed behind the ledger's back.

use leasehold_backend_api::Ledger;
use leasehold_domain::Cursor;
use rusqlite::Connection;

use super::model;
use super::open;
use super::options;
use crate::OpenError;
use crate::SqliteLedger;

/// Ten events in segments of four: two closed, two events in the open one.
async fn written(folder: &std::path::Path) -> SqliteLedger {
    let (events, _) = model::holds(model::acquire_and_release(10));
    drop(filled(folder, events).await);
    // Opened again, so that the closes that were under way are done.
    open(folder, 4, true)
}

async fn filled(
    folder: &std::path::Path,
    events: Vec<std::sync::Arc<leasehold_domain::Event>>,
) -> SqliteLedger {
    let ledger = open(folder, 4, true);
    ledger.append(events).await.unwrap();
    ledger
}

fn change(folder: &std::path::Path, sql: &str) {
    let connection = Connection::open(folder.join("ledger")).unwrap();
    connection.execute_batch(sql).unwrap();
}

#[tokio::test]
async fn verify_finds_each_change() {
    for (sql, cursor) in [
        (
            "UPDATE events SET body = replace(body, 'subject-', 'Subject-') WHERE seq = 3",
            3,
        ),
        ("UPDATE events SET chain = zeroblob(32) WHERE seq = 7", 7),
        ("UPDATE events SET chain = 'text' WHERE seq = 7", 7),
        ("UPDATE events SET body = 5 WHERE seq = 2", 2),
        ("DELETE FROM events WHERE seq = 1", 1),
        ("DELETE FROM events WHERE seq = 5", 5),
        ("DELETE FROM events WHERE seq >= 9", 9),
        ("DELETE FROM events", 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ledger = written(folder.path()).await;
        assert_eq!(ledger.verify().await.unwrap(), None);
        change(folder.path(), sql);
        assert_eq!(
            ledger.verify().await.unwrap(),
            Some(Cursor(cursor)),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn a_changed_tail_is_not_opened() {
    for (sql, expected) in [
        (
            "UPDATE events SET body = replace(body, 'a/', 'b/') WHERE seq = 10",
            10,
        ),
        ("UPDATE events SET chain = zeroblob(32) WHERE seq = 9", 9),
        ("DELETE FROM events WHERE seq = 9", 9),
        ("DELETE FROM events WHERE seq >= 8", 8),
        ("UPDATE events SET chain = zeroblob(32) WHERE seq = 8", 8),
    ] {
        let folder = tempfile::tempdir().unwrap();
        drop(written(folder.path()).await);
        // What the closes left to do is done, so that two segments are closed now.
        change(folder.path(), sql);
        let opened = SqliteLedger::open(&folder.path().join("ledger"), options(4));
        match opened {
            Err(OpenError::Tampered { cursor, .. }) => assert_eq!(cursor, expected, "{sql}"),
            other => panic!("{sql}: {other:?}"),
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
    change(folder.path(), "PRAGMA user_version = 2");
    let opened = SqliteLedger::open(&path, options(4));
    assert!(
        matches!(opened, Err(OpenError::NewerSchema { found: 2, known: 1 })),
        "{opened:?}"
    );
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

//! A commit fails so that nobody knows what the file holds.

use super::super::job::Job;
use super::*;

/// Events of one lock, from this cursor on.
fn lock_events(first: u64, count: u64) -> Vec<Arc<Event>> {
    let event = |cursor| {
        Arc::new(Event {
            level: FeatureLevel::FIRST,
            cursor: Cursor(cursor),
            now: Millis(cursor),
            wall: WallMillis(cursor),
            kind: EventKind::Lock {
                lock: "demo/a".parse().unwrap(),
                cause: None,
                transitions: vec![leasehold_domain::Transition::CoolingDown { remaining_ms: 1 }],
            },
        })
    };
    (first..first + count).map(event).collect()
}

#[tokio::test]
async fn a_file_is_opened_anew_after_a_commit_that_failed() {
    for committed in [0, 3, 9] {
        let folder = tempfile::tempdir().unwrap();
        // Segments of 4 events: what was committed may have filled some.
        let ledger = open(folder.path(), 4, true);
        ledger.append(lock_events(1, 6)).await.unwrap();
        let broken = Job::Break(lock_events(7, committed));
        ledger.jobs.send(broken).unwrap();
        // The caller never heard what became of these, and sends them again.
        let head = ledger.append(lock_events(7, 10)).await.unwrap();
        assert_eq!(head.cursor, Cursor(16), "{committed} committed");
        assert_eq!(ledger.verify().await.unwrap(), None);
        drop(ledger);
        let ledger = open(folder.path(), 4, true);
        assert_eq!(ledger.head(), head);
        assert_eq!(ledger.verify().await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_file_that_lacks_what_was_stored_is_not_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path(), 4, true);
    ledger.append(lock_events(1, 6)).await.unwrap();
    ledger.jobs.send(Job::Break(Vec::new())).unwrap();
    // Another file, which ends earlier, in its place.
    let other = tempfile::tempdir().unwrap();
    let shorter = open(other.path(), 4, true);
    shorter.append(lock_events(1, 2)).await.unwrap();
    drop(shorter);
    for name in std::fs::read_dir(folder.path()).unwrap() {
        std::fs::remove_file(name.unwrap().path()).unwrap();
    }
    let failed = ledger.append(lock_events(7, 1)).await.unwrap_err();
    assert_eq!(failed.kind, ErrorKind::Unavailable, "{failed}");
    for name in std::fs::read_dir(other.path()).unwrap() {
        let name = name.unwrap();
        std::fs::copy(name.path(), folder.path().join(name.file_name())).unwrap();
    }
    let failed = ledger.append(lock_events(7, 1)).await.unwrap_err();
    assert_eq!(failed.kind, ErrorKind::Corrupt, "{failed}");
    assert_eq!(ledger.head().cursor, Cursor(6), "what was told stays told");
}

//! Documents and blobs.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use leasehold_domain::Change;
use leasehold_domain::Digest;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::EventKind;
use leasehold_domain::Precondition;

use crate::Harness;
use crate::asking::Store;
use crate::asking::fresh_request;
use crate::asking::principal;

/// The collection of the documents that [`edit`] edits.
pub const COLLECTION: &str = "thing";

/// One edit of a document of [`COLLECTION`], with what the ledger keeps of it.
///
/// # Panics
/// The id is none of a request.
#[must_use]
pub fn edit(id: &str, body: Option<&str>, precondition: Precondition) -> Edit {
    let body: Option<Arc<[u8]>> = body.map(|body| Arc::from(body.as_bytes()));
    Edit {
        collection: COLLECTION.into(),
        id: id.into(),
        precondition,
        change: Some(Change {
            request_id: fresh_request().parse().expect("a request id"),
            principal: principal("ops"),
            collection: COLLECTION.into(),
            id: id.into(),
            digest: body.as_deref().map(Digest::of),
            summary: "edited".into(),
        }),
        body,
    }
}

impl<H: Harness + ?Sized> Store<'_, H> {
    pub(crate) async fn write(&self, edits: Vec<Edit>) -> EditOutcome {
        let written = self.running.documents.write(edits).await;
        written.expect("the store takes the edits")
    }

    pub(crate) async fn body(&self, id: &str) -> Option<String> {
        let document = self.running.documents.get("thing", id).await;
        let document = document.expect("the store can be read")?;
        Some(String::from_utf8_lossy(&document.body).into_owned())
    }
}

fn revision(outcome: &EditOutcome) -> u64 {
    match outcome {
        EditOutcome::Done(revision) => *revision,
        EditOutcome::Conflict { index, current } => panic!("edit {index} conflicts: {current:?}"),
    }
}

/// A document is written only as its precondition says, and revisions grow.
pub async fn documents_are_compared_and_set(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let conflict = |current| EditOutcome::Conflict { index: 0, current };
    let first = edit("a", Some("1"), Precondition::Absent);
    let first = revision(&store.write(vec![first.clone()]).await);
    let again = edit("a", Some("2"), Precondition::Absent);
    assert_eq!(store.write(vec![again]).await, conflict(Some(first)));
    let second = edit("a", Some("2"), Precondition::Revision(first));
    let second = revision(&store.write(vec![second]).await);
    assert!(second > first);
    let late = edit("a", Some("3"), Precondition::Revision(first));
    assert_eq!(store.write(vec![late]).await, conflict(Some(second)));
    assert_eq!(store.body("a").await.as_deref(), Some("2"));
    let deleted = edit("a", None, Precondition::Revision(second));
    let deleted = revision(&store.write(vec![deleted]).await);
    assert!(deleted > second);
    assert_eq!(store.body("a").await, None);
    let gone = edit("a", Some("4"), Precondition::Revision(second));
    assert_eq!(store.write(vec![gone]).await, conflict(None));
    let any = edit("a", Some("5"), Precondition::Any);
    assert!(revision(&store.write(vec![any]).await) > deleted);
}

/// Of two that change the same document at the same revision, one succeeds.
pub async fn one_of_many_writers_wins(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let writers = (0..8).map(|n| {
        let body = format!("writer {n}");
        let edit = edit("a", Some(&body), Precondition::Absent);
        store.write(vec![edit])
    });
    let outcomes = join_all(writers).await;
    let won = outcomes
        .iter()
        .filter(|o| matches!(o, EditOutcome::Done(_)));
    assert_eq!(won.count(), 1, "{outcomes:?}");
}

/// Edits of one write take effect together, with an event each; or none, with none.
pub async fn edits_are_all_or_none_with_their_events(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let both = vec![
        edit("a", Some("1"), Precondition::Absent),
        edit("b", Some("2"), Precondition::Absent),
    ];
    let changes: Vec<_> = both.iter().filter_map(|edit| edit.change.clone()).collect();
    let at = revision(&store.write(both).await);
    let neither = vec![
        edit("c", Some("3"), Precondition::Absent),
        edit("a", Some("4"), Precondition::Absent),
    ];
    let conflict = EditOutcome::Conflict {
        index: 1,
        current: Some(at),
    };
    assert_eq!(store.write(neither).await, conflict);
    assert_eq!(store.body("c").await, None);
    assert_eq!(store.body("a").await.as_deref(), Some("1"));
    let mut told = Vec::new();
    for event in store.tail().take(2).await {
        match &event.kind {
            EventKind::Governance(change) => told.push((**change).clone()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, changes);
    assert_eq!(store.running.backend.health().await.newest.0, 2);
}

/// An edit without a change for the ledger is made like any other, and makes no event.
pub async fn an_edit_without_a_change_makes_no_event(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let quiet = |id, body| Edit {
        change: None,
        ..edit(id, body, Precondition::Any)
    };
    let first = revision(&store.write(vec![quiet("a", Some("1"))]).await);
    let second = vec![
        quiet("a", Some("2")),
        edit("b", Some("1"), Precondition::Any),
    ];
    assert!(revision(&store.write(second).await) > first);
    assert!(revision(&store.write(vec![quiet("a", None)]).await) > first);
    assert_eq!(store.body("a").await, None);
    assert_eq!(store.running.backend.health().await.newest.0, 1);
    match &store.tail().take(1).await[0].kind {
        EventKind::Governance(change) => assert_eq!(&*change.id, "b"),
        other => panic!("{other:?}"),
    }
}

/// A collection is listed whole, in the order of its ids, and without what was deleted.
pub async fn a_collection_is_listed_in_order(harness: &impl Harness) {
    let store = Store::start(harness).await;
    for id in ["b", "a", "d", "c"] {
        store
            .write(vec![edit(id, Some(id), Precondition::Any)])
            .await;
    }
    store.write(vec![edit("d", None, Precondition::Any)]).await;
    let documents = store.running.documents.list("thing").await.expect("a list");
    let ids: Vec<&str> = documents.iter().map(|document| &*document.id).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    let other = store.running.documents.list("other").await.expect("a list");
    assert!(other.is_empty());
}

/// A snapshot has what was written before it was asked for, as of one revision, and tells what has
/// changed since an earlier one, also what was deleted.
pub async fn a_snapshot_tells_what_has_changed_since_another(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let snapshot = async || {
        let snapshot = store.running.documents.snapshot().await;
        snapshot.expect("the store can be read")
    };
    let empty = snapshot().await;
    assert_eq!(empty.collection("thing").count(), 0);
    for id in ["a", "b", "c", "d"] {
        let made = edit(id, Some("1"), Precondition::Absent);
        store.write(vec![made]).await;
    }
    let before = snapshot().await;
    let ids = before.collection("thing").map(|document| &*document.id);
    assert_eq!(ids.collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    let edits = vec![
        edit("b", Some("2"), Precondition::Any),
        edit("c", None, Precondition::Any),
        edit("e", Some("1"), Precondition::Any),
    ];
    let written = revision(&store.write(edits).await);
    let conflict = edit("d", Some("2"), Precondition::Absent);
    store.write(vec![conflict]).await;
    let after = snapshot().await;
    assert_eq!(after.revision(), written);
    let changes = after.changes_since(&before);
    let bodies = changes.iter().map(|change| {
        let body = |document: &leasehold_domain::Document| document.body.to_vec();
        (change.id, change.before.map(body), change.after.map(body))
    });
    let (one, two) = (|| Some(b"1".to_vec()), || Some(b"2".to_vec()));
    let expected = [("b", one(), two()), ("c", one(), None), ("e", None, one())];
    assert_eq!(bodies.collect::<Vec<_>>(), expected);
    assert_eq!(after, snapshot().await, "nothing has changed since");
}

/// Whoever asks is told the revision of the last write, also when that was a deletion.
pub async fn the_revision_is_that_of_the_last_write(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let asked = async || store.running.documents.revision().await.expect("read");
    let before = asked().await;
    let written = store.write(vec![edit("a", Some("1"), Precondition::Any)]);
    let written = revision(&written.await);
    assert!(written > before);
    assert_eq!(asked().await, written);
    let deleted = revision(&store.write(vec![edit("a", None, Precondition::Any)]).await);
    assert!(deleted > written);
    assert_eq!(asked().await, deleted);
    let late = edit("a", Some("2"), Precondition::Revision(written));
    store.write(vec![late]).await;
    assert_eq!(asked().await, deleted, "a conflict changes nothing");
}

/// Whoever watches hears the current revision at once, and the last one in the end.
pub async fn a_watcher_hears_of_the_last_change(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let mut watch = store.running.documents.watch();
    let mut heard = watch.next().await.expect("the current revision");
    let mut last = 0;
    for n in 0..10 {
        let body = n.to_string();
        last = revision(
            &store
                .write(vec![edit("a", Some(&body), Precondition::Any)])
                .await,
        );
    }
    let patience = std::time::Duration::from_secs(30);
    while heard < last {
        let next = tokio::time::timeout(patience, watch.next()).await;
        let next = next.expect("the last revision is not skipped");
        let next = next.expect("a watch has no end");
        assert!(next > heard, "{next} after {heard}");
        heard = next;
    }
    let mut late = store.running.documents.watch();
    assert_eq!(late.next().await, Some(last));
}

/// Blobs are found by their digest; storing one again is harmless.
pub async fn blobs_are_found_by_their_digest(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let documents = &store.running.documents;
    let bytes: Arc<[u8]> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let digest = documents.put_blob(bytes.clone()).await.expect("stored");
    assert_eq!(digest, Digest::of(&bytes));
    let again = documents.put_blob(bytes.clone()).await.expect("stored");
    assert_eq!(again, digest);
    let found = documents.get_blob(&digest).await.expect("read");
    assert_eq!(found, Some(bytes));
    let none = documents.get_blob(&Digest([7; 32])).await.expect("read");
    assert_eq!(none, None);
}

//! Revisions of namespaces, over the memory store.

use leasehold_domain::NamespaceName;

use super::*;
use crate::governance::document::NAMESPACE_REVISIONS;
use crate::governance::document::NAMESPACES;
use crate::governance::document::NamespaceCaps;
use crate::governance::document::NamespaceDocument;
use crate::governance::document::NamespaceDraft;
use crate::governance::document::NamespaceSettings;
use crate::governance::document::Visibility;

fn draft(name: &str, locks_max: u64) -> NamespaceDraft {
    let caps = NamespaceCaps {
        locks: Some(locks_max),
        ..NamespaceCaps::default()
    };
    NamespaceDraft {
        name: name.parse().unwrap(),
        team: None,
        visibility: Visibility::Everyone,
        description: String::new(),
        default_decision: DefaultDecision::Deny,
        store: None,
        caps: Some(caps),
    }
}

async fn put(gate: &Gate, draft: &NamespaceDraft, reason: Option<&str>) -> u64 {
    let (ann, any) = (caller("ann", &[]), Precondition::Any);
    let put = gate.governance.put_namespace_for(&ann, draft, any, reason);
    put.await.unwrap().number
}

async fn delete(gate: &Gate, name: &str) -> u64 {
    let (ann, any, name) = (caller("ann", &[]), Precondition::Any, named(name));
    let why = Some("of no use");
    let deleted = gate
        .governance
        .delete_namespace_for(&ann, &name, any, why)
        .await;
    deleted.unwrap().number
}

async fn restore(gate: &Gate, name: &str, number: u64) -> Result<NamespaceDocument, Failure> {
    let (ann, name) = (caller("ann", &[]), named(name));
    let restoring = gate.governance.restore_namespace(&ann, &name, number, None);
    restoring.await.map(|written| written.stored.document)
}

async fn all(gate: &Gate, name: &str) -> DocumentRevisions<NamespaceSettings> {
    gate.governance.revisions(name, None, ALL).await.unwrap()
}

fn named(name: &str) -> NamespaceName {
    name.parse().unwrap()
}

/// Writes a namespace as a build that keeps no revisions of namespaces does.
async fn put_as_before(gate: &Gate, name: &str, document: Option<&NamespaceDocument>) {
    let (ann, any) = (caller("ann", &[]), Precondition::Any);
    let summary = format!("namespace {name}");
    let governance = &gate.governance;
    let writing = governance.write(&ann, NAMESPACES, name, document, any, summary);
    writing.await.unwrap();
}

#[tokio::test]
async fn every_change_of_a_namespace_is_a_revision_that_can_be_restored() {
    let gate = Gate::open().await;
    assert_eq!(put(&gate, &draft("batch", 10), None).await, 1);
    let more = NamespaceDraft {
        team: Some("ci".parse().unwrap()),
        ..draft("batch", 20)
    };
    assert_eq!(put(&gate, &more, Some("ticket 7")).await, 2);
    // The same again is not a change, and a replacement that does not speak of caps keeps them.
    let same = NamespaceDraft {
        caps: None,
        ..more.clone()
    };
    assert_eq!(put(&gate, &same, None).await, 2);
    assert_eq!(delete(&gate, "batch").await, 3);

    let page = all(&gate, "batch").await;
    assert!(!page.is_unrecorded && page.next.is_none(), "{page:?}");
    let told = page.revisions.iter().map(|one| {
        let document = &one.document;
        let paths: Vec<_> = one.changes.iter().map(|one| &*one.path).collect();
        let why = document.reason.as_deref();
        (document.number, document.origin.as_str(), why, paths)
    });
    let expected = [
        (3, "delete", Some("of no use"), vec![""]),
        (2, "put", Some("ticket 7"), vec!["/caps/locks", "/team"]),
        (1, "put", None, vec![""]),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let by = page.revisions[0].document.by.as_deref();
    assert_eq!(by, Some("ann"));

    let restored = restore(&gate, "batch", 1).await.unwrap();
    assert_eq!(restored.caps.locks, Some(10));
    assert_eq!(restored.team, None);
    let newest = all(&gate, "batch").await.revisions.remove(0).document;
    let expected = (4, RevisionOrigin::Restore(1));
    assert_eq!((newest.number, newest.origin), expected);
    let deletion = restore(&gate, "batch", 3).await.unwrap_err();
    assert_eq!(deletion.kind, FailureKind::Invalid);
    let missing = restore(&gate, "batch", 9).await.unwrap_err();
    assert_eq!(missing.kind, FailureKind::NotFound);
    let governance = &gate.governance;
    let never = governance.revisions::<NamespaceSettings>("never", None, ALL);
    let never = never.await.unwrap_err();
    assert_eq!(never.kind, FailureKind::NamespaceNotFound);
}

/// A move changes where the locks are, and no setting.
#[tokio::test]
async fn a_move_is_no_revision_and_a_restore_moves_nothing() {
    let gate = Gate::open().await;
    put(&gate, &draft("batch", 10), None).await;
    put(&gate, &draft("batch", 20), None).await;
    let stored = gate.governance.namespace(&named("batch")).await.unwrap();
    let mut moved = stored.document.clone();
    moved.travels.era = 3;
    let ann = caller("ann", &[]);
    let same = Precondition::Revision(stored.revision);
    let placed = gate.governance.write_place(&ann, &moved, same).await;
    placed.unwrap();
    let page = all(&gate, "batch").await;
    assert!(!page.is_unrecorded && page.revisions.len() == 2, "{page:?}");
    let restored = restore(&gate, "batch", 1).await.unwrap();
    assert_eq!(restored.travels.era, 3);
    assert_eq!(restored.caps.locks, Some(10));
    assert_eq!(all(&gate, "batch").await.revisions.len(), 3);
}

#[tokio::test]
async fn a_namespace_of_a_build_without_revisions_is_recorded_by_the_next_change() {
    let gate = Gate::open().await;
    put(&gate, &draft("batch", 10), None).await;
    let stored = gate.governance.namespace(&named("batch")).await.unwrap();
    let mut other = stored.document;
    other.caps.locks = Some(20);
    put_as_before(&gate, "batch", Some(&other)).await;
    assert!(all(&gate, "batch").await.is_unrecorded);
    assert_eq!(put(&gate, &draft("batch", 30), None).await, 3);
    let page = all(&gate, "batch").await;
    assert!(!page.is_unrecorded);
    let second = &page.revisions[1].document;
    let expected = (&None, RevisionOrigin::RecordedLater);
    assert_eq!((&second.by, second.origin.clone()), expected);
    let body = second.body.as_ref().unwrap();
    assert_eq!(body.caps.locks, Some(20));
}

#[tokio::test]
async fn revisions_make_room_and_those_of_bindings_are_others() {
    let gate = Gate::open().await;
    let most = REVISIONS_MAX as u64;
    for number in 1..=most + 3 {
        assert_eq!(put(&gate, &draft("batch", number), None).await, number);
    }
    assert_eq!(all(&gate, "batch").await.revisions.len(), REVISIONS_MAX);
    let kept = gate.governance.all(NAMESPACE_REVISIONS).await.unwrap();
    assert_eq!(kept.len(), REVISIONS_MAX + 1);
    let bindings = gate.governance.all(BINDING_REVISIONS).await.unwrap();
    assert_eq!(bindings.len(), 0);
    for number in 0..=HISTORIES_DELETED_MAX {
        let name = format!("n{number}");
        put(&gate, &draft(&name, 1), None).await;
        delete(&gate, &name).await;
    }
    let governance = &gate.governance;
    let forgotten = governance.revisions::<NamespaceSettings>("n0", None, ALL);
    let forgotten = forgotten.await.unwrap_err();
    assert_eq!(forgotten.kind, FailureKind::NamespaceNotFound);
    assert_eq!(all(&gate, "n1").await.revisions.len(), 2);
}

#[tokio::test]
async fn a_reason_is_checked_and_the_precondition_of_a_deletion_holds() {
    let gate = Gate::open().await;
    put(&gate, &draft("batch", 10), None).await;
    let (ann, name) = (caller("ann", &[]), named("batch"));
    let governance = &gate.governance;
    let long = "x".repeat(REVISION_REASON_BYTES_MAX + 1);
    let (any, why) = (Precondition::Any, Some(&*long));
    let draft = draft("batch", 20);
    let put = governance.put_namespace_for(&ann, &draft, any, why);
    assert_eq!(put.await.unwrap_err().kind, FailureKind::Invalid);
    let restoring = governance.restore_namespace(&ann, &name, 1, why);
    assert_eq!(restoring.await.unwrap_err().kind, FailureKind::Invalid);
    let deleted = governance.delete_namespace_for(&ann, &name, any, why);
    assert_eq!(deleted.await.unwrap_err().kind, FailureKind::Invalid);
    let stale = Precondition::Revision(1);
    let deleted = governance.delete_namespace_for(&ann, &name, stale, None);
    let refused = deleted.await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::PreconditionFailed);
    assert_eq!(all(&gate, "batch").await.revisions.len(), 1);
}

//! Revisions of bindings, over the memory store.

mod namespaces;

use leasehold_domain::limits::DOCUMENT_BYTES_MAX;
use leasehold_domain::limits::REVISIONS_MAX;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::failure::FailureKind;
use crate::governance::document::BINDING_REVISIONS;
use crate::governance::document::BINDINGS;
use crate::governance::document::BindingDocument;
use crate::governance::document::DefaultDecision;
use crate::pipeline::fixture::Gate;
use crate::pipeline::fixture::caller;

const ALL: usize = 1_000;

async fn gate() -> Gate {
    let gate = Gate::open().await;
    gate.namespace("demo", DefaultDecision::Allow).await;
    gate
}

fn bounds(name: &str, max_ttl_ms: u64) -> BindingDocument {
    let config = json!({ "rules": [{ "max_ttl_ms": max_ttl_ms }] });
    let binding = json!({ "name": name, "namespaces": ["demo"], "policies": [
        { "policy": "ttl-bounds", "version": "1.1.0", "config": config }] });
    serde_json::from_value(binding).unwrap()
}

async fn put(gate: &Gate, binding: &BindingDocument, reason: Option<&str>) -> u64 {
    let ann = caller("ann", &[]);
    let any = Precondition::Any;
    let written = gate
        .governance
        .put_binding_for(&ann, binding, any, reason)
        .await;
    written.unwrap().number
}

async fn delete(gate: &Gate, name: &str) -> u64 {
    let ann = caller("ann", &[]);
    let (any, why) = (Precondition::Any, Some("of no use"));
    let deleted = gate
        .governance
        .delete_binding_for(&ann, name, any, why)
        .await;
    deleted.unwrap().1
}

async fn all(gate: &Gate, name: &str) -> DocumentRevisions<BindingDocument> {
    let found = gate.governance.revisions(name, None, ALL).await;
    found.unwrap()
}

async fn restore(gate: &Gate, name: &str, number: u64) -> Result<BindingDocument, Failure> {
    let ann = caller("ann", &[]);
    let restoring = gate.governance.restore_binding(&ann, name, number, None);
    restoring.await.map(|(document, _)| document)
}

/// Writes a binding as a build that keeps no revisions does.
async fn put_as_before(gate: &Gate, name: &str, binding: Option<&BindingDocument>) {
    let (ann, any) = (caller("ann", &[]), Precondition::Any);
    let summary = format!("binding {name}");
    let writing = gate
        .governance
        .write(&ann, BINDINGS, name, binding, any, summary);
    writing.await.unwrap();
}

#[tokio::test]
async fn every_change_is_a_revision_with_author_reason_and_what_it_changed() {
    let gate = gate().await;
    assert_eq!(put(&gate, &bounds("b", 1_000), None).await, 1);
    assert_eq!(put(&gate, &bounds("b", 2_000), Some("ticket 7")).await, 2);
    // The same again is not a change.
    assert_eq!(put(&gate, &bounds("b", 2_000), Some("again")).await, 2);
    assert_eq!(delete(&gate, "b").await, 3);

    let page = all(&gate, "b").await;
    assert!(!page.is_unrecorded && page.next.is_none(), "{page:?}");
    let told: Vec<_> = page
        .revisions
        .iter()
        .map(|one| {
            let document = &one.document;
            let by = document.by.as_deref();
            (
                document.number,
                by,
                document.origin.as_str(),
                document.reason.as_deref(),
            )
        })
        .collect();
    let by = Some("ann");
    let expected = [
        (3, by, "delete", Some("of no use")),
        (2, by, "put", Some("ticket 7")),
        (1, by, "put", None),
    ];
    assert_eq!(told, expected);
    let second = &page.revisions[1];
    assert_eq!(second.document.body, Some(bounds("b", 2_000)));
    let change = FieldChange {
        path: "/policies/0/config/rules/0/max_ttl_ms".to_owned(),
        before: Some(json!(1_000)),
        after: Some(json!(2_000)),
    };
    assert_eq!(second.changes, [change]);
    for (at, is_there) in [(0, (true, false)), (2, (false, true))] {
        let changes = &page.revisions[at].changes;
        assert_eq!((changes.len(), &*changes[0].path), (1, ""));
        let found = (changes[0].before.is_some(), changes[0].after.is_some());
        assert_eq!(found, is_there);
    }
}

#[tokio::test]
async fn pages_go_on_where_the_one_before_ended_and_two_revisions_can_be_compared() {
    let gate = gate().await;
    for number in 1..=5 {
        put(&gate, &bounds("b", number * 1_000), None).await;
    }
    let mut numbers = Vec::new();
    let mut below = None;
    loop {
        let page = gate
            .governance
            .revisions::<BindingDocument>("b", below, 2)
            .await
            .unwrap();
        assert!(page.revisions.len() <= 2);
        numbers.extend(page.revisions.iter().map(|one| one.document.number));
        below = page.next;
        if below.is_none() {
            break;
        }
    }
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
    let compared = gate
        .governance
        .revision::<BindingDocument>("b", 4, Some(1))
        .await
        .unwrap();
    assert_eq!(compared.against, 1);
    let change = &compared.changes[0];
    assert_eq!(
        (&change.before, &change.after),
        (&Some(json!(1_000)), &Some(json!(4_000)))
    );
    for (number, against) in [(6, None), (0, None), (3, Some(9))] {
        let missing = gate
            .governance
            .revision::<BindingDocument>("b", number, against)
            .await;
        assert_eq!(missing.unwrap_err().kind, FailureKind::NotFound);
    }
    let never = gate
        .governance
        .revisions::<BindingDocument>("never", None, ALL)
        .await;
    assert_eq!(never.unwrap_err().kind, FailureKind::NotFound);
}

#[tokio::test]
async fn a_revision_is_restored_by_the_checks_of_a_put_also_after_the_deletion() {
    let gate = gate().await;
    put(&gate, &bounds("b", 1_000), None).await;
    put(&gate, &bounds("b", 2_000), None).await;
    restore(&gate, "b", 1).await.unwrap();
    delete(&gate, "b").await;
    restore(&gate, "b", 2).await.unwrap();
    let bound = gate.governance.binding("b").await.unwrap().document;
    assert_eq!(bound, bounds("b", 2_000));
    let newest = all(&gate, "b").await.revisions.remove(0).document;
    assert_eq!(
        (newest.number, newest.origin),
        (5, RevisionOrigin::Restore(2))
    );
    // The deletion says nothing that a binding could say.
    let refused = restore(&gate, "b", 4).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Invalid);
    assert_eq!(
        restore(&gate, "b", 9).await.unwrap_err().kind,
        FailureKind::NotFound
    );
    // What cannot be bound any more is refused, and nothing is written.
    let elsewhere = BindingDocument {
        namespaces: vec!["gone".to_owned()],
        ..bounds("c", 1_000)
    };
    gate.namespace("gone", DefaultDecision::Allow).await;
    put(&gate, &elsewhere, None).await;
    put(&gate, &bounds("c", 1_000), None).await;
    let (ann, gone) = (caller("ann", &[]), "gone".parse().unwrap());
    gate.governance.delete_namespace(&ann, &gone).await.unwrap();
    let refused = restore(&gate, "c", 1).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Invalid, "{refused:?}");
    assert_eq!(all(&gate, "c").await.revisions.len(), 2);
}

#[tokio::test]
async fn what_a_build_without_revisions_wrote_is_recorded_by_the_next_change() {
    let gate = gate().await;
    put_as_before(&gate, "b", Some(&bounds("b", 1_000))).await;
    let page = all(&gate, "b").await;
    assert!(page.is_unrecorded && page.revisions.is_empty(), "{page:?}");
    assert_eq!(put(&gate, &bounds("b", 2_000), None).await, 2);
    put_as_before(&gate, "b", Some(&bounds("b", 3_000))).await;
    assert!(all(&gate, "b").await.is_unrecorded);
    assert_eq!(delete(&gate, "b").await, 4);
    let page = all(&gate, "b").await;
    assert!(!page.is_unrecorded);
    let told = page.revisions.iter().map(|one| {
        let document = &one.document;
        (
            document.number,
            document.origin.as_str(),
            document.by.is_some(),
        )
    });
    let expected = [
        (4, "delete", true),
        (3, "recorded-later", false),
        (2, "put", true),
        (1, "recorded-later", false),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    restore(&gate, "b", 1).await.unwrap();
    let bound = gate.governance.binding("b").await.unwrap().document;
    assert_eq!(bound, bounds("b", 1_000));
    // It deleted a binding, too.
    put_as_before(&gate, "b", None).await;
    assert_eq!(put(&gate, &bounds("b", 9_000), None).await, 7);
    let deleted = gate
        .governance
        .revision::<BindingDocument>("b", 6, None)
        .await
        .unwrap();
    assert_eq!(deleted.document.body, None);
}

#[tokio::test]
async fn the_oldest_revisions_make_room_in_the_same_write() {
    let gate = gate().await;
    let most = REVISIONS_MAX as u64;
    for number in 1..=most + 3 {
        assert_eq!(put(&gate, &bounds("b", number * 1_000), None).await, number);
    }
    let page = all(&gate, "b").await;
    assert_eq!(page.revisions.len(), REVISIONS_MAX);
    let oldest = page.revisions.last().unwrap();
    assert_eq!(oldest.document.number, 4);
    assert_eq!(
        oldest.changes.len(),
        1,
        "the one before it is kept to compare"
    );
    let gone = gate
        .governance
        .revision::<BindingDocument>("b", 3, None)
        .await;
    assert_eq!(gone.unwrap_err().kind, FailureKind::NotFound);
    let kept = gate.governance.all(BINDING_REVISIONS).await.unwrap();
    assert_eq!(kept.len(), REVISIONS_MAX + 1);
}

#[tokio::test]
async fn revisions_of_the_binding_that_was_deleted_first_make_room() {
    let gate = gate().await;
    for number in 0..=HISTORIES_DELETED_MAX {
        let name = format!("b{number}");
        put(&gate, &bounds(&name, 1_000), None).await;
        delete(&gate, &name).await;
    }
    let forgotten = gate
        .governance
        .revisions::<BindingDocument>("b0", None, ALL)
        .await;
    assert_eq!(forgotten.unwrap_err().kind, FailureKind::NotFound);
    assert_eq!(all(&gate, "b1").await.revisions.len(), 2);
    let kept = gate.governance.all(BINDING_REVISIONS).await.unwrap();
    assert_eq!(kept.len(), 2 * HISTORIES_DELETED_MAX);
}

/// The revision of a binding has more bytes than the binding, and must not make it too large.
#[tokio::test]
async fn a_binding_of_the_greatest_size_has_revisions() {
    let gate = gate().await;
    let mut binding = bounds("b", 1_000);
    let lock = "x".repeat(500);
    while serde_json::to_vec(&binding).unwrap().len() < DOCUMENT_BYTES_MAX - 600 {
        binding.locks.push(lock.clone());
    }
    assert_eq!(put(&gate, &binding, None).await, 1);
}

#[tokio::test]
async fn a_reason_is_checked_and_the_precondition_of_a_deletion_holds() {
    let gate = gate().await;
    let ann = caller("ann", &[]);
    put(&gate, &bounds("b", 1_000), None).await;
    let long = "x".repeat(REVISION_REASON_BYTES_MAX + 1);
    for reason in [&*long, "a\u{7}b"] {
        let binding = bounds("b", 2_000);
        let any = Precondition::Any;
        let put = gate
            .governance
            .put_binding_for(&ann, &binding, any, Some(reason));
        assert_eq!(put.await.unwrap_err().kind, FailureKind::Invalid);
        let deleted = gate
            .governance
            .delete_binding_for(&ann, "b", any, Some(reason));
        assert_eq!(deleted.await.unwrap_err().kind, FailureKind::Invalid);
    }
    let stale = Precondition::Revision(1);
    let deleted = gate.governance.delete_binding_for(&ann, "b", stale, None);
    let refused = deleted.await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::PreconditionFailed);
    assert_eq!(all(&gate, "b").await.revisions.len(), 1);
}

/// The forms in which the store has them; a build reads what the one before wrote.
#[test]
fn the_stored_form_is_kept() {
    let revision: RevisionDocument<BindingDocument> = serde_json::from_value(json!({
        "binding": "b", "number": 2, "at": "2026-11-30T00:00:00.000Z",
        "origin": { "restore": 1 }, "body": null,
    }))
    .unwrap();
    assert_eq!(revision.origin, RevisionOrigin::Restore(1));
    assert_eq!(
        (revision.by, revision.reason, revision.body),
        (None, None, None)
    );
    let history: HistoryDocument =
        serde_json::from_value(json!({ "newest": 2, "oldest": 1 })).unwrap();
    assert_eq!(history.deleted_ms, None);
    let origins = [
        (RevisionOrigin::Put, json!("put")),
        (RevisionOrigin::Delete, json!("delete")),
        (
            RevisionOrigin::Rollout("r".to_owned()),
            json!({ "rollout": "r" }),
        ),
        (RevisionOrigin::RecordedLater, json!("recorded-later")),
    ];
    for (origin, stored) in origins {
        let written: Value = serde_json::to_value(&origin).unwrap();
        assert_eq!(written, stored);
    }
}

//! Writes that took effect are answered so, whatever happens after them.

use leasehold_backend_api::Effect;

use super::*;
use crate::governance::Push;
use crate::governance::document::PLACES;
use crate::governance::document::Visibility;

fn draft(name: &str) -> NamespaceDraft {
    NamespaceDraft {
        name: name.parse().unwrap(),
        team: None,
        visibility: Visibility::default(),
        description: String::new(),
        default_decision: DefaultDecision::Allow,
        store: None,
        caps: None,
    }
}

/// Uploads a stock policy; a binding of it to all namespaces.
async fn binding(gateway: &Gateway, ops: &Caller) -> BindingDocument {
    let (name, wasm) = leasehold_policy_host::stock::MODULES[0];
    let uploaded = gateway.governance.push_policy(ops, Push::of(wasm));
    let version = uploaded.await.unwrap().stored.document.version;
    let binding = serde_json::json!({
        "name": "all", "namespaces": ["*"], "policies": [{ "policy": name, "version": version }],
    });
    serde_json::from_value(binding).unwrap()
}

/// Makes one write of each kind, and checks that it is answered as done and in force here.
async fn write_all(gateway: &Gateway) {
    let (governance, ops) = (&gateway.governance, operator());
    let key = key();
    governance.put_key(&ops, &key.document).await.unwrap();
    assert!(gateway.recognises(&key.reveal()).await.is_ok());
    let revoked = governance.revoke_key(&ops, &key.document.id, false).await;
    assert!(revoked.unwrap().revoked.is_some());
    let refused = gateway.recognises(&key.reveal()).await;
    assert_eq!(refused, Err(AuthFailure::Invalid));

    let (draft, absent) = (draft("demo"), Precondition::Absent);
    let made = governance.put_namespace(&ops, &draft, absent).await;
    made.unwrap();
    let namespace = || {
        let plan = governance.plan();
        plan.namespace(&draft.name)
            .map(|plan| plan.document.clone())
    };
    assert!(namespace().is_some());
    let sea: StoreName = "sea".parse().unwrap();
    let moving = governance.begin_move(&ops, &draft.name, &sea).await;
    assert_eq!(namespace().unwrap().travels.to.as_ref(), Some(&sea));
    let arrived = governance.arrive(&ops, moving.unwrap()).await.unwrap();
    assert_eq!(namespace().unwrap().store, sea);
    governance.forgotten(&ops, arrived).await.unwrap();
    assert_eq!(namespace().unwrap().travels.leaving, None);

    let binding = binding(gateway, &ops).await;
    governance
        .put_binding(&ops, &binding, absent)
        .await
        .unwrap();
    let lock = "a".parse().unwrap();
    let judges = || {
        let plan = governance.plan();
        let namespace = plan.namespace(&draft.name).unwrap();
        leasehold_domain::Operation::ALL
            .iter()
            .map(|operation| namespace.judges(*operation, &lock).count())
            .sum::<usize>()
    };
    assert!(judges() > 0);
    governance.delete_binding(&ops, "all").await.unwrap();
    assert_eq!(judges(), 0);
    governance
        .delete_namespace(&ops, &draft.name)
        .await
        .unwrap();
    assert_eq!(namespace(), None);
}

#[tokio::test]
async fn a_write_whose_reload_fails_is_done_and_in_force() {
    let store = store();
    let gateway = Gateway::open(&store).await;
    store.faults.ill.store(true, Ordering::SeqCst);
    write_all(&gateway).await;
    // What was written by others in the meantime comes with the next load.
    store.faults.ill.store(false, Ordering::SeqCst);
    gateway.governance.catch_up().await.unwrap();
    let written = store.store.revision().await.unwrap();
    assert_eq!(gateway.governance.plan().revision, written);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_looked_up() {
    let store = store();
    let gateway = Gateway::open(&store).await;
    store.faults.loses_answers.store(true, Ordering::SeqCst);
    write_all(&gateway).await;
}

#[tokio::test]
async fn what_another_gateway_wrote_later_is_not_overwritten_by_an_earlier_write() {
    let store = store();
    let (here, there) = (Gateway::open(&store).await, Gateway::open(&store).await);
    let (key, ops) = (key(), operator());
    store.faults.ill.store(true, Ordering::SeqCst);
    here.governance.put_key(&ops, &key.document).await.unwrap();
    let revoked = there.governance.revoke_key(&ops, &key.document.id, false);
    revoked.await.unwrap();
    store.faults.ill.store(false, Ordering::SeqCst);
    here.governance.catch_up().await.unwrap();
    let refused = here.recognises(&key.reveal()).await;
    assert_eq!(refused, Err(AuthFailure::Invalid));
}

#[tokio::test]
async fn a_write_of_unknown_effect_is_not_answered_as_without_effect() {
    let store = store();
    let gateway = Gateway::open(&store).await;
    let (key, ops) = (key(), operator());
    let existing = gateway.governance.put_key(&ops, &key.document);
    existing.await.unwrap();
    // The write conflicts in the store, so what was asked for is not there; the answer was lost.
    store.faults.loses_answers.store(true, Ordering::SeqCst);
    let other = crate::authentication::KeyDocument {
        description: "other".to_owned(),
        ..key.document
    };
    let failure = gateway.governance.put_key(&ops, &other).await.unwrap_err();
    assert_eq!(failure.effect, Effect::Unknown);
}

#[tokio::test]
async fn a_namespace_whose_deletion_is_refused_leaves_no_place_behind() {
    let store = store();
    let gateway = Gateway::open(&store).await;
    let (draft, ops) = (draft("demo"), operator());
    let made = gateway
        .governance
        .put_namespace(&ops, &draft, Precondition::Absent);
    made.await.unwrap();
    let place = async || store.store.get(PLACES, "demo").await.unwrap();
    store.faults.refuses_deletions.store(true, Ordering::SeqCst);
    let refused = gateway.governance.delete_namespace(&ops, &draft.name);
    assert_eq!(refused.await.unwrap_err().effect, Effect::None);
    assert_eq!(place().await, None);
    store
        .faults
        .refuses_deletions
        .store(false, Ordering::SeqCst);
    let deleted = gateway.governance.delete_namespace(&ops, &draft.name);
    deleted.await.unwrap();
    assert!(place().await.is_some());
}

//! A gateway hears of what others write although its stream of changes fails.

use super::*;
use crate::governance::Push;

/// Within which a revoked key must be refused.
const REVOKED_WITHIN: Duration = Duration::from_secs(2);

/// Revokes a key through another gateway, and waits until this one refuses it.
async fn assert_revocation_arrives(store: &Arc<Counting>, here: &Gateway, there: &Gateway) {
    let (key, ops) = (key(), operator());
    there.governance.put_key(&ops, &key.document).await.unwrap();
    assert!(here.recognises(&key.reveal()).await.is_ok());
    let revoked = there.governance.revoke_key(&ops, &key.document.id, false);
    revoked.await.unwrap();
    let refused = async {
        while here.recognises(&key.reveal()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(REVOKED_WITHIN, refused).await;
    assert!(in_time.is_ok(), "{store:?}");
}

#[tokio::test]
async fn a_stream_of_changes_that_ends_is_opened_again() {
    let store = store();
    store.faults.ends_streams.store(true, Ordering::SeqCst);
    let (here, there) = (Gateway::open(&store).await, Gateway::open(&store).await);
    let _following = tokio::spawn(here.governance.clone().follow());
    for _ in 0..2 {
        assert_revocation_arrives(&store, &here, &there).await;
    }
}

#[tokio::test]
async fn a_stream_of_changes_that_is_silent_hides_no_revocation() {
    let store = store();
    store.faults.is_silent.store(true, Ordering::SeqCst);
    let (here, there) = (Gateway::open(&store).await, Gateway::open(&store).await);
    let _following = tokio::spawn(here.governance.clone().follow());
    assert_revocation_arrives(&store, &here, &there).await;
}

#[tokio::test]
async fn a_policy_that_cannot_be_loaded_hides_no_revocation() {
    let store = store();
    let (here, there) = (Gateway::open(&store).await, Gateway::open(&store).await);
    let _following = tokio::spawn(here.governance.clone().follow());
    let (key, ops) = (key(), operator());
    there.governance.put_key(&ops, &key.document).await.unwrap();
    assert!(here.recognises(&key.reveal()).await.is_ok());
    store.faults.has_ill_blobs.store(true, Ordering::SeqCst);
    let (name, wasm) = leasehold_policy_host::stock::MODULES[0];
    let uploaded = there.governance.push_policy(&ops, Push::of(wasm));
    let version = uploaded.await.unwrap().stored.document.version;
    let binding = serde_json::json!({
        "name": "all", "namespaces": ["*"], "policies": [{ "policy": name, "version": version }],
    });
    let binding: BindingDocument = serde_json::from_value(binding).unwrap();
    let bound = there
        .governance
        .put_binding(&ops, &binding, Precondition::Absent);
    bound.await.unwrap();
    let revoked = there.governance.revoke_key(&ops, &key.document.id, false);
    revoked.await.unwrap();
    let refused = async {
        while here.recognises(&key.reveal()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(REVOKED_WITHIN, refused).await;
    in_time.expect("the key is refused in time");
}

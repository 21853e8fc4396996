//! Subjects of the gateway's own are nobody else's.

use super::*;

#[tokio::test]
async fn nobody_gets_a_subject_of_the_gateways_own() {
    let gateway = Gateway::open().await;
    for subject in ["leasehold:restore", "leasehold:gateway:a", "LEASEHOLD:x"] {
        let body = json!({ "subject": subject });
        let (status, text) = gateway
            .ask(&gateway.admin, "POST", "/v1/keys", Some(body))
            .await;
        assert_eq!(
            status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{subject}: {text}"
        );
    }
    let acquire = "/v1/namespaces/demo/locks/a:acquire";
    let body = json!({ "ttl_ms": 60_000 });
    let (_, held) = gateway
        .ask(&gateway.admin, "POST", acquire, Some(body))
        .await;
    let held: Value = serde_json::from_str(&held).unwrap();
    let body = json!({ "lease_id": held["lease_id"], "to": "leasehold:move" });
    let transfer = "/v1/namespaces/demo/locks/a:transfer";
    let (status, text) = gateway
        .ask(&gateway.admin, "POST", transfer, Some(body))
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
}

#[tokio::test]
async fn a_key_that_was_made_with_such_a_subject_opens_nothing() {
    let gateway = Gateway::open().await;
    let roles = RoleSet::default();
    let key = NewKey::draw("leasehold:move".parse().unwrap(), None, roles, "", "");
    let caller = Caller::gateway("test").unwrap();
    let made = gateway
        .running
        .app
        .governance
        .put_key(&caller, &key.document);
    made.await.unwrap();
    let path = "/v1/namespaces/demo/locks";
    let (status, text) = gateway.ask(&key.reveal(), "GET", path, None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{text}");
}

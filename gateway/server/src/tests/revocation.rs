//! What lasts longer than one answer ends with the key that asked for it.

use std::time::Duration;

use super::*;

/// Within which a revoked key must be refused.
const WITHIN: Duration = Duration::from_secs(2);

impl Gateway {
    async fn revoke_service(&self) {
        let path = format!("/v1/keys/{}", self.service.document.id);
        let (status, text) = self.ask(&self.admin, "DELETE", &path, None).await;
        assert_eq!(status, StatusCode::OK, "{text}");
    }
}

#[tokio::test]
async fn a_watch_ends_with_its_key() {
    let gateway = Gateway::open().await;
    let service = gateway.service.reveal();
    for path in [
        "/v1/namespaces/demo/locks:watch",
        "/v1/namespaces/demo/locks/a:watch",
    ] {
        let response = gateway.send(&gateway.admin, "GET", path, None).await;
        assert_eq!(response.status(), StatusCode::OK);
    }
    let watch = "/v1/namespaces/demo/locks:watch";
    let mut watching = gateway.send(&service, "GET", watch, None).await.into_body();
    let mut of_others = gateway
        .send(&gateway.admin, "GET", watch, None)
        .await
        .into_body();
    assert!(watching.frame().await.is_some());
    assert!(of_others.frame().await.is_some());
    gateway.revoke_service().await;
    let ended = async { while watching.frame().await.is_some() {} };
    let in_time = tokio::time::timeout(WITHIN, ended).await;
    in_time.expect("the watch ends");
    let goes_on = tokio::time::timeout(Duration::from_millis(100), of_others.frame());
    assert!(goes_on.await.is_err(), "other keys' watches go on");
}

#[tokio::test]
async fn a_request_that_waits_ends_with_its_key_and_takes_nothing() {
    let gateway = Arc::new(Gateway::open().await);
    let acquire = "/v1/namespaces/demo/locks/a:acquire";
    let body = json!({ "ttl_ms": 60_000 });
    let (status, held) = gateway
        .ask(&gateway.admin, "POST", acquire, Some(body))
        .await;
    assert_eq!(status, StatusCode::CREATED, "{held}");
    let held: Value = serde_json::from_str(&held).unwrap();
    let (waiting, service) = (gateway.clone(), gateway.service.reveal());
    let body = json!({ "ttl_ms": 60_000, "wait_ms": 30_000 });
    let waiting =
        tokio::spawn(async move { waiting.ask(&service, "POST", acquire, Some(body)).await });
    let queued = async {
        loop {
            let path = "/v1/namespaces/demo/locks/a";
            let (_, view) = gateway.ask(&gateway.admin, "GET", path, None).await;
            let view: Value = serde_json::from_str(&view).unwrap();
            if view["queue"]
                .as_array()
                .is_some_and(|queue| !queue.is_empty())
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let queued = tokio::time::timeout(Duration::from_secs(30), queued).await;
    queued.expect("it waits");
    gateway.revoke_service().await;
    let (status, text) = tokio::time::timeout(WITHIN, waiting)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{text}");
    let release = "/v1/namespaces/demo/locks/a:release";
    let body = json!({ "lease_id": held["lease_id"] });
    let (status, text) = gateway
        .ask(&gateway.admin, "POST", release, Some(body))
        .await;
    assert_eq!(status, StatusCode::OK, "{text}");
    // Nobody is left in the queue who could be granted the lock.
    let body = json!({ "ttl_ms": 1_000, "wait_ms": 10_000 });
    let (status, text) = gateway
        .ask(&gateway.admin, "POST", acquire, Some(body))
        .await;
    assert_eq!(status, StatusCode::CREATED, "{text}");
}

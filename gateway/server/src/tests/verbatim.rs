//! Events are answered as they are hashed.

use leasehold_domain::Digest;

use super::*;

#[tokio::test]
async fn the_bytes_of_answered_events_make_the_hash_chain() {
    let gateway = Gateway::open().await;
    let acquire = "/v1/namespaces/demo/locks/a:acquire";
    let body = json!({ "ttl_ms": 60_000, "labels": { "z": "1", "a": "\u{e9}" }, "reason": "r" });
    gateway
        .ask(&gateway.admin, "POST", acquire, Some(body))
        .await;
    let path = "/v1/audit/events?limit=1000";
    let (status, text) = gateway.ask(&gateway.admin, "GET", path, None).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let list: leasehold_wire::v1::audit::EventList = serde_json::from_str(&text).unwrap();
    assert!(list.events.len() > 3, "{text}");
    let mut chain = Digest([0; 32]);
    for event in &list.events {
        chain = leasehold_audit::after(&chain, event.event.get().as_bytes());
        assert_eq!(event.chain, chain.to_string(), "event {}", event.cursor);
    }
}

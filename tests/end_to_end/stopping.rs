//! Stopping, as an operator does: what is under way is answered, those who wait are told, and a
//! second signal waits for nobody.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::Wire;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(30);
const BODY: &str = r#"{"ttl_ms":60000}"#;

/// The head of a request that takes a lock, and half of its body.
fn half(lock: &str) -> String {
    format!(
        "POST /v1/namespaces/demo/locks/{lock}:acquire HTTP/1.1\r\nhost: gateway\r\n\
         authorization: Bearer {ADMIN_KEY}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{}",
        BODY.len(),
        &BODY[..8]
    )
}

/// Waits until no more connections are taken.
async fn closed(gateway: &Gateway) -> Result<()> {
    let closed = async { while Wire::to(gateway).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, closed)
        .await
        .context("it takes connections")
}

#[tokio::test]
async fn requests_under_way_are_answered_and_those_who_wait_are_told() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let api = gateway.admin();
    assert_eq!(api.acquire("held", 60_000).await?.status, 201);
    let waiter = api.clone();
    let body = json!({ "ttl_ms": 10_000, "wait_ms": 60_000 });
    let waiting = tokio::spawn(async move { waiter.verb("held", "acquire", &body).await });
    api.queue_of("held", 1).await?;
    let mut watch = Wire::to(&gateway).await?;
    watch
        .send(format!(
            "GET /v1/namespaces/demo/locks/held:watch HTTP/1.1\r\nhost: gateway\r\n\
             authorization: Bearer {ADMIN_KEY}\r\n\r\n"
        ))
        .await?;
    watch.until("id:").await?;
    let mut under_way = Wire::to(&gateway).await?;
    under_way.send(half("late")).await?;

    gateway.signal("TERM")?;
    let told = tokio::time::timeout(PATIENCE, waiting).await???;
    assert_eq!((told.status, told.code()), (503, "unavailable"), "{told:?}");
    assert_eq!(told.body["retryable"], json!(true), "{told:?}");
    assert!(told.headers.contains_key("retry-after"), "{told:?}");
    watch.until_closed().await?;
    closed(&gateway).await?;
    under_way.send(&BODY[8..]).await?;
    let answer = under_way.until_closed().await?;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(gateway.ended().await?, Some(0));

    gateway.restart().await?;
    let api = gateway.admin();
    let late = api.show("late").await?;
    assert_eq!(late.body["state"], json!("held"), "{late:?}");
    let held = api.show("held").await?;
    assert_eq!(held.body["queue"], json!([]), "nobody waits: {held:?}");
    Ok(())
}

#[tokio::test]
async fn a_second_signal_cuts_off_what_the_first_would_wait_for() -> Result<()> {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM")] {
        let config = "[limits]\ndrain_deadline_ms = 3600000\nbody_deadline_ms = 3600000\n";
        let mut gateway = Gateway::start_with(GatewayOptions {
            config: config.to_owned(),
            ..Default::default()
        })
        .await?;
        let grant = gateway.admin().acquire("kept", 60_000).await?;
        let mut never = Wire::to(&gateway).await?;
        never.send(half("never")).await?;
        gateway.signal(first)?;
        closed(&gateway).await?;
        gateway.signal(second)?;
        assert_eq!(never.until_closed().await?, "");
        assert_eq!(gateway.ended().await?, Some(0), "{first}, {second}");

        gateway.restart().await?;
        let view = gateway.admin().show("kept").await?;
        let token = &view.body["holders"][0]["fencing_token"];
        assert_eq!(*token, grant.body["fencing_token"], "{view:?}");
        let verified = gateway.admin().get("/v1/audit/verify").await?;
        assert_eq!(verified.body["intact"], json!(true), "{verified:?}");
    }
    Ok(())
}

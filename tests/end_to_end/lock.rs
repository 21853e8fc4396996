//! A lock's life over HTTP.

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Gateway;
use serde_json::json;

#[tokio::test]
async fn a_lock_is_taken_renewed_and_given_back() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let grant = api.acquire("nightly", 10_000).await?;
    assert_eq!(grant.status, 201, "{grant:?}");
    let lease_id = grant.body["lease_id"].as_str().context("lease_id")?;
    let token = grant.body["fencing_token"]
        .as_u64()
        .context("fencing_token")?;
    assert!(token > 0);

    let other = gateway.service("svc-b", "team-b").await?;
    let held = other.acquire("nightly", 10_000).await?;
    assert_eq!((held.status, held.code()), (409, "held"), "{held:?}");
    assert_eq!(held.body["retryable"], json!(true), "{held:?}");
    assert!(
        !held.text.contains(lease_id),
        "a lease id is its holder's secret: {held:?}"
    );

    let renewed = api.with_lease("nightly", "renew", lease_id).await?;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    assert_eq!(renewed.body["fencing_token"], json!(token));

    let stolen = other.with_lease("nightly", "release", lease_id).await?;
    assert_eq!(
        (stolen.status, stolen.code()),
        (403, "not_holder"),
        "{stolen:?}"
    );

    let released = api.with_lease("nightly", "release", lease_id).await?;
    assert_eq!(released.status, 200, "{released:?}");
    let again = api.with_lease("nightly", "release", lease_id).await?;
    assert_eq!(again.status, 200, "a repeated release succeeds: {again:?}");

    let next = other.acquire("nightly", 10_000).await?;
    assert_eq!(next.status, 201, "{next:?}");
    assert!(
        next.body["fencing_token"].as_u64() > Some(token),
        "tokens grow: {next:?}"
    );
    Ok(())
}

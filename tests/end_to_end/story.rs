//! The story that the issue asks for: a lock, a freeze, a crash, and the ledger that tells it.

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::json;

/// The newest version of a stock policy.
async fn version_of(api: &Api, policy: &str) -> Result<String> {
    let list = api.get("/v1/policies").await?;
    let rows = list.body["policies"]
        .as_array()
        .context("policies")?
        .clone();
    let row = rows
        .iter()
        .find(|row| row["policy"] == policy)
        .context("the stock policy")?;
    Ok(row["version"].as_str().context("version")?.to_owned())
}

#[tokio::test]
async fn a_freeze_denies_with_its_message_and_the_ledger_tells_it_all() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let alice = gateway.service("alice", "payments").await?;
    let before = alice.acquire("deploy/prod", 60_000).await?;
    assert_eq!(before.status, 201, "{before:?}");
    let lease_id = before.body["lease_id"]
        .as_str()
        .context("lease_id")?
        .to_owned();

    let version = version_of(&admin, "freeze-window").await?;
    let freeze = json!({
        "name": "year-end", "namespaces": ["demo"], "locks": ["deploy/**"],
        "operations": ["acquire"], "order": 5,
        "policies": [{ "policy": "freeze-window", "version": version, "config": {
            "windows": [{ "name": "year-end", "from": "2020-01-01T00:00:00Z",
                "until": "2099-01-01T00:00:00Z", "message": "year-end freeze, ask ops" }] } }]
    });
    let bound = admin.post("/v1/bindings", &freeze).await?;
    assert_eq!(bound.status, 201, "{bound:?}");

    let bob = gateway.service("bob", "payments").await?;
    let denied = bob.acquire("deploy/staging", 10_000).await?;
    assert_eq!(
        (denied.status, denied.code()),
        (403, "denied"),
        "{denied:?}"
    );
    assert!(
        denied.text.contains("year-end freeze, ask ops"),
        "{denied:?}"
    );
    assert_eq!(
        denied.body["denial"]["policy"],
        json!("freeze-window"),
        "{denied:?}"
    );
    assert_eq!(
        bob.acquire("other", 10_000).await?.status,
        201,
        "other locks are not frozen"
    );

    gateway.kill().await?;
    gateway.restart().await?;
    let alice = alice.at(gateway.url());
    assert_eq!(
        alice
            .with_lease("deploy/prod", "release", &lease_id)
            .await?
            .status,
        200
    );

    the_ledger_tells_it(&gateway.admin()).await
}

async fn the_ledger_tells_it(admin: &Api) -> Result<()> {
    let denials = admin.ledger("verdict=deny&subject=bob").await?;
    assert_eq!(denials.len(), 1, "{denials:?}");
    assert!(
        denials[0].to_string().contains("year-end freeze, ask ops"),
        "{denials:?}"
    );
    let changes = admin.ledger("operation=governance").await?;
    assert!(
        changes
            .iter()
            .any(|row| row.to_string().contains("year-end")),
        "{changes:?}"
    );

    let grants = admin
        .ledger("lock=demo/deploy/prod&operation=acquire")
        .await?;
    let at = grants[0]["event"]["time"]
        .as_str()
        .context("time")?
        .to_owned();
    let path = format!("/v1/audit/holders?lock=demo/deploy/prod&at={at}");
    let holders = admin.get(&path).await?;
    assert_eq!(holders.status, 200, "{holders:?}");
    assert_eq!(
        holders.body["holders"][0]["subject"],
        json!("alice"),
        "{holders:?}"
    );
    let releases = admin
        .ledger("lock=demo/deploy/prod&operation=release")
        .await?;
    assert_eq!(releases.len(), 1, "{releases:?}");
    let verified = admin.get("/v1/audit/verify").await?;
    assert_eq!(verified.body["intact"], json!(true), "{verified:?}");
    Ok(())
}

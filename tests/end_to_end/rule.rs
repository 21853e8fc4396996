//! Under which rule a lock was held: the ledger's answer when the policies changed meanwhile.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::Value;
use serde_json::json;

/// Longer than the ledger is ever behind.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the ledger has all that happened so far.
async fn ledger_caught_up(api: &Api) -> Result<()> {
    let caught_up = async {
        loop {
            let ready = api.get("/readyz").await?;
            if ready.body["ledger"]["lag_events"] == json!(0) {
                return Ok::<_, anyhow::Error>(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, caught_up).await?
}

async fn holder_at(api: &Api, at: Option<&str>) -> Result<Value> {
    let at = at.map(|at| format!("&at={at}")).unwrap_or_default();
    let path = format!("/v1/audit/holders?lock=demo/ruled{at}");
    let answer = api.get(&path).await?;
    let holders = answer.body["holders"].as_array().context("holders")?;
    assert_eq!(holders.len(), 1, "{answer:?}");
    Ok(holders[0].clone())
}

#[tokio::test]
async fn a_renewal_under_another_rule_is_in_the_ledger_and_others_are_not() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let granted = admin.acquire("ruled", 60_000).await?;
    let lease_id = granted.body["lease_id"].as_str().context("lease_id")?;
    let renew_twice = async || -> Result<()> {
        for _ in 0..2 {
            let renewed = admin.with_lease("ruled", "renew", lease_id).await?;
            assert_eq!(renewed.status, 200, "{renewed:?}");
        }
        Ok(())
    };
    renew_twice().await?;
    let list = admin.get("/v1/policies").await?;
    let policies = list.body["policies"].as_array().context("policies")?;
    let bounds = policies.iter().find(|row| row["policy"] == "ttl-bounds");
    let version = &bounds.context("ttl-bounds")?["version"];
    let tighter = json!({ "name": "tighter", "namespaces": ["demo"], "policies": [{
        "policy": "ttl-bounds", "version": version,
        "config": { "rules": [{ "max_ttl_ms": 30_000 }] } }] });
    let bound = admin.post("/v1/bindings", &tighter).await?;
    assert_eq!(bound.status, 201, "{bound:?}");
    renew_twice().await?;
    ledger_caught_up(&admin).await?;

    let path = "/v1/audit/events?lock=demo/ruled&operation=renew";
    let renewals = admin.get(path).await?;
    let renewals = renewals.body["events"].as_array().context("events")?;
    assert_eq!(renewals.len(), 1, "{renewals:?}");
    let event = &renewals[0]["event"];
    assert_eq!(event["transitions"][0]["type"], "renewed", "{event}");

    let now = holder_at(&admin, None).await?;
    assert_eq!(now["rule"]["decided_by"], renewals[0]["cursor"], "{now}");
    assert_eq!(now["rule"]["max_ttl_ms"], 30_000, "{now}");
    let binding = |rule: &Value, name: &str| {
        let policies = rule["policies"].as_array().cloned().unwrap_or_default();
        policies.iter().any(|policy| policy["binding"] == name)
    };
    assert!(binding(&now["rule"], "tighter"), "{now}");
    let begin = holder_at(&admin, now["from"].as_str()).await?;
    assert_eq!(
        begin["rule"]["decided_by"], begin["granted_by"],
        "of its acquire: {begin}"
    );
    assert_eq!(begin["rule"]["max_ttl_ms"], 3_600_000, "{begin}");
    assert!(!binding(&begin["rule"], "tighter"), "{begin}");
    assert_ne!(begin["rule"]["digest"], now["rule"]["digest"]);
    Ok(())
}

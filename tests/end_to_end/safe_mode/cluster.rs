//! Three gateways, two of which are frozen: the third is alone, and cannot agree with itself.

use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::cluster;
use serde_json::json;

use super::PATIENCE;
use super::RULES;
use super::incident;
use super::it_is_told;
use super::only_beginnings_are_refused;
use super::told;
use super::until;
use super::until_granted;
use super::until_refused;

/// An acquire that waits for what somebody holds.
fn waits(api: &Api, lock: &str) -> tokio::task::JoinHandle<Result<leasehold_tests::Answer>> {
    let (api, lock) = (api.clone(), lock.to_owned());
    let body = json!({ "ttl_ms": 60_000, "wait_ms": 60_000, "request_id": "waits" });
    tokio::spawn(async move { api.verb(&lock, "acquire", &body).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_left_alone_grants_nothing_until_the_others_are_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = format!("commit_deadline_ms = 1000\n{RULES}");
    let gateways = cluster(&folder, &config).await?;
    let (alone, others) = (&gateways[2], &gateways[..2]);
    let api = alone.admin();
    let held = until_granted(&api, "held").await?;
    let lease_id = held.text_of("lease_id")?;
    let waiting = waits(&api, "held");
    api.queue_of("held", 1).await?;

    others
        .iter()
        .try_for_each(|gateway| gateway.signal("STOP"))?;
    let id = until_refused(&api).await?;
    let refused = tokio::time::timeout(PATIENCE, waiting).await???;
    ensure!(refused.code() == "safe_mode", "{refused:?}");
    only_beginnings_are_refused(&api, "held", lease_id).await?;
    it_is_told(alone, &id).await?;

    others
        .iter()
        .try_for_each(|gateway| gateway.signal("CONT"))?;
    // By itself, and the lease is as it was.
    until_granted(&api, "now").await?;
    let renewed = api.with_lease("held", "renew", lease_id).await?;
    ensure!(renewed.status == 200, "{renewed:?}");
    ensure!(renewed.token()? == held.token()?, "{renewed:?}");
    let ended = incident(&api, &id).await?;
    ensure!(ended.body["ended"]["by"] == "recovery", "{ended:?}");
    ensure!(ended.body["recorded"] == true, "{ended:?}");
    until(
        "readiness",
        || api.get("/readyz"),
        |ready| ready.status == 200,
    )
    .await?;
    all_ledgers_tell(&gateways, &id).await
}

/// Whichever gateway an auditor asks.
async fn all_ledgers_tell(gateways: &[Gateway], id: &str) -> Result<()> {
    for gateway in gateways {
        let api = gateway.admin();
        let told = told(&api, id).await?;
        let [(first, began), (second, ended)] = &told[..] else {
            anyhow::bail!("{told:?}");
        };
        ensure!(
            first == "leasehold:gateway:door-1" && second == first,
            "{told:?}"
        );
        ensure!(
            began.contains("began") && ended.contains("ended"),
            "{told:?}"
        );
    }
    Ok(())
}

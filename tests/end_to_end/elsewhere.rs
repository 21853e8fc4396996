//! What one gateway of a cluster has just made, used at another without a breath between.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::cluster;
use serde_json::json;

/// Enough for the second gateway to be behind in some of them.
const ROUNDS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_namespaces_and_bindings_are_known_everywhere_at_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let gateways = cluster(&folder, "").await?;
    let policies = gateways[0].admin().get("/v1/policies").await?;
    let policies = policies.body["policies"].as_array().context("policies")?;
    let bounds = policies.iter().find(|row| row["policy"] == "ttl-bounds");
    let version = &bounds.context("ttl-bounds")?["version"];
    for round in 0..ROUNDS {
        let at = |turn: usize| &gateways[(round + turn) % gateways.len()];
        let key = json!({ "subject": format!("svc-{round}") });
        let made = at(0).admin().post("/v1/keys", &key).await?;
        let service = at(1).api(Some(made.text_of("key")?));
        let held = service.acquire(&format!("a/{round}"), 60_000).await?;
        ensure!(held.status == 201, "the key in round {round}: {held:?}");

        let name = format!("ns-{round}");
        let namespace = json!({ "name": name });
        let made = at(0).admin().post("/v1/namespaces", &namespace).await?;
        ensure!(made.status == 201, "{made:?}");
        let path = format!("/v1/namespaces/{name}/locks/a:acquire");
        let ask = json!({ "ttl_ms": 60_000 });
        let denied = at(1).admin().post(&path, &ask).await?;
        ensure!(denied.code() == "no_policy_bound", "{denied:?}");
        let binding = json!({ "name": name, "namespaces": [name], "policies": [
            { "policy": "ttl-bounds", "version": version }] });
        let bound = at(0).admin().post("/v1/bindings", &binding).await?;
        ensure!(bound.status == 201, "{bound:?}");
        let held = at(1).admin().post(&path, &ask).await?;
        ensure!(held.status == 201, "the binding in round {round}: {held:?}");
    }
    Ok(())
}

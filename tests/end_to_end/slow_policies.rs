//! Slow policies in a group of three: their callers wait, and the leader stays.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_policy_guests::Guest;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::cluster;
use leasehold_tests::leader;
use serde_json::json;

/// Clients whose requests no slow policy judges, and how often each of them renews.
const BRIEF: usize = 100;
const RENEWALS: usize = 10;
/// Clients whose renewals sixteen slow policies judge.
const SLOW: usize = 96;

/// A policy that spends all the fuel that it is given.
fn slow() -> Vec<u8> {
    Guest {
        name: "slow".to_owned(),
        version: "1.0.0".to_owned(),
        operations: vec!["renew".to_owned()],
        ..Guest::doing("(loop $l (br $l))")
    }
    .wasm()
}

async fn term(api: &Api) -> Result<u64> {
    let status = api.get("/v1/cluster").await?;
    status.body["term"].as_u64().context("a term")
}

/// Takes a lock, and renews it so often, or until told to stop.
async fn client(api: Api, lock: String, times: usize, stop: Arc<AtomicBool>) -> Result<()> {
    let grant = api.acquire(&lock, 600_000).await?;
    ensure!(grant.status == 201, "{grant:?}");
    let lease = json!({ "lease_id": grant.body["lease_id"] });
    let mut renewed = 0;
    while renewed < times && !stop.load(Ordering::SeqCst) {
        let answer = api.verb(&lock, "renew", &lease).await?;
        match answer.status {
            200 => renewed += 1,
            // Too many long evaluations wait; the answer says that it may be sent again.
            503 => ensure!(answer.body["retryable"] == json!(true), "{answer:?}"),
            _ => anyhow::bail!("{answer:?}"),
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_election_while_sixteen_slow_policies_judge_and_a_thousand_leases_are_renewed()
-> Result<()> {
    let folder = tempfile::tempdir()?;
    let gateways = cluster(&folder, "").await?;
    let admin = gateways[leader(&gateways).await?].admin();
    ensure!(admin.upload_policy("slow", "1.0.0", slow()).await?.status == 201);
    // Those that a new gateway has bound would be the seventeenth and eighteenth.
    let unbound = admin.delete("/v1/bindings/demo-holding").await?;
    ensure!(unbound.status == 200, "{unbound:?}");
    let policy = json!({ "policy": "slow", "version": "1.0.0", "on_error_allow": ["renew"] });
    let all = json!({
        "namespaces": ["demo"],
        "locks": ["slow/**"],
        "policies": vec![policy; 16],
    });
    let bound = admin.put("/v1/bindings/slow", &all).await?;
    ensure!(bound.status == 200, "{bound:?}");

    let before = term(&admin).await?;
    let apis: Vec<Api> = gateways.iter().map(Gateway::admin).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let start = |kind: &'static str, clients: usize, times: usize| {
        let (apis, stop) = (&apis, &stop);
        let client = move |n: usize| {
            let api = apis[n % apis.len()].clone();
            tokio::spawn(client(api, format!("{kind}/{n}"), times, stop.clone()))
        };
        (0..clients).map(client).collect::<Vec<_>>()
    };
    let slow = start("slow", SLOW, usize::MAX);
    for brief in start("brief", BRIEF, RENEWALS) {
        brief.await??;
    }
    stop.store(true, Ordering::SeqCst);
    for slow in slow {
        slow.await??;
    }
    for api in &apis {
        ensure!(term(api).await? == before, "there was an election");
    }
    Ok(())
}

//! Cached verdicts: the ledger records them like evaluated ones, replays reproduce them, and one key of
//! the configuration turns the caches off.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::Value;

const CYCLES: usize = 30;

/// Returns the hits and misses of a policy's verdict cache.
async fn lookups(gateway: &Gateway, policy: &str) -> Result<(u64, u64)> {
    let metrics = gateway.api(None).get("/metrics").await?;
    let count = |outcome: &str| -> Result<u64> {
        let name = "leasehold_policy_verdict_cache_total{";
        let labels = [
            format!("policy=\"{policy}\""),
            format!("outcome=\"{outcome}\""),
        ];
        let row = metrics
            .text
            .lines()
            .find(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)));
        let (_, value) = row
            .and_then(|row| row.rsplit_once(' '))
            .context("a counter")?;
        Ok(value.parse()?)
    };
    Ok((count("hit")?, count("miss")?))
}

/// Takes and gives back one lock again and again; the verdicts of each acquire, as the ledger has them,
/// without what differs by nature.
async fn cycles(gateway: &Gateway) -> Result<Vec<Value>> {
    let admin = gateway.admin();
    for _ in 0..CYCLES {
        let grant = admin.acquire("again", 10_000).await?;
        ensure!(grant.status == 201, "{grant:?}");
        let lease = grant.body["lease_id"].as_str().context("a lease")?;
        let released = admin.with_lease("again", "release", lease).await?;
        ensure!(released.status == 200, "{released:?}");
    }
    let rows = admin.ledger("operation=acquire&lock=demo/again").await?;
    let verdicts = rows
        .iter()
        .map(|row| row["event"]["cause"]["decision"]["verdicts"].clone());
    Ok(verdicts.collect())
}

#[tokio::test]
async fn equal_requests_hit_the_cache_and_are_recorded_as_if_evaluated() -> Result<()> {
    let gateway = Gateway::start().await?;
    let verdicts = cycles(&gateway).await?;
    ensure!(verdicts.len() == CYCLES, "{verdicts:?}");
    ensure!(verdicts[0][0]["fuel"].as_u64() > Some(0), "{}", verdicts[0]);
    for later in &verdicts {
        ensure!(*later == verdicts[0], "{later}\n{}", verdicts[0]);
    }
    let (hits, misses) = lookups(&gateway, "ownership").await?;
    ensure!((hits, misses) == (CYCLES as u64 - 1, 1), "{hits}, {misses}");
    // It is judged by the time, to a second.
    let (hits, misses) = lookups(&gateway, "freeze-window").await?;
    ensure!(
        hits + misses == CYCLES as u64 && misses >= 1,
        "{hits}, {misses}"
    );
    // A replay evaluates, and reproduces the cached verdicts.
    for policy in ["ownership", "ttl-bounds", "freeze-window"] {
        let replay = ["policy", "replay", policy, "--json"];
        let replayed = gateway.command_line(ADMIN_KEY, &replay).await?;
        let report: Value = serde_json::from_slice(&replayed.stdout)?;
        ensure!(report["reproduced"] == CYCLES as u64, "{report}");
        ensure!(report["not_reproduced"] == 0, "{report}");
    }
    let metrics = gateway.api(None).get("/metrics").await?;
    let contradicted = "leasehold_policy_verdict_cache_contradictions_total 0";
    ensure!(metrics.text.contains(contradicted), "{}", metrics.text);
    Ok(())
}

#[tokio::test]
async fn the_configuration_turns_the_caches_off() -> Result<()> {
    let caching = Gateway::start().await?;
    let gateway = Gateway::start_with(GatewayOptions {
        config: "[policy]\nverdict_cache_bytes = 0\n".to_owned(),
        ..GatewayOptions::default()
    })
    .await?;
    let verdicts = cycles(&gateway).await?;
    ensure!(verdicts == cycles(&caching).await?, "{verdicts:?}");
    ensure!(lookups(&gateway, "ownership").await? == (0, 0));
    Ok(())
}

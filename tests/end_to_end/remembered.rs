//! Verdicts that are remembered: the ledger cannot tell them from others, replays reproduce them, and one
//! key of the configuration turns them off.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::Value;

const CYCLES: usize = 30;

/// How often verdicts of a policy were remembered, or made: hits and misses.
async fn remembered(gateway: &Gateway, policy: &str) -> Result<(u64, u64)> {
    let metrics = gateway.api(None).get("/metrics").await?;
    let count = |outcome: &str| -> Result<u64> {
        let name = "leasehold_policy_remembered_verdicts_total{";
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
async fn equal_requests_are_answered_by_remembered_verdicts_and_recorded_as_if_evaluated()
-> Result<()> {
    let gateway = Gateway::start().await?;
    let verdicts = cycles(&gateway).await?;
    ensure!(verdicts.len() == CYCLES, "{verdicts:?}");
    ensure!(verdicts[0][0]["fuel"].as_u64() > Some(0), "{}", verdicts[0]);
    for later in &verdicts {
        ensure!(*later == verdicts[0], "{later}\n{}", verdicts[0]);
    }
    let (hits, misses) = remembered(&gateway, "ownership").await?;
    ensure!((hits, misses) == (CYCLES as u64 - 1, 1), "{hits}, {misses}");
    // It is judged by the time, to a second.
    let (hits, misses) = remembered(&gateway, "freeze-window").await?;
    ensure!(
        hits + misses == CYCLES as u64 && misses >= 1,
        "{hits}, {misses}"
    );
    // A replay evaluates, and comes to what was remembered.
    for policy in ["ownership", "ttl-bounds", "freeze-window"] {
        let replay = ["policy", "replay", policy, "--json"];
        let replayed = gateway.command_line(ADMIN_KEY, &replay).await?;
        let report: Value = serde_json::from_slice(&replayed.stdout)?;
        ensure!(report["reproduced"] == CYCLES as u64, "{report}");
        ensure!(report["not_reproduced"] == 0, "{report}");
    }
    let metrics = gateway.api(None).get("/metrics").await?;
    let contradicted = "leasehold_policy_remembered_verdicts_contradicted_total 0";
    ensure!(metrics.text.contains(contradicted), "{}", metrics.text);
    Ok(())
}

#[tokio::test]
async fn nothing_is_remembered_if_the_configuration_says_so() -> Result<()> {
    let remembering = Gateway::start().await?;
    let gateway = Gateway::start_with(GatewayOptions {
        config: "[policy]\nremembered_bytes = 0\n".to_owned(),
        ..GatewayOptions::default()
    })
    .await?;
    let verdicts = cycles(&gateway).await?;
    ensure!(verdicts == cycles(&remembering).await?, "{verdicts:?}");
    ensure!(remembered(&gateway, "ownership").await? == (0, 0));
    Ok(())
}

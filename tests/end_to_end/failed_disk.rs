//! The disk of the leader fails: it must leave its group at once, with all that waits on it.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::cluster;
use leasehold_tests::leader;
use leasehold_tests::persist;
use leasehold_tests::robustness::Syncs;
use leasehold_tests::robustness::Tracer;
use nix::unistd::Pid;
use serde_json::json;

/// Longest time from the first failed sync to the end of the process.
const LEAVES_WITHIN: Duration = Duration::from_secs(5);
/// How long anything else may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_fails_leaves_its_group_at_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut gateways = cluster(&folder, "").await?;
    let mut failing = gateways.remove(leader(&gateways).await?);
    let survivors: Vec<_> = gateways.iter().map(|gateway| gateway.admin()).collect();
    persist(&survivors, "held", "acquire", &json!({ "ttl_ms": 600_000 })).await?;
    // A long poll stands in the failing gateway.
    let (api, ask) = (
        failing.admin(),
        json!({ "ttl_ms": 60_000, "wait_ms": 30_000 }),
    );
    let waits = tokio::spawn(async move { api.verb("held", "acquire", &ask).await });

    let pid = Pid::from_raw(failing.pid()?.try_into()?);
    let tracer = Tracer::attach(&[pid], &Syncs::Fail, &folder.path().join("trace"))?;
    // Requests make it sync; what they are answered does not matter.
    let api = failing.admin();
    let asks = tokio::spawn(async move {
        for n in 0.. {
            let ask = json!({ "ttl_ms": 60_000, "request_id": format!("n-{n}") });
            if api
                .verb(&format!("other-{n}"), "acquire", &ask)
                .await
                .is_err()
            {
                return;
            }
        }
    });
    let hindered = async {
        while !tracer.has_hindered() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, hindered)
        .await
        .context("no sync was made to fail")?;
    let ended = tokio::time::timeout(LEAVES_WITHIN, failing.ended()).await;
    let code = ended.context("it is still there after 5 s")??;
    ensure!(code == Some(70), "exit code {code:?}");
    drop(tracer);
    asks.abort();
    waits.abort();

    // The others go on, and have what was answered.
    let again = persist(&survivors, "fresh", "acquire", &json!({ "ttl_ms": 60_000 })).await?;
    ensure!(again["fencing_token"].is_u64(), "{again}");
    let held = survivors[0].get("/v1/namespaces/demo/locks/held").await?;
    ensure!(
        held.body["holders"]
            .as_array()
            .is_some_and(|holders| holders.len() == 1),
        "{held:?}"
    );
    Ok(())
}

//! Three gateways are upgraded one by one, and back, under load, with the next build, which supports one
//! feature level more; then the level is raised, and the older build is refused.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::Api;
use leasehold_tests::Build;
use leasehold_tests::Gateway;
use leasehold_tests::MEMBERS;
use leasehold_tests::cluster;
use leasehold_tests::persist;
use serde_json::Value;
use serde_json::json;

use super::cluster::PATIENCE;
use super::cluster::all_held;
use super::cluster::restart_under_load;
use super::cluster::same_ledgers;

const RAISE: &str = "/v1/cluster:raise-level";
/// The feature level of this build, with which a new store begins, and that of the next one.
const LEVEL: u64 = 2;
const NEXT: u64 = LEVEL + 1;

async fn install_everywhere(
    gateways: &mut [Gateway],
    build: Build,
    prefix: &str,
) -> Result<Vec<(String, u64)>> {
    let mut tokens = Vec::new();
    for place in 0..MEMBERS {
        gateways[place].install(build);
        tokens.extend(restart_under_load(gateways, place, prefix).await?);
        if place + 1 < MEMBERS {
            // Some members do not support the next level.
            let api = gateways[place].admin();
            let refused = api.post(RAISE, &json!({ "to": NEXT })).await?;
            ensure!(refused.status == 409, "{refused:?}");
            ensure!(refused.body["effect"] == "none", "{refused:?}");
        }
    }
    Ok(tokens)
}

/// Waits until all members have reported that they support the level.
async fn all_support(api: &Api, level: u64) -> Result<()> {
    let looking = async {
        loop {
            let status = api.get("/v1/cluster").await?;
            ensure!(status.body["feature_level"] == LEVEL, "{status:?}");
            let members = status.body["members"].as_array().context("members")?;
            if members
                .iter()
                .all(|member| member["feature_level_max"] == level)
            {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await?
}

/// The feature level in the newest event of a lock; 1 if there is none.
async fn level_of_newest(api: &Api, lock: &str) -> Result<u64> {
    let path = format!("/v1/audit/events?limit=1000&lock=demo/{lock}");
    let page = api.get(&path).await?;
    let events = page.body["events"].as_array().context("events")?;
    let newest = events.last().context("an event")?;
    let event: Value = match &newest["event"] {
        Value::String(body) => serde_json::from_str(body)?,
        event => event.clone(),
    };
    Ok(event["feature_level"].as_u64().unwrap_or(1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_upgrade_and_back_loses_nothing_until_the_level_is_raised() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut gateways = cluster(&folder, "").await?;
    let mut tokens = install_everywhere(&mut gateways, Build::Next, "up").await?;
    tokens.extend(install_everywhere(&mut gateways, Build::This, "back").await?);
    tokens.extend(install_everywhere(&mut gateways, Build::Next, "again").await?);
    all_held(&gateways, &tokens).await?;
    same_ledgers(&gateways).await?;

    let api = gateways[1].admin();
    all_support(&api, NEXT).await?;
    let raised = api.post(RAISE, &json!({})).await?;
    ensure!(raised.status == 200, "{raised:?}");
    ensure!(raised.body["feature_level"] == NEXT, "{raised:?}");
    let lower = api.post(RAISE, &json!({ "to": LEVEL })).await?;
    ensure!(lower.status == 409, "{lower:?}");
    let ask = json!({ "ttl_ms": 600_000 });
    let after = persist(&[gateways[0].admin()], "after", "acquire", &ask).await?;
    tokens.push((
        "after".to_owned(),
        after["fencing_token"].as_u64().context("a token")?,
    ));
    all_held(&gateways, &tokens).await?;
    same_ledgers(&gateways).await?;
    for gateway in &gateways {
        ensure!(level_of_newest(&gateway.admin(), "after").await? == NEXT);
        ensure!(level_of_newest(&gateway.admin(), "up-0-0").await? == LEVEL);
    }

    // There is no way back, and the way forward is open.
    ensure!(gateways[2].terminate().await? == Some(0));
    // Level 3 adds a table to the ledger's file, and level 4 removes it.
    ensure!(ledger_schema(&gateways[2])? == 3);
    gateways[2].install(Build::This);
    ensure!(
        gateways[2].restart().await.is_err(),
        "the older build started"
    );
    gateways[2].install(Build::Next);
    gateways[2].restart().await?;
    all_held(&gateways, &tokens).await?;
    same_ledgers(&gateways).await?;

    for place in 0..MEMBERS {
        gateways[place].install(Build::AfterNext);
        tokens.extend(restart_under_load(&mut gateways, place, "last").await?);
    }
    let raising = async {
        loop {
            let raised = gateways[0].admin().post(RAISE, &json!({})).await?;
            if raised.status == 200 {
                return anyhow::Ok(raised);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let raised = tokio::time::timeout(PATIENCE, raising).await??;
    ensure!(raised.body["feature_level"] == NEXT + 1, "{raised:?}");
    all_held(&gateways, &tokens).await?;
    same_ledgers(&gateways).await?;
    for gateway in &mut gateways {
        migrated(gateway, 4).await?;
    }
    Ok(())
}

/// Waits until the ledger of a gateway that runs has been migrated, which its log does not tell: it is
/// stopped, looked at, and started again.
async fn migrated(gateway: &mut Gateway, schema: u32) -> Result<()> {
    let looking = async {
        loop {
            ensure!(gateway.terminate().await? == Some(0));
            let found = ledger_schema(gateway)?;
            if found == schema {
                return Ok(());
            }
            gateway.restart().await?;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await?
}

/// The schema of the ledger's file of a gateway that is stopped: the file's `user_version`.
fn ledger_schema(gateway: &Gateway) -> Result<u32> {
    let file = std::fs::read(gateway.data_dir().join("ledger.sqlite"))?;
    let version: [u8; 4] = file.get(60..64).context("a header")?.try_into()?;
    Ok(u32::from_be_bytes(version))
}

//! Three gateways that share the embedded store: any takes any request, `kill -9` of the leader and
//! a rolling restart lose nothing, and their ledgers are the same to the byte.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::persist;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

/// How long anything may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
const MEMBERS: usize = 3;
const CLIENTS: usize = 6;

/// A port that is free now.
pub(super) fn free_port() -> Result<u16> {
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(socket.local_addr()?.port())
}

pub(super) fn options(folder: &TempDir, place: usize, port: u16, more: &str) -> GatewayOptions {
    GatewayOptions {
        data_dir: Some(folder.path().join(format!("gateway-{place}"))),
        config: format!(
            "[cluster]\nlisten = \"127.0.0.1:{port}\"\njoin = {}\ninsecure_plaintext = true\n{more}\n",
            place > 0
        ),
        log: None,
    }
}

/// A founder, and two that were taken in by the founder's API.
async fn cluster(folder: &TempDir) -> Result<Vec<Gateway>> {
    cluster_with(folder, "").await
}

/// The same, with more lines for their configuration, of section `cluster` first.
pub(super) async fn cluster_with(folder: &TempDir, more: &str) -> Result<Vec<Gateway>> {
    let founder = Gateway::start_with(options(folder, 0, free_port()?, more)).await?;
    let admin = founder.admin();
    let begun = admin.post("/v1/cluster:init", &json!(null)).await?;
    ensure!(begun.status == 200, "{begun:?}");
    let mut gateways = vec![founder];
    for place in 1..MEMBERS {
        let port = free_port()?;
        // It listens to clients only when it was taken in.
        let waits = tokio::spawn(Gateway::start_with(options(folder, place, port, more)));
        let join = json!({ "address": format!("127.0.0.1:{port}") });
        let joined = async {
            loop {
                let joined = admin.post("/v1/cluster:join", &join).await?;
                if joined.status == 200 {
                    return Ok::<_, anyhow::Error>(joined);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let joined = tokio::time::timeout(PATIENCE, joined).await??;
        let members = joined.body["members"].as_array().context("members")?;
        ensure!(members.len() == place + 1, "{joined:?}");
        gateways.push(waits.await??);
    }
    Ok(gateways)
}

/// The place of the gateway that leads.
async fn leader(gateways: &[Gateway]) -> Result<usize> {
    let search = async {
        loop {
            for (place, gateway) in gateways.iter().enumerate() {
                let Ok(status) = gateway.admin().get("/v1/cluster").await else {
                    continue;
                };
                let leads = status.body["leader"] == status.body["node"];
                if status.status == 200 && leads {
                    return place;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    Ok(tokio::time::timeout(PATIENCE, search).await?)
}

/// Takes and gives back its own lock until told to stop, and holds it then. Answers the last token.
async fn client(apis: Vec<Api>, name: String, stop: Arc<AtomicBool>) -> Result<u64> {
    let mut token = 0;
    for round in 0.. {
        let ask = json!({ "ttl_ms": 600_000, "request_id": format!("{name}-{round}") });
        let grant = persist(&apis, &name, "acquire", &ask).await?;
        let newer = grant["fencing_token"].as_u64().context("a token")?;
        ensure!(newer > token, "token {newer} after {token}");
        token = newer;
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let lease = json!({ "lease_id": grant["lease_id"] });
        persist(&apis, &name, "release", &lease).await?;
    }
    Ok(token)
}

/// The bytes of all events up to `cursor`.
async fn ledger(api: &Api, cursor: u64) -> Result<Vec<Value>> {
    let reading = async {
        let (mut events, mut after) = (Vec::new(), 0);
        while after < cursor {
            let path = format!("/v1/audit/events?limit=1000&after={after}");
            let page = api.get(&path).await?;
            ensure!(page.status == 200, "{page:?}");
            let rows = page.body["events"].as_array().context("events")?;
            for row in rows {
                after = row["cursor"].as_u64().context("a cursor")?;
                events.push(row.clone());
            }
            if rows.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        let place = usize::try_from(cursor)?;
        events.truncate(place);
        Ok(events)
    };
    tokio::time::timeout(PATIENCE, reading).await?
}

/// All gateways have the same ledger, and it verifies.
pub(super) async fn same_ledgers(gateways: &[Gateway]) -> Result<()> {
    let mut cursor = 0;
    for gateway in gateways {
        let ready = gateway.admin().get("/readyz").await?;
        cursor = cursor.max(
            ready.body["ledger"]["cursor"]
                .as_u64()
                .context("a cursor")?,
        );
    }
    let first = ledger(&gateways[0].admin(), cursor).await?;
    for gateway in gateways {
        let other = ledger(&gateway.admin(), cursor).await?;
        ensure!(first == other, "the ledgers differ");
        let verified = gateway.admin().get("/v1/audit/verify").await?;
        ensure!(
            verified.status == 200 && verified.body["intact"] != false,
            "{verified:?}"
        );
    }
    Ok(())
}

async fn holder(api: &Api, lock: &str) -> Result<Value> {
    let view = api
        .get(&format!("/v1/namespaces/demo/locks/{lock}"))
        .await?;
    ensure!(view.status == 200, "{view:?}");
    Ok(view.body["holders"][0]["fencing_token"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_killed_and_nothing_is_lost() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut gateways = cluster(&folder).await?;
    let ask = json!({ "ttl_ms": 600_000, "request_id": "before" });
    let apis: Vec<Api> = gateways.iter().map(Gateway::admin).collect();
    let grant = persist(&apis[2..], "kept", "acquire", &ask).await?;
    let leads = leader(&gateways).await?;
    gateways[leads].kill().await?;
    let rest: Vec<Api> = (0..MEMBERS)
        .filter(|n| *n != leads)
        .map(|n| apis[n].clone())
        .collect();
    for api in &rest {
        // The same request gets the same lease from any gateway, and it is held for as long.
        let again = persist(std::slice::from_ref(api), "kept", "acquire", &ask).await?;
        ensure!(again["fencing_token"] == grant["fencing_token"], "{again}");
    }
    let after = persist(&rest, "after", "acquire", &json!({ "ttl_ms": 600_000 })).await?;
    gateways[leads].restart().await?;
    for gateway in &gateways {
        let api = gateway.admin();
        ensure!(holder(&api, "kept").await? == grant["fencing_token"]);
        ensure!(holder(&api, "after").await? == after["fencing_token"]);
    }
    same_ledgers(&gateways).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_loses_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut gateways = cluster(&folder).await?;
    let mut tokens = Vec::new();
    for place in 0..MEMBERS {
        let others: Vec<Api> = (0..MEMBERS)
            .filter(|other| *other != place)
            .map(|other| gateways[other].admin())
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let name = format!("client-{place}-{n}");
                tokio::spawn(client(others.clone(), name, stop.clone()))
            })
            .collect();
        ensure!(gateways[place].terminate().await? == Some(0));
        gateways[place].restart().await?;
        stop.store(true, Ordering::SeqCst);
        for (n, client) in clients.into_iter().enumerate() {
            tokens.push((format!("client-{place}-{n}"), client.await??));
        }
    }
    for gateway in &gateways {
        for (lock, token) in &tokens {
            ensure!(holder(&gateway.admin(), lock).await? == *token, "{lock}");
        }
    }
    same_ledgers(&gateways).await
}

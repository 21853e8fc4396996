//! Three gateways that share the embedded store: any takes any request, `kill -9` of the leader and
//! a rolling restart lose nothing, and their ledgers are the same to the byte.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::MEMBERS;
use leasehold_tests::cluster;
use leasehold_tests::leader;
use leasehold_tests::persist;
use serde_json::Value;
use serde_json::json;

/// How long anything may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
const CLIENTS: usize = 6;

/// Takes and gives back its own lock until told to stop, and holds it then. Answers the last token.
pub(super) async fn client(apis: Vec<Api>, name: String, stop: Arc<AtomicBool>) -> Result<u64> {
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
    same_trees(gateways).await?;
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

/// All gateways have the same tree: checkpoints of one size have one root.
async fn same_trees(gateways: &[Gateway]) -> Result<()> {
    let comparing = async {
        loop {
            let mut texts = BTreeSet::new();
            for gateway in gateways {
                let checkpoint = gateway.admin().get("/v1/audit/checkpoint").await?;
                ensure!(checkpoint.status == 200, "{checkpoint:?}");
                let text: Vec<&str> = checkpoint.text.lines().take(3).collect();
                texts.insert(text.iter().map(ToString::to_string).collect::<Vec<_>>());
            }
            let sizes: BTreeSet<_> = texts.iter().map(|text| &text[1]).collect();
            ensure!(texts.len() == sizes.len(), "the trees differ: {texts:?}");
            if texts.len() == 1 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, comparing).await?
}

async fn holder(api: &Api, lock: &str) -> Result<Value> {
    let view = api
        .get(&format!("/v1/namespaces/demo/locks/{lock}"))
        .await?;
    ensure!(view.status == 200, "{view:?}");
    Ok(view.body["holders"][0]["fencing_token"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_leave_at_once_leave_nobody_in_the_queue() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let gateways = cluster(&folder, "").await?;
    let leads = leader(&gateways).await?;
    let follower = gateways[(leads + 1) % MEMBERS].admin();
    let ask = json!({ "ttl_ms": 600_000, "request_id": "held" });
    persist(&[gateways[leads].admin()], "wanted", "acquire", &ask).await?;
    for round in 0..100 {
        let ask = json!({ "ttl_ms": 600_000, "wait_ms": 60_000 });
        let asking = follower.verb("wanted", "acquire", &ask);
        // At whatever point of its way to the leader its client leaves.
        let leaves = Duration::from_micros(500 + 100 * round);
        let _ = tokio::time::timeout(leaves, asking).await;
    }
    // Long before their waits would end.
    follower.queue_of("wanted", 0).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_killed_and_nothing_is_lost() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut gateways = cluster(&folder, "").await?;
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
    let mut gateways = cluster(&folder, "").await?;
    let mut tokens = Vec::new();
    for place in 0..MEMBERS {
        tokens.extend(restart_under_load(&mut gateways, place, "client").await?);
    }
    all_held(&gateways, &tokens).await?;
    same_ledgers(&gateways).await
}

/// Restarts a gateway while clients use the others. Answers the locks that they hold at the end, and
/// their tokens.
pub(super) async fn restart_under_load(
    gateways: &mut [Gateway],
    place: usize,
    prefix: &str,
) -> Result<Vec<(String, u64)>> {
    let others: Vec<Api> = (0..MEMBERS)
        .filter(|other| *other != place)
        .map(|other| gateways[other].admin())
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let name = |n: usize| format!("{prefix}-{place}-{n}");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| tokio::spawn(client(others.clone(), name(n), stop.clone())))
        .collect();
    ensure!(gateways[place].terminate().await? == Some(0));
    gateways[place].restart().await?;
    stop.store(true, Ordering::SeqCst);
    let mut tokens = Vec::new();
    for (n, client) in clients.into_iter().enumerate() {
        tokens.push((name(n), client.await??));
    }
    Ok(tokens)
}

/// Every gateway shows the locks with these tokens.
pub(super) async fn all_held(gateways: &[Gateway], tokens: &[(String, u64)]) -> Result<()> {
    for gateway in gateways {
        for (lock, token) in tokens {
            ensure!(holder(&gateway.admin(), lock).await? == *token, "{lock}");
        }
    }
    Ok(())
}

//! `kill -9` at random points under load: every answered grant is in the ledger, no event is there
//! twice, and none was invented.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use rand::RngExt;
use serde_json::json;

const ROUNDS: usize = 4;
const CLIENTS: usize = 8;

/// What the clients were told, and what they asked without hearing an answer.
#[derive(Debug, Default)]
struct Heard {
    /// Fencing token by request id.
    granted: HashMap<String, u64>,
    /// All request ids that were ever sent.
    asked: HashSet<String>,
}

async fn client(api: Api, round: usize, number: usize, heard: Arc<Mutex<Heard>>) {
    for n in 0.. {
        let request_id = format!("r{round}-c{number}-{n}");
        let lock = format!("crash-{}", n % 5 * CLIENTS + number);
        heard
            .lock()
            .expect("not poisoned")
            .asked
            .insert(request_id.clone());
        let body = json!({ "ttl_ms": 60_000, "request_id": request_id });
        let path = format!("/v1/namespaces/demo/locks/{lock}:acquire");
        let Ok(grant) = api.post(&path, &body).await else {
            return;
        };
        if grant.status != 201 {
            // Held by a lease of a round before, whose release was cut off.
            continue;
        }
        let token = grant.body["fencing_token"]
            .as_u64()
            .expect("a grant has a token");
        heard
            .lock()
            .expect("not poisoned")
            .granted
            .insert(request_id, token);
        let lease_id = grant.body["lease_id"]
            .as_str()
            .expect("a grant has a lease id")
            .to_owned();
        if api.with_lease(&lock, "release", &lease_id).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn every_answered_grant_survives_kill_9_exactly_once() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let heard = Arc::new(Mutex::new(Heard::default()));
    for round in 0..ROUNDS {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| tokio::spawn(client(gateway.admin(), round, number, heard.clone())))
            .collect();
        let pause = rand::rng().random_range(200..900);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        gateway.kill().await?;
        for client in clients {
            client.await?;
        }
        gateway.restart().await?;
    }
    let events = gateway.admin().ledger("").await?;
    let heard = heard.lock().expect("not poisoned");
    ensure!(
        heard.granted.len() > 50,
        "only {} grants: no load",
        heard.granted.len()
    );

    let mut granted: HashMap<&str, u64> = HashMap::new();
    for (at, row) in events.iter().enumerate() {
        assert_eq!(
            row["cursor"].as_u64(),
            Some(at as u64 + 1),
            "cursors are dense: {row}"
        );
        let transitions = row["event"]["transitions"].as_array().map(Vec::as_slice);
        for transition in transitions.unwrap_or_default() {
            if transition["type"] != "granted" {
                continue;
            }
            let id = transition["request_id"].as_str().context("request_id")?;
            let token = transition["token"].as_u64().context("token")?;
            assert_eq!(granted.insert(id, token), None, "{id} was granted twice");
            assert!(heard.asked.contains(id), "{id} was invented");
        }
    }
    for (id, token) in &heard.granted {
        assert_eq!(
            granted.get(id.as_str()),
            Some(token),
            "{id} was answered and is not there"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_held_lock_stays_held_and_tokens_grow_over_kill_9() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let grant = gateway.admin().acquire("kept", 60_000).await?;
    let lease_id = grant.body["lease_id"]
        .as_str()
        .context("lease_id")?
        .to_owned();
    let short = gateway.admin().acquire("short", 60_000).await?;
    let short_id = short.body["lease_id"]
        .as_str()
        .context("lease_id")?
        .to_owned();
    gateway
        .admin()
        .with_lease("short", "release", &short_id)
        .await?;
    gateway.kill().await?;
    gateway.restart().await?;
    let api = gateway.admin();
    let other = gateway.service("svc", "team-a").await?;
    assert_eq!(other.acquire("kept", 10_000).await?.code(), "held");
    assert_eq!(
        api.with_lease("kept", "renew", &lease_id).await?.status,
        200
    );
    assert_eq!(
        api.with_lease("kept", "release", &lease_id).await?.status,
        200
    );
    for (lock, before) in [("kept", &grant), ("short", &short)] {
        let after = other.acquire(lock, 10_000).await?;
        let tokens = (&after.body["fencing_token"], &before.body["fencing_token"]);
        assert!(tokens.0.as_u64() > tokens.1.as_u64(), "{lock}: {tokens:?}");
    }
    Ok(())
}

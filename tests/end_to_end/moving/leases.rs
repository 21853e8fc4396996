//! Leases of many locks of one namespace, taken and renewed many at a time.

use std::collections::BTreeMap;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::Api;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinSet;

use super::verb;

/// Locks in one acquire.
pub(super) const BATCH: usize = 64;
/// Who take at the same time.
const CLIENTS: usize = 8;

/// A lease as it was granted.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) id: String,
    pub(super) token: u64,
}

/// By the names of their locks.
pub(super) type Leases = BTreeMap<String, Lease>;

pub(super) fn name(batch: usize, number: usize) -> String {
    format!("many/{batch}-{number}")
}

/// Takes so many times [`BATCH`] locks.
pub(super) async fn take(api: &Api, batches: usize) -> Result<Leases> {
    let (mut under_way, mut leases) = (JoinSet::new(), Leases::new());
    for batch in 0..batches {
        if under_way.len() == CLIENTS {
            leases.extend(under_way.join_next().await.context("one")???);
        }
        under_way.spawn(take_batch(api.clone(), batch));
    }
    while let Some(taken) = under_way.join_next().await {
        leases.extend(taken??);
    }
    ensure!(leases.len() == batches * BATCH, "{}", leases.len());
    Ok(leases)
}

async fn take_batch(api: Api, batch: usize) -> Result<Vec<(String, Lease)>> {
    let locks: Vec<_> = (0..BATCH).map(|number| name(batch, number)).collect();
    let ask = json!({ "locks": locks, "ttl_ms": 600_000 });
    let path = "/v1/namespaces/west/locks:acquire";
    let grants = api.post(path, &ask).await?;
    ensure!(grants.status == 201, "{grants:?}");
    let rows = grants.body["grants"].as_array().context("grants")?;
    rows.iter().map(lease).collect()
}

fn lease(row: &Value) -> Result<(String, Lease)> {
    let lock = row["lock"].as_str().context("a lock")?;
    let (id, token) = (&row["grant"]["lease_id"], &row["grant"]["fencing_token"]);
    let lease = Lease {
        id: id.as_str().context("a lease")?.to_owned(),
        token: token.as_u64().context("a token")?,
    };
    Ok((lock.to_owned(), lease))
}

/// Gives one lease back.
pub(super) async fn release(api: &Api, lock: &str, lease: &Lease) -> Result<()> {
    let released = verb(api, lock, "release", &json!({ "lease_id": lease.id })).await?;
    ensure!(released.status == 200, "{released:?}");
    Ok(())
}

/// Renews every lease; each is there, with its token.
pub(super) async fn renew_all(api: &Api, leases: &Leases) -> Result<()> {
    let all: Vec<_> = leases.iter().collect();
    for some in all.chunks(1_000) {
        let row = |(lock, lease): &(&String, &Lease)| json!({ "lock": lock, "lease_id": lease.id });
        let ask = json!({ "leases": some.iter().map(row).collect::<Vec<_>>() });
        let path = "/v1/namespaces/west/leases:renew";
        let renewed = api.post(path, &ask).await?;
        ensure!(renewed.status == 200, "{renewed:?}");
        let results = renewed.body["results"].as_array().context("results")?;
        ensure!(results.len() == some.len(), "{renewed:?}");
        for ((lock, lease), result) in some.iter().zip(results) {
            let token = result["grant"]["fencing_token"].as_u64();
            ensure!(token == Some(lease.token), "{lock}: {lease:?}: {result}");
        }
    }
    Ok(())
}

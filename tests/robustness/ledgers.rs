//! What the ledgers have, once all is quiet.

use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use serde_json::Value;

use super::Ledger;
use super::Recorder;
use super::Told;
use super::Turn;
use super::is_contended;
use super::world::PATIENCE;
use super::world::World;
use crate::Api;

/// Reads the ledger of each gateway, up to the last event that any of them has. One that cannot be
/// read is empty and does not verify.
pub(crate) async fn read(world: &World, recorder: &Recorder) -> Result<()> {
    let mut last = 0;
    for place in 0..world.gateways.len() {
        last = last.max(cursor(&world.admin(place)).await.unwrap_or_default());
    }
    for place in 0..world.gateways.len() {
        let gateway = u32::try_from(place)?;
        let unread = |error: anyhow::Error| {
            recorder.exit(format!("the ledger of gateway {place}: {error:#}"));
            Ledger {
                gateway,
                ..Ledger::default()
            }
        };
        let ledger = whole(&world.admin(place), gateway, last).await;
        recorder.ledger(ledger.unwrap_or_else(unread));
    }
    Ok(())
}

/// The last event in a ledger, once it has all that was answered.
async fn cursor(admin: &Api) -> Result<u64> {
    admin.settled().await?;
    let ready = admin.get("/readyz").await?;
    ready.body["ledger"]["cursor"].as_u64().context("a cursor")
}

async fn whole(admin: &Api, gateway: u32, last: u64) -> Result<Ledger> {
    let reading = tokio::time::timeout(PATIENCE, events(admin, last));
    let rows = reading.await.context("it does not catch up")??;
    let verified = admin.get("/v1/audit/verify").await?;
    Ok(Ledger {
        gateway,
        grants: rows.iter().flat_map(grants).collect(),
        turns: rows.iter().flat_map(turns).collect(),
        rows: rows.iter().map(digest).collect(),
        intact: verified.status == 200 && verified.body["intact"] != false,
    })
}

/// All events up to a cursor, once they are there.
async fn events(admin: &Api, last: u64) -> Result<Vec<Value>> {
    let (mut rows, mut after) = (Vec::new(), 0);
    while after < last {
        let path = format!("/v1/audit/events?limit=1000&after={after}");
        let page = admin.get(&path).await?;
        ensure!(page.status == 200, "{page:?}");
        let events = page.body["events"].as_array().context("events")?;
        for row in events {
            after = row["cursor"].as_u64().context("a cursor")?;
            if after <= last {
                rows.push(row.clone());
            }
        }
        if events.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(rows)
}

/// The row as it was sent, event and hash.
fn digest(row: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.to_string().hash(&mut hasher);
    hasher.finish()
}

fn grants(row: &Value) -> Vec<(String, u64)> {
    let transitions = row["event"]["transitions"].as_array();
    let granted = |transition: &Value| {
        let key = transition["request_id"].as_str()?.to_owned();
        Some((key, transition["token"].as_u64()?))
    };
    transitions
        .into_iter()
        .flatten()
        .filter(|transition| transition["type"] == "granted")
        .filter_map(granted)
        .collect()
}

/// What an event tells of a contended lock.
fn turns(row: &Value) -> Vec<Turn> {
    let event = &row["event"];
    let lock = event["lock"].as_str().and_then(|lock| lock.split_once('/'));
    let (Some((_, lock)), Some(cursor)) = (lock, row["cursor"].as_u64()) else {
        return Vec::new();
    };
    let transitions = event["transitions"].as_array().into_iter().flatten();
    let turn = |transition: &Value| {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        // The end of a lease is named by its cause.
        let change = text(&transition["cause"]).filter(|_| transition["type"] == "ended");
        Some(Turn {
            key: text(&transition["owner"]["instance"]).unwrap_or_default(),
            told: Told {
                cursor,
                lock: lock.to_owned(),
                change: change.or_else(|| text(&transition["type"]))?,
                handle: text(&transition["handle"]),
                token: transition["token"].as_u64(),
            },
        })
    };
    match is_contended(lock) {
        true => transitions.filter_map(turn).collect(),
        false => Vec::new(),
    }
}

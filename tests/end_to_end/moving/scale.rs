//! Ten thousand locks on their way through all kinds of store, with holders that renew, clients
//! that wait, and others that want locks of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_test_servers::Etcd;
use leasehold_test_servers::Postgres;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::create;
use super::leases::BATCH;
use super::leases::Leases;
use super::leases::name;
use super::leases::release;
use super::leases::renew_all;
use super::leases::take;
use super::moved_to;
use super::one_waits;
use super::until_ready;
use super::verb;
use super::with_lease;

/// Batches of locks: each gives its last lock back before the moves, and the first lock of some has
/// somebody who waits.
const BATCHES: usize = 157;
const WAITERS: usize = 8;

/// How long nobody may be granted a lock because of one move of them all: a bound for a busy
/// machine and a debug build.
const REFUSED_MAX: Duration = Duration::from_secs(30);

/// A gateway with three kinds of store: its own, `eu` on Postgres, `sea` on etcd.
pub(super) async fn three_stores(postgres: &Postgres, etcd: &Etcd) -> Result<Gateway> {
    let database = postgres.database().await;
    let (url, endpoints, prefix) = (postgres.url(&database), etcd.endpoints(), etcd.prefix());
    let config = format!(
        "[stores.eu]\nbackend = \"postgres\"\n[stores.eu.postgres]\nurl = \"{url}\"\n\
         allow_unreplicated = true\n[stores.sea]\nbackend = \"etcd\"\n[stores.sea.etcd]\n\
         endpoints = {endpoints:?}\nprefix = \"{prefix}\"\n"
    );
    let gateway = Gateway::start_with(GatewayOptions {
        config,
        ..GatewayOptions::default()
    });
    let gateway = gateway.await?;
    until_ready(&gateway.admin(), "eu", true).await?;
    until_ready(&gateway.admin(), "sea", true).await?;
    Ok(gateway)
}

/// Gives the last lock of each batch back; answers the tokens that these had.
async fn give_some_back(api: &Api, leases: &mut Leases) -> Result<BTreeMap<String, u64>> {
    let mut gone = BTreeMap::new();
    for batch in 0..BATCHES {
        let lock = name(batch, BATCH - 1);
        let lease = leases.remove(&lock).context("it is held")?;
        release(api, &lock, &lease).await?;
        gone.insert(lock, lease.token);
    }
    Ok(gone)
}

/// Wants a lock until it gets it, as a client does that keeps its place with one `request_id`.
fn wait_for(api: &Api, lock: String) -> JoinHandle<Result<Answer>> {
    let api = api.clone();
    tokio::spawn(async move {
        let ask =
            json!({ "ttl_ms": 60_000, "wait_ms": 60_000, "request_id": format!("for-{lock}") });
        loop {
            let answer = verb(&api, &lock, "acquire", &ask).await?;
            if answer.status == 201 {
                return Ok(answer);
            }
            ensure!([409, 503].contains(&answer.status), "{answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}

/// Renews a lease again and again; answers how often it was renewed. Where others keep the machine
/// busy, a renewal may be told to come again.
fn keep(api: &Api, grant: Answer, stop: watch::Receiver<bool>) -> JoinHandle<Result<usize>> {
    let api = api.clone();
    tokio::spawn(async move {
        let mut renewed = 0;
        while !*stop.borrow() {
            let answer = with_lease(&api, "held", "renew", &grant).await?;
            match answer.status {
                200 => renewed += 1,
                _ => ensure!(answer.body["retryable"] == true, "{answer:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let last = with_lease(&api, "held", "renew", &grant).await?;
        ensure!(
            last.status == 200 && last.token()? == grant.token()?,
            "{last:?}"
        );
        Ok(renewed)
    })
}

/// Takes new locks one after the other; answers how long it was without a grant at the longest.
fn probe(api: &Api, stop: watch::Receiver<bool>) -> JoinHandle<Result<Duration>> {
    let (api, clock) = (api.clone(), SystemClock::new());
    tokio::spawn(async move {
        let (mut longest, mut last) = (Duration::ZERO, clock.monotonic());
        for number in 0.. {
            let lock = format!("new/{number}");
            let grant = verb(&api, &lock, "acquire", &json!({ "ttl_ms": 600_000 })).await?;
            let now = clock.monotonic();
            if grant.status == 201 {
                longest = longest.max(now - last);
                last = now;
                if *stop.borrow() {
                    break;
                }
            } else {
                ensure!(grant.status == 503, "{grant:?}");
                ensure!(grant.body["effect"] == "none", "{grant:?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(longest)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_locks_move_through_all_stores_and_none_is_lost() -> Result<()> {
    let (postgres, etcd) = tokio::join!(Postgres::start(), Etcd::start(1));
    let gateway = three_stores(&postgres, &etcd).await?;
    let admin = gateway.admin();
    ensure!(create(&admin, "west", "home").await?.status == 201);
    let mut leases = take(&admin, BATCHES).await?;
    let gone = give_some_back(&admin, &mut leases).await?;
    let other = gateway.service("other", "team-b").await?;
    let mut waiting = Vec::new();
    for batch in 0..WAITERS {
        waiting.push(wait_for(&other, name(batch, 0)));
        one_waits(&admin, &name(batch, 0)).await?;
    }
    let held = verb(&admin, "held", "acquire", &json!({ "ttl_ms": 60_000 })).await?;

    let (stop, stopped) = watch::channel(false);
    let kept = keep(&admin, held, stopped.clone());
    let probed = probe(&other, stopped);
    for store in ["eu", "sea", "home"] {
        moved_to(&admin, store).await?;
        renew_all(&admin, &leases).await?;
    }
    stop.send_replace(true);
    ensure!(kept.await?? > 0);
    let refused = probed.await??;
    ensure!(
        refused < REFUSED_MAX,
        "nobody was granted a lock for {refused:?}"
    );

    for (lock, token) in gone {
        let again = verb(&admin, &lock, "acquire", &json!({ "ttl_ms": 60_000 })).await?;
        ensure!(again.token()? > token, "{again:?} after {token}");
    }
    for (batch, waiter) in waiting.into_iter().enumerate() {
        let lock = name(batch, 0);
        let lease = leases.get(&lock).context("it is held")?;
        release(&admin, &lock, lease).await?;
        let grant = tokio::time::timeout(super::PATIENCE, waiter).await???;
        ensure!(grant.token()? > lease.token, "{grant:?} after {lease:?}");
    }
    Ok(())
}

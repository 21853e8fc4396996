//! A live namespace moves from one store to another, and back.

mod claimed;
mod failover;
mod large;
mod leases;
mod scale;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_test_servers::Postgres;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::Value;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::stores::acquire;
use super::stores::create;
use super::stores::two_stores;
use super::stores::until_ready;

const PATIENCE: Duration = Duration::from_secs(60);

async fn verb(api: &Api, lock: &str, verb: &str, body: &Value) -> Result<Answer> {
    let path = format!("/v1/namespaces/west/locks/{lock}:{verb}");
    api.post(&path, body).await
}

async fn with_lease(api: &Api, lock: &str, what: &str, grant: &Answer) -> Result<Answer> {
    let body = json!({ "lease_id": grant.text_of("lease_id")? });
    verb(api, lock, what, &body).await
}

async fn move_to(api: &Api, store: &str) -> Result<Answer> {
    api.post("/v1/namespaces/west:move", &json!({ "to": store }))
        .await
}

/// Moves it, as often as it takes.
async fn moved_to(api: &Api, store: &str) -> Result<()> {
    let moved = async {
        loop {
            let answer = move_to(api, store).await?;
            if answer.status == 200 {
                ensure!(answer.body["store"] == store, "{answer:?}");
                return anyhow::Ok(());
            }
            ensure!(answer.body["retryable"] == true, "{answer:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, moved).await?
}

/// The same as often as it takes: a store that stalls for seconds is no fault of a move, and says
/// that it may be asked again.
async fn insist(api: &Api, lock: &str, what: &str, grant: &Answer) -> Result<Answer> {
    let asked = async {
        loop {
            let answer = with_lease(api, lock, what, grant).await?;
            if answer.status != 503 {
                return Ok(answer);
            }
            ensure!(
                answer.body["retryable"] == true,
                "{what} {lock}: {answer:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .with_context(|| format!("{what} {lock}"))?
}

/// Renews a lease again and again until it is told to stop; answers how often, and of how many
/// renewals it had to ask again.
fn keep(
    api: &Api,
    lock: &'static str,
    grant: Answer,
    stop: watch::Receiver<bool>,
) -> JoinHandle<Result<(usize, usize)>> {
    let api = api.clone();
    tokio::spawn(async move {
        let (mut renewed, mut refused) = (0, 0);
        while !*stop.borrow() {
            let mut answer = with_lease(&api, lock, "renew", &grant).await?;
            if answer.status == 503 {
                refused += 1;
                answer = insist(&api, lock, "renew", &grant).await?;
            }
            ensure!(answer.status == 200, "renewal {renewed}: {answer:?}");
            ensure!(answer.token()? == grant.token()?, "{answer:?}");
            renewed += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok((renewed, refused))
    })
}

/// Takes and gives back a lock again and again; answers its tokens, and how often it was told to
/// ask again.
fn work(
    api: &Api,
    lock: &'static str,
    stop: watch::Receiver<bool>,
) -> JoinHandle<Result<(Vec<u64>, usize)>> {
    let api = api.clone();
    tokio::spawn(async move {
        let (mut tokens, mut refused) = (Vec::new(), 0);
        while !*stop.borrow() {
            let grant = verb(&api, lock, "acquire", &json!({ "ttl_ms": 60_000 })).await?;
            if grant.status == 503 {
                ensure!(grant.body["effect"] == "none", "{grant:?}");
                ensure!(grant.headers.contains_key("retry-after"), "{grant:?}");
                refused += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            ensure!(grant.status == 201, "{grant:?}");
            tokens.push(grant.token()?);
            let released = with_lease(&api, lock, "release", &grant).await?;
            ensure!(released.status == 200, "{released:?}");
        }
        Ok((tokens, refused))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_namespace_moves_and_keeps_leases_queue_and_tokens() -> Result<()> {
    let postgres = Postgres::start().await;
    let gateway = two_stores(&postgres).await?;
    let admin = gateway.admin();
    until_ready(&admin, "eu", true).await?;
    assert_eq!(create(&admin, "west", "home").await?.status, 201);
    let held = acquire(&admin, "west/held").await?;
    let gone = acquire(&admin, "west/gone").await?;
    with_lease(&admin, "gone", "release", &gone).await?;
    // One that waits is told to come again, and keeps its place.
    let other = gateway.service("other", "team-b").await?;
    let wait = json!({ "ttl_ms": 60_000, "wait_ms": 60_000, "request_id": "in-line" });
    let (waiter, asked) = (other.clone(), wait.clone());
    let waiting = tokio::spawn(async move { verb(&waiter, "held", "acquire", &asked).await });
    one_waits(&admin, "held").await?;
    let path = "/v1/namespaces/west/locks:watch";
    let mut watching = admin.watch(path, None).await?;
    let here = watching.next().await?.context("a watch begins")?;

    let (stop, stopped) = watch::channel(false);
    let kept = keep(&admin, "held", held.clone(), stopped.clone());
    let worked = work(&admin, "busy", stopped);
    let arguments = ["namespace", "move", "west", "--to", "eu"];
    let line = gateway.command_line(ADMIN_KEY, &arguments).await?;
    assert!(line.status.success(), "{line:?}");
    let told = tokio::time::timeout(PATIENCE, waiting).await???;
    assert_eq!(told.code(), "held", "{told:?}");
    // A watch ends with the stay in the store that it reads.
    while watching.next().await?.is_some() {}
    let mut watching = admin.watch(path, here.id.as_deref()).await?;
    watching.next().await?.context("a watch begins")?;
    let told = watching.next().await?.context("the other store's story")?;
    assert_eq!(told.event, "resync", "{told:?}");

    moved_to(&admin, "home").await?;
    moved_to(&admin, "eu").await?;
    stop.send_replace(true);
    let (renewed, refused) = kept.await??;
    assert!(renewed > 0 && refused == 0, "{refused} of {renewed}");
    let (tokens, _) = worked.await??;
    assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");

    let again = acquire(&admin, "west/gone").await?;
    assert!(again.token()? > gone.token()?, "{again:?} {gone:?}");
    let (waiter, asked) = (other.clone(), wait);
    let waiting = tokio::spawn(async move { verb(&waiter, "held", "acquire", &asked).await });
    with_lease(&admin, "held", "release", &held).await?;
    let next = tokio::time::timeout(PATIENCE, waiting).await???;
    assert_eq!(next.status, 201, "{next:?}");
    assert!(next.token()? > held.token()?);

    told_by_both_ledgers(&admin).await
}

/// Waits until somebody stands in a lock's queue.
async fn one_waits(api: &Api, lock: &str) -> Result<()> {
    let queued = async {
        loop {
            let view = api
                .get(&format!("/v1/namespaces/west/locks/{lock}"))
                .await?;
            if view.body["queue"].as_array().is_some_and(|q| q.len() == 1) {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, queued).await?
}

/// The whole past is told.
async fn told_by_both_ledgers(admin: &Api) -> Result<()> {
    let granted = admin
        .get("/v1/audit/events?lock=west/held&operation=acquire")
        .await?;
    let first = &granted.body["events"][0];
    assert_eq!(first["store"], "home", "{granted:?}");
    let moves = admin
        .get("/v1/audit/events?namespace=west&operation=governance")
        .await?;
    for words in ["leaves store home for eu", "comes to store eu from home"] {
        assert!(moves.text.contains(words), "{words}: {moves:?}");
    }
    let now = admin.get("/v1/audit/holders?lock=west/held").await?;
    let holders = now.body["holders"].as_array().context("holders")?;
    let others: Vec<_> = holders.iter().map(|hold| &hold["subject"]).collect();
    assert_eq!(others, ["other"], "{now:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_has_not_heard_of_the_move_grants_nothing_twice() -> Result<()> {
    let postgres = Postgres::start().await;
    let (home, eu) = (postgres.database().await, postgres.database().await);
    let mut gateways = Vec::new();
    for consumer in ["one", "two"] {
        let section = |table: &str, database: &str| {
            let url = postgres.url(database);
            format!(
                "[{table}]\nbackend = \"postgres\"\n[{table}.postgres]\nurl = \"{url}\"\n\
                 consumer = \"{consumer}\"\nallow_unreplicated = true\n"
            )
        };
        let config = section("storage", &home) + &section("stores.eu", &eu);
        let options = GatewayOptions {
            config,
            ..GatewayOptions::default()
        };
        let gateway = Gateway::start_with(options).await?;
        until_ready(&gateway.admin(), "eu", true).await?;
        gateways.push(gateway);
    }
    let (one, two) = (gateways[0].admin(), gateways[1].admin());
    assert_eq!(create(&one, "west", "home").await?.status, 201);
    let held = acquire(&one, "west/held").await?;
    let known = async {
        while two.get("/v1/namespaces/west/locks/held").await?.status != 200 {}
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, known).await??;

    // Both keep the same lease, and one lock is taken by both in turn: each grant is greater than
    // all that were answered before it was asked for.
    let (stop, stopped) = watch::channel(false);
    let kept = [&one, &two].map(|api| keep(api, "held", held.clone(), stopped.clone()));
    let newest = Arc::new(AtomicU64::new(0));
    let contended = [&one, &two].map(|api| contend(api, newest.clone(), stopped.clone()));
    for store in ["eu", "home", "eu", "home"] {
        moved_to(&one, store).await?;
    }
    stop.send_replace(true);
    for renewals in kept {
        let (renewed, refused) = renewals.await??;
        assert!(renewed > refused, "{refused} of {renewed}");
    }
    for grants in contended {
        assert!(tokio::time::timeout(PATIENCE, grants).await??? > 0);
    }
    Ok(())
}

/// Takes and gives back one lock, against others that do the same; answers how often.
fn contend(
    api: &Api,
    newest: Arc<AtomicU64>,
    stop: watch::Receiver<bool>,
) -> JoinHandle<Result<usize>> {
    let api = api.clone();
    tokio::spawn(async move {
        let mut grants = 0;
        // The other may have been faster each time; in the end it leaves the lock to this one.
        while !*stop.borrow() || grants == 0 {
            let before = newest.load(SeqCst);
            let grant = verb(&api, "contended", "acquire", &json!({ "ttl_ms": 10_000 })).await?;
            if grant.status != 201 {
                ensure!([409, 503].contains(&grant.status), "{grant:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            ensure!(grant.token()? > before, "{grant:?} after {before}");
            newest.fetch_max(grant.token()?, SeqCst);
            grants += 1;
            // Asked again after an answer that was lost, it may find the lease ended.
            let released = insist(&api, "contended", "release", &grant).await?;
            ensure!([200, 410].contains(&released.status), "{released:?}");
        }
        Ok(grants)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_goes_on_after_kill_9() -> Result<()> {
    let postgres = Postgres::start().await;
    let mut gateway = two_stores(&postgres).await?;
    until_ready(&gateway.admin(), "eu", true).await?;
    assert_eq!(create(&gateway.admin(), "west", "home").await?.status, 201);
    let mut leases = BTreeMap::new();
    for number in 0..150 {
        let lock = format!("lock-{number}");
        let grant = acquire(&gateway.admin(), &format!("west/{lock}")).await?;
        ensure!(grant.status == 201, "{grant:?}");
        leases.insert(lock, grant);
    }
    for (round, store) in ["eu", "home", "eu", "home"].into_iter().enumerate() {
        cut_off(&mut gateway, store, round).await?;
        let admin = gateway.admin();
        until_ready(&admin, "eu", true).await?;
        // Before it goes on nobody gets a lock that is held, wherever it is.
        let stranger = gateway.service("stranger", "team-b").await?;
        for lock in leases.keys().step_by(10) {
            let asked = acquire(&stranger, &format!("west/{lock}")).await?;
            assert!([409, 503].contains(&asked.status), "{asked:?}");
        }
        moved_to(&admin, store).await?;
        for (lock, grant) in &leases {
            let renewed = with_lease(&admin, lock, "renew", grant).await?;
            ensure!(renewed.status == 200, "round {round}: {lock}: {renewed:?}");
            ensure!(renewed.token()? == grant.token()?, "{renewed:?}");
        }
    }
    // Nobody asks again: the gateway takes it up by itself.
    cut_off(&mut gateway, "eu", 1).await?;
    let admin = gateway.admin();
    let taken_up = async {
        loop {
            let shown = admin.get("/v1/namespaces/west").await?;
            if shown.body["store"] == "eu" && shown.body["moving_to"].is_null() {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, taken_up).await??;
    let verified = gateway.admin().get("/v1/audit/verify?store=eu").await?;
    assert_eq!(verified.body["intact"], true, "{verified:?}");
    Ok(())
}

/// Begins a move and kills the gateway while it is under way, each round a little later.
async fn cut_off(gateway: &mut Gateway, store: &'static str, round: usize) -> Result<()> {
    let admin = gateway.admin();
    let mover = admin.clone();
    let moving = tokio::spawn(async move { move_to(&mover, store).await });
    let begun = async {
        loop {
            let shown = admin.get("/v1/namespaces/west").await?;
            if shown.body["moving_to"] == store || shown.body["store"] == store {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, begun).await??;
    // Where exactly it is cut off must not matter.
    tokio::time::sleep(Duration::from_millis(10 * round as u64)).await;
    gateway.kill().await?;
    // The answer is lost, unless it came before.
    let _ = moving.await?;
    gateway.restart().await
}

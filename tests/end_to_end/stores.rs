//! Several stores in one gateway: each namespace in the store that it chose.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use leasehold_test_servers::Postgres;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::Value;
use serde_json::json;

/// How long a store may take to be seen as it is.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway with its home store and the database as store `eu`.
pub(super) async fn two_stores(postgres: &Postgres) -> Result<Gateway> {
    let database = postgres.database().await;
    let url = postgres.url(&database);
    let config = format!(
        "[stores.eu]\nbackend = \"postgres\"\n[stores.eu.postgres]\nurl = \"{url}\"\n\
         allow_unreplicated = true\n"
    );
    let options = GatewayOptions {
        config,
        ..GatewayOptions::default()
    };
    Gateway::start_with(options).await
}

pub(super) async fn create(api: &Api, name: &str, store: &str) -> Result<Answer> {
    let body = json!({ "name": name, "store": store, "default_decision": "allow" });
    api.post("/v1/namespaces", &body).await
}

pub(super) async fn acquire(api: &Api, lock: &str) -> Result<Answer> {
    let (namespace, name) = lock.split_once('/').context("NAMESPACE/LOCK")?;
    let path = format!("/v1/namespaces/{namespace}/locks/{name}:acquire");
    api.post(&path, &json!({ "ttl_ms": 60_000 })).await
}

/// How a store is, by the gateway's readiness.
async fn store(api: &Api, name: &str) -> Result<(Answer, Value)> {
    let ready = api.get("/readyz").await?;
    let stores = ready.body["stores"].as_array().context("stores")?;
    let one = stores.iter().find(|store| store["name"] == name);
    let one = one.context("the store")?.clone();
    Ok((ready, one))
}

/// Waits until a store is ready, or is not.
pub(super) async fn until_ready(api: &Api, name: &str, ready: bool) -> Result<Answer> {
    let seen = async {
        loop {
            let (answer, store) = store(api, name).await?;
            if store["backend"]["ready"] == ready {
                return anyhow::Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_is_in_the_store_that_it_chose() -> Result<()> {
    let postgres = Postgres::start().await;
    let gateway = two_stores(&postgres).await?;
    let admin = gateway.admin();
    until_ready(&admin, "eu", true).await?;

    let unknown = create(&admin, "n", "mars").await?;
    assert_eq!((unknown.status, unknown.code()), (404, "not_found"));
    assert!(unknown.text.contains("eu, home"), "{unknown:?}");
    let made = create(&admin, "west", "eu").await?;
    assert_eq!((made.status, made.text_of("store")?), (201, "eu"));
    let east = create(&admin, "east", "home").await?;
    assert_eq!(east.text_of("store")?, "home");

    // A PUT keeps the store, and cannot change it.
    let body = json!({ "description": "d", "default_decision": "allow" });
    let put = admin.put("/v1/namespaces/west", &body).await?;
    assert_eq!(put.text_of("store")?, "eu");
    let body = json!({ "store": "home", "default_decision": "allow" });
    let put = admin.put("/v1/namespaces/west", &body).await?;
    assert_eq!((put.status, put.code()), (409, "conflict"), "{put:?}");

    let west = acquire(&admin, "west/a").await?;
    let east = acquire(&admin, "east/a").await?;
    assert_eq!((west.status, east.status), (201, 201), "{west:?} {east:?}");
    let lease = json!({ "leases": [{ "lock": "a", "lease_id": west.text_of("lease_id")? }] });
    let renewed = admin
        .post("/v1/namespaces/west/leases:renew", &lease)
        .await?;
    assert!(
        renewed.body["results"][0]["grant"].is_object(),
        "{renewed:?}"
    );

    // Each store has a ledger of its own. A question about a namespace is asked of its store's, any
    // other of all.
    let of = async |query: &str| {
        let path = format!("/v1/audit/events?operation=acquire{query}");
        let page = admin.get(&path).await?;
        let events = page.body["events"].as_array().context("events")?;
        let seen = |event: &Value| {
            let lock = event["event"]["lock"].as_str().unwrap_or_default();
            format!("{}:{lock}", event["store"].as_str().unwrap_or_default())
        };
        anyhow::Ok(events.iter().map(seen).collect::<Vec<_>>())
    };
    assert_eq!(of("&namespace=west").await?, ["eu:west/a"]);
    assert_eq!(of("&lock=east/a").await?, ["home:east/a"]);
    assert_eq!(of("").await?, ["eu:west/a", "home:east/a"]);
    assert_eq!(of("&descending=true").await?, ["home:east/a", "eu:west/a"]);
    assert_eq!(of("&store=eu").await?, ["eu:west/a"]);
    let first = admin
        .get("/v1/audit/events?operation=acquire&limit=1")
        .await?;
    let places = first.text_of("next_cursors")?;
    assert_eq!(
        of(&format!("&limit=1&cursors={places}")).await?,
        ["home:east/a"]
    );
    let held = admin.get("/v1/audit/holders?lock=west/a").await?;
    assert_eq!(held.body["holders"][0]["store"], "eu", "{held:?}");
    let verified = admin.get("/v1/audit/verify?store=eu").await?;
    assert_eq!(verified.body["intact"], true, "{verified:?}");
    assert_eq!(verified.body["store"], "eu");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_down_stops_its_own_namespaces_only() -> Result<()> {
    let postgres = Postgres::start().await;
    let mut gateway = two_stores(&postgres).await?;
    let admin = gateway.admin();
    until_ready(&admin, "eu", true).await?;
    assert_eq!(create(&admin, "west", "eu").await?.status, 201);
    let west = acquire(&admin, "west/a").await?;
    postgres.kill();
    let refused = acquire(&admin, "west/b").await?;
    assert_eq!((refused.status, refused.code()), (503, "unavailable"));
    assert_eq!(admin.acquire("a", 10_000).await?.status, 201);
    let ready = until_ready(&admin, "eu", false).await?;
    assert_eq!(ready.status, 200, "{ready:?}");

    // A start does not need it either, and it comes back by itself.
    gateway.restart().await?;
    let admin = gateway.admin();
    let refused = acquire(&admin, "west/b").await?;
    assert_eq!((refused.status, refused.code()), (503, "unavailable"));
    assert_eq!(refused.body["effect"], "none", "{refused:?}");
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    assert_eq!(admin.acquire("b", 10_000).await?.status, 201);
    let partly = admin.get("/v1/audit/events").await?;
    assert_eq!(partly.body["missing"], json!(["eu"]), "{partly:?}");
    postgres.begin().await;
    until_ready(&admin, "eu", true).await?;
    let lease = json!({ "lease_id": west.text_of("lease_id")? });
    let renewed = admin
        .post("/v1/namespaces/west/locks/a:renew", &lease)
        .await?;
    assert_eq!((renewed.status, renewed.token()?), (200, west.token()?));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_made_again_is_where_its_tokens_are() -> Result<()> {
    let postgres = Postgres::start().await;
    let gateway = two_stores(&postgres).await?;
    let admin = gateway.admin();
    until_ready(&admin, "eu", true).await?;
    assert_eq!(create(&admin, "west", "home").await?.status, 201);
    let before = acquire(&admin, "west/a").await?;
    let gone = admin.delete("/v1/namespaces/west?force=true").await?;
    assert_eq!(gone.status, 200, "{gone:?}");
    let elsewhere = create(&admin, "west", "eu").await?;
    assert_eq!(elsewhere.code(), "conflict", "{elsewhere:?}");
    let body = json!({ "name": "west", "default_decision": "allow" });
    let again = admin.post("/v1/namespaces", &body).await?;
    assert_eq!(again.text_of("store")?, "home", "{again:?}");
    let moved = admin
        .post("/v1/namespaces/west:move", &json!({ "to": "eu" }))
        .await?;
    assert_eq!(moved.text_of("store")?, "eu", "{moved:?}");
    let lease = json!({ "lease_id": before.text_of("lease_id")? });
    let renewed = admin
        .post("/v1/namespaces/west/locks/a:renew", &lease)
        .await?;
    assert_eq!(renewed.token()?, before.token()?, "{renewed:?}");
    Ok(())
}

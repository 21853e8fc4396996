//! The life of an API key: who created it, and when it expires.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::Value;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);
/// The life of keys whose end a test waits for: long enough for what is begun before, also on a
/// machine that is busy.
const SHORT_MS: u64 = 8_000;

async fn create(api: &Api, body: &Value) -> Result<Answer> {
    let made = api.post("/v1/keys", body).await?;
    ensure!(made.status == 201, "{made:?}");
    Ok(made)
}

/// Returns a key as the list shows it.
async fn listed(api: &Api, id: &str) -> Result<Value> {
    let list = api.get("/v1/keys").await?;
    let keys = list.body["keys"].as_array().context("keys")?;
    let key = keys.iter().find(|key| key["id"] == id);
    key.cloned().with_context(|| format!("no key {id}"))
}

/// Asks with a key until it is refused.
async fn until_refused(api: &Api) -> Result<Answer> {
    let asking = async {
        loop {
            let answer = api.show("any").await?;
            if answer.status == 401 {
                return anyhow::Ok(answer);
            }
            ensure!(answer.status == 200, "{answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let refused = tokio::time::timeout(PATIENCE, asking).await;
    refused.context("the key is never refused")?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_expires_is_refused_and_ends_its_watch_and_its_wait() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let body = json!({ "subject": "svc", "expires_in_ms": SHORT_MS });
    let made = create(&admin, &body).await?;
    ensure!(made.text_of("expires")? > made.text_of("created")?);
    let api = gateway.api(Some(made.text_of("key")?));
    let held = admin.acquire("held", 60_000).await?;
    ensure!(held.status == 201, "{held:?}");
    let mut watch = api.watch("/v1/namespaces/demo/locks:watch", None).await?;
    let waiter = api.clone();
    let waiting = tokio::spawn(async move {
        let body = json!({ "ttl_ms": 10_000, "wait_ms": 60_000 });
        waiter.verb("held", "acquire", &body).await
    });

    let refused = until_refused(&api).await?;
    ensure!(refused.code() == "unauthenticated", "{refused:?}");
    ensure!(refused.text.contains("expired"), "{refused:?}");
    let ending = async {
        while watch.next().await?.is_some() {}
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, ending)
        .await
        .context("the watch goes on")??;
    let ended = tokio::time::timeout(PATIENCE, waiting).await???;
    ensure!(ended.status == 401, "{ended:?}");
    ensure!(ended.body["effect"] == "unknown", "{ended:?}");
    admin.queue_of("held", 0).await?;

    gateway.restart().await?;
    let api = api.at(gateway.url());
    ensure!(api.show("any").await?.status == 401);
    let admin = gateway.admin();
    let id = made.text_of("id")?;
    ensure!(listed(&admin, id).await?["expires"] == made.body["expires"]);
    let revoked = admin.delete(&format!("/v1/keys/{id}")).await?;
    ensure!(revoked.status == 200, "{revoked:?}");
    Ok(())
}

#[tokio::test]
async fn a_key_has_a_creator_and_expires_only_if_asked_to_and_within_limits() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let first = listed(&admin, "bootstrap").await?;
    ensure!(first["created_by"] == "leasehold:first-start", "{first}");
    ensure!(first["expires"].is_null(), "{first}");
    let body = json!({ "subject": "other", "roles": ["administrator"] });
    let other = create(&admin, &body).await?;
    ensure!(other.body["created_by"] == "admin", "{other:?}");
    ensure!(other.body["expires"].is_null(), "{other:?}");
    let by_other = gateway.api(Some(other.text_of("key")?));
    let made = create(&by_other, &json!({ "subject": "svc" })).await?;
    let made = listed(&admin, made.text_of("id")?).await?;
    ensure!(made["created_by"] == "other", "{made}");

    let ten_years_ms: u64 = 315_360_000_000;
    for ms in [1_000, ten_years_ms] {
        let body = json!({ "subject": "svc", "expires_in_ms": ms });
        create(&admin, &body).await?;
    }
    for ms in [json!(999), json!(ten_years_ms + 1), json!(-1), json!("1d")] {
        let body = json!({ "subject": "svc", "expires_in_ms": ms });
        let refused = admin.post("/v1/keys", &body).await?;
        ensure!(refused.status == 422, "{ms}: {refused:?}");
        ensure!(refused.text.contains("expires_in_ms"), "{refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_administrators_key_that_has_expired_does_not_count() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let body = json!({ "subject": "soon", "roles": ["administrator"], "expires_in_ms": SHORT_MS });
    let made = create(&admin, &body).await?;
    until_refused(&gateway.api(Some(made.text_of("key")?))).await?;
    let refused = admin.delete("/v1/keys/bootstrap").await?;
    ensure!(refused.code() == "last_administrator", "{refused:?}");
    let body = json!({ "subject": "later", "roles": ["administrator"],
        "expires_in_ms": 3_600_000 });
    create(&admin, &body).await?;
    let revoked = admin.delete("/v1/keys/bootstrap").await?;
    ensure!(revoked.status == 200, "{revoked:?}");
    Ok(())
}

async fn json_of(gateway: &Gateway, arguments: &[&str]) -> Result<Value> {
    let output = gateway.command_line(ADMIN_KEY, arguments).await?;
    ensure!(output.status.success(), "{arguments:?}: {output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[tokio::test]
async fn the_command_line_creates_keys_that_expire() -> Result<()> {
    let gateway = Gateway::start().await?;
    let create = ["key", "create", "svc", "--expires-in", "90d", "--json"];
    let made = json_of(&gateway, &create).await?;
    ensure!(
        made["expires"].as_str() > made["created"].as_str(),
        "{made}"
    );
    let table = gateway.command_line(ADMIN_KEY, &["key", "list"]).await?;
    let table = String::from_utf8(table.stdout)?;
    ensure!(
        table.contains("EXPIRES") && table.contains("CREATED BY"),
        "{table}"
    );
    ensure!(table.contains("leasehold:first-start"), "{table}");
    for (wrong, code) in [("1ms", 78), ("soon", 64)] {
        let create = ["key", "create", "x", "--expires-in", wrong];
        let output = gateway.command_line(ADMIN_KEY, &create).await?;
        ensure!(output.status.code() == Some(code), "{wrong}: {output:?}");
    }
    Ok(())
}

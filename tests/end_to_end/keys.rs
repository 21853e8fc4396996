//! The life of an API key: who created it, when it expires, and how another takes its place.

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

async fn rotate(api: &Api, id: &str, body: &Value) -> Result<Answer> {
    api.post(&format!("/v1/keys/{id}:rotate"), body).await
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
    ensure!(made.text_of("expires_at")? > made.text_of("created_at")?);
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
    ensure!(listed(&admin, id).await?["expires_at"] == made.body["expires_at"]);
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
    ensure!(first["expires_at"].is_null(), "{first}");
    let body = json!({ "subject": "other", "roles": ["administrator"] });
    let other = create(&admin, &body).await?;
    ensure!(other.body["created_by"] == "admin", "{other:?}");
    ensure!(other.body["expires_at"].is_null(), "{other:?}");
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

#[tokio::test]
async fn a_rotated_key_stays_valid_during_the_overlap_and_not_after() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let body = json!({ "subject": "svc", "team": "pay", "roles": ["auditor"],
        "description": "nightly" });
    let old = create(&admin, &body).await?;
    let id = old.text_of("id")?;
    let new = rotate(&admin, id, &json!({ "overlap_ms": SHORT_MS })).await?;
    ensure!(new.status == 201, "{new:?}");
    for member in ["subject", "team", "roles", "description"] {
        ensure!(new.body[member] == old.body[member], "{member}: {new:?}");
    }
    ensure!(new.body["created_by"] == "admin", "{new:?}");
    ensure!(new.body["expires_at"].is_null(), "{new:?}");
    ensure!(new.body["id"] != old.body["id"] && new.body["key"] != old.body["key"]);
    let (before, after) = (
        gateway.api(Some(old.text_of("key")?)),
        gateway.api(Some(new.text_of("key")?)),
    );
    let lease = before.acquire("a", 60_000).await?;
    ensure!(lease.status == 201, "{lease:?}");
    ensure!(after.acquire("b", 60_000).await?.status == 201);
    let ending = listed(&admin, id).await?;
    ensure!(ending["expires_at"].is_string() && ending["revoked_at"].is_null());
    until_refused(&before).await?;
    // Of the same subject: what the old key has acquired, the new one keeps.
    let released = after.with_lease("a", "release", lease.text_of("lease_id")?);
    ensure!(released.await?.status == 200);

    let rows = admin.ledger("operation=governance&subject=admin").await?;
    let mut told: Vec<&str> = rows
        .iter()
        .filter(|row| row["event"]["collection"] == "key")
        .filter_map(|row| row["event"]["id"].as_str())
        .collect();
    let mut expected = vec![id, id, new.text_of("id")?];
    told.sort_unstable();
    expected.sort_unstable();
    ensure!(told == expected, "{told:?}, not {expected:?}");
    let verified = admin.get("/v1/audit/verify").await?;
    ensure!(verified.body["intact"] == true, "{verified:?}");
    Ok(())
}

#[tokio::test]
async fn the_day_of_a_keys_last_use_is_shown_also_after_a_restart() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let used = create(&admin, &json!({ "subject": "svc" })).await?;
    let unused = create(&admin, &json!({ "subject": "old" })).await?;
    let (used_id, unused_id) = (used.text_of("id")?, unused.text_of("id")?);
    ensure!(listed(&admin, used_id).await?["last_used_on"].is_null());
    let caller = gateway.api(Some(used.text_of("key")?));
    ensure!(caller.acquire("a", 60_000).await?.status == 201);
    let shown = listed(&admin, used_id).await?;
    let day = shown["last_used_on"].as_str().context("a day")?.to_owned();
    // The test may run over midnight.
    ensure!(
        day.as_str() >= &used.text_of("created_at")?[..10],
        "{shown}"
    );

    gateway.terminate().await?;
    gateway.restart().await?;
    let admin = gateway.admin();
    ensure!(listed(&admin, used_id).await?["last_used_on"] == day);
    ensure!(listed(&admin, unused_id).await?["last_used_on"].is_null());
    let revoked = admin.delete(&format!("/v1/keys/{used_id}")).await?;
    ensure!(revoked.body["last_used_on"] == day, "{revoked:?}");
    let rows = admin.ledger("operation=governance").await?;
    let recorded = |row: &&Value| row["event"]["collection"] == "key-use";
    ensure!(!rows.iter().any(|row| recorded(&row)), "{rows:?}");
    Ok(())
}

#[tokio::test]
async fn a_rotation_keeps_the_lifetime_and_never_lengthens_the_old_keys() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let body = json!({ "subject": "svc", "expires_in_ms": 3_600_000 });
    let old = create(&admin, &body).await?;
    let id = old.text_of("id")?;
    let new = rotate(&admin, id, &json!({ "overlap_ms": 7_200_000 })).await?;
    ensure!(new.status == 201, "{new:?}");
    let ending = listed(&admin, id).await?;
    ensure!(ending["expires_at"] == old.body["expires_at"], "{ending}");
    // Of one form, so that texts are in the order of their times.
    ensure!(new.text_of("expires_at")? >= old.text_of("expires_at")?);
    // Shortened, and rotated once more: the lifetime is still the one that was asked for.
    ensure!(
        rotate(&admin, id, &json!({ "overlap_ms": 60_000 }))
            .await?
            .status
            == 201
    );
    let ending = listed(&admin, id).await?;
    ensure!(ending["expires_at"].as_str() < old.body["expires_at"].as_str());
    let third = rotate(&admin, id, &json!({})).await?;
    ensure!(third.text_of("expires_at")? >= new.text_of("expires_at")?);
    ensure!(listed(&admin, id).await?["expires_at"] == ending["expires_at"]);
    Ok(())
}

#[tokio::test]
async fn a_key_is_replaced_at_once_and_only_while_it_is_in_force() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let old = create(&admin, &json!({ "subject": "svc" })).await?;
    let id = old.text_of("id")?;
    let now = json!({ "overlap_ms": 0 });
    for (bad, status) in [
        (json!({ "overlap_ms": 2_592_000_001_u64 }), 422),
        (json!({ "overlap_ms": -1 }), 422),
        (json!({ "overlap": 0 }), 422),
        (json!([]), 422),
    ] {
        let refused = rotate(&admin, id, &bad).await?;
        ensure!(refused.status == status, "{bad}: {refused:?}");
    }
    let new = rotate(&admin, id, &now).await?;
    ensure!(new.status == 201, "{new:?}");
    let refused = gateway.api(Some(old.text_of("key")?)).show("a").await?;
    ensure!(refused.status == 401, "{refused:?}");
    ensure!(
        gateway
            .api(Some(new.text_of("key")?))
            .show("a")
            .await?
            .status
            == 200
    );

    let expired = rotate(&admin, id, &now).await?;
    ensure!(
        (expired.status, expired.code()) == (409, "conflict"),
        "{expired:?}"
    );
    ensure!(expired.text.contains("expired"), "{expired:?}");
    let next = new.text_of("id")?;
    ensure!(admin.delete(&format!("/v1/keys/{next}")).await?.status == 200);
    let revoked = rotate(&admin, next, &now).await?;
    ensure!(
        (revoked.status, revoked.code()) == (409, "conflict"),
        "{revoked:?}"
    );
    ensure!(revoked.text.contains("revoked"), "{revoked:?}");
    ensure!(rotate(&admin, "none", &now).await?.status == 404);
    let path = format!("/v1/keys/{id}");
    ensure!(admin.post(&path, &now).await?.status == 405);
    ensure!(admin.delete(&format!("{path}:rotate")).await?.status == 405);
    ensure!(admin.post(&format!("{path}:renew"), &now).await?.status == 404);
    Ok(())
}

async fn json_of(gateway: &Gateway, arguments: &[&str]) -> Result<Value> {
    let output = gateway.command_line(ADMIN_KEY, arguments).await?;
    ensure!(output.status.success(), "{arguments:?}: {output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[tokio::test]
async fn the_command_line_creates_keys_that_expire_and_rotates_them() -> Result<()> {
    let gateway = Gateway::start().await?;
    let create = ["key", "create", "svc", "--expires-in", "90d", "--json"];
    let made = json_of(&gateway, &create).await?;
    let id = made["id"].as_str().context("id")?;
    let expires = made["expires_at"].as_str().context("expires_at")?;
    let overlapping = json_of(&gateway, &["key", "rotate", id, "--json"]).await?;
    ensure!(overlapping["subject"] == "svc", "{overlapping}");
    let ending = listed(&gateway.admin(), id).await?;
    let until = ending["expires_at"].as_str().context("expires_at")?;
    // After a day, which is less than ninety.
    ensure!(
        until < expires && ending["created_at"].as_str() < Some(until),
        "{ending}"
    );
    let rotate = ["key", "rotate", id, "--overlap", "0s"];
    let output = gateway.command_line(ADMIN_KEY, &rotate).await?;
    ensure!(output.status.success(), "{output:?}");
    let shown = String::from_utf8(output.stdout)?;
    let field = |name: &str| {
        let mut lines = shown.lines();
        lines.find_map(|line| line.strip_prefix(name).map(|rest| rest.trim().to_owned()))
    };
    let key = field("key ").context("the key is shown")?;
    ensure!(field("expires ").is_some(), "{shown}");
    ensure!(gateway.api(Some(&key)).show("a").await?.status == 200);
    let old = made["key"].as_str();
    ensure!(gateway.api(old).show("a").await?.status == 401);

    let table = gateway.command_line(ADMIN_KEY, &["key", "list"]).await?;
    let table = String::from_utf8(table.stdout)?;
    ensure!(
        table.contains("EXPIRES") && table.contains("CREATED BY"),
        "{table}"
    );
    ensure!(table.contains("leasehold:first-start"), "{table}");
    for (arguments, code) in [
        (&rotate[..], 78),
        (&["key", "create", "x", "--expires-in", "1ms"], 78),
        (&["key", "create", "x", "--expires-in", "soon"], 64),
        (&["key", "rotate", id, "--overlap", "31d"], 78),
    ] {
        let output = gateway.command_line(ADMIN_KEY, arguments).await?;
        ensure!(
            output.status.code() == Some(code),
            "{arguments:?}: {output:?}"
        );
    }
    Ok(())
}

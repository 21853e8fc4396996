//! Caps of a namespace: who sets them, what they refuse, and that they outlive a restart.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use futures_util::future::join_all;
use leasehold_test_servers::Postgres;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::Value;
use serde_json::json;

use super::stores;

const PATH: &str = "/v1/namespaces/batch";
/// How many locks are asked for at the same time.
const CROWD: usize = 24;

/// Makes the namespace `batch` of team batch, where everything is allowed, with these caps.
async fn namespace(gateway: &Gateway, caps: &Value) -> Result<Answer> {
    let body = json!({ "team": "batch", "default_decision": "allow", "caps": caps });
    let made = gateway.admin().put(PATH, &body).await?;
    ensure!(made.status == 200 && made.body["caps"] == *caps, "{made:?}");
    Ok(made)
}

async fn acquire(api: &Api, lock: &str, wait_ms: u64) -> Result<Answer> {
    let body = json!({ "ttl_ms": 60_000, "wait_ms": wait_ms });
    api.post(&format!("{PATH}/locks/{lock}:acquire"), &body)
        .await
}

async fn release(api: &Api, lock: &str, held: &Answer) -> Result<()> {
    let body = json!({ "lease_id": held.text_of("lease_id")? });
    let path = format!("{PATH}/locks/{lock}:release");
    let released = api.post(&path, &body).await?;
    ensure!(released.status == 200, "{released:?}");
    Ok(())
}

/// Checks that an acquire was refused because of this cap, and returns how much was present.
fn refused(answer: &Answer, cap: &str, most: u64) -> Result<u64> {
    let is_full = (answer.status, answer.code()) == (429, "namespace_full");
    let is_harmless = answer.body["retryable"] == true && answer.body["effect"] == "none";
    let named = answer.body["cap"]["name"] == cap && answer.body["cap"]["most"] == most;
    let later = answer.body["retry_after_ms"].is_u64();
    ensure!(is_full && is_harmless && named && later, "{answer:?}");
    answer.body["cap"]["present"].as_u64().context("present")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_gets_no_more_locks_than_the_cap_allows() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    namespace(&gateway, &json!({ "locks": 5 })).await?;
    let team = gateway.service("job", "batch").await?;
    let names: Vec<String> = (0..CROWD).map(|n| format!("l-{n}")).collect();
    let answers = join_all(names.iter().map(|name| acquire(&team, name, 0))).await;
    let mut held = Vec::new();
    for (name, answer) in names.iter().zip(answers) {
        let answer = answer?;
        match answer.status {
            201 => held.push((name, answer)),
            _ => ensure!(refused(&answer, "locks", 5)? == 5),
        }
    }
    ensure!(held.len() == 5, "{held:?}");
    let other = gateway.service("other", "batch").await?;
    let (name, lease) = &held[0];
    ensure!(acquire(&other, name, 0).await?.code() == "held");
    let rows = gateway
        .admin()
        .ledger("verdict=cap&namespace=batch")
        .await?;
    ensure!(rows.len() == 10, "the first ten of a minute: {rows:?}");
    let metrics = gateway.admin().get("/metrics").await?.text;
    let counted = format!(
        "leasehold_cap_refusals_total{{cap=\"locks\"}} {}",
        CROWD - 5
    );
    ensure!(metrics.contains(&counted), "{metrics}");

    gateway.kill().await?;
    gateway.restart().await?;
    let team = team.at(gateway.url());
    refused(&acquire(&team, "late", 0).await?, "locks", 5)?;
    release(&team, name, lease).await?;
    ensure!(acquire(&team, "late", 0).await?.status == 201);
    refused(&acquire(&team, "later", 0).await?, "locks", 5)?;
    let verified = gateway.admin().get("/v1/audit/verify").await?;
    ensure!(verified.body["intact"] == true, "{verified:?}");
    Ok(())
}

#[tokio::test]
async fn waiters_beyond_the_cap_are_refused_at_once() -> Result<()> {
    let gateway = Gateway::start().await?;
    namespace(&gateway, &json!({ "waiters": 1 })).await?;
    let team = gateway.service("job", "batch").await?;
    let held = acquire(&team, "a", 0).await?;
    let waiting = acquire(&team, "a", 60_000);
    let others = async {
        let path = format!("{PATH}/locks/a");
        loop {
            let shown = team.get(&path).await?;
            if shown.body["queue"].as_array().is_some_and(|q| q.len() == 1) {
                break;
            }
        }
        ensure!(refused(&acquire(&team, "a", 60_000).await?, "waiters", 1)? == 1);
        ensure!(acquire(&team, "b", 60_000).await?.status == 201);
        release(&team, "a", &held).await
    };
    let (waited, others) = futures_util::future::join(waiting, others).await;
    others?;
    ensure!(waited?.status == 201);
    Ok(())
}

#[tokio::test]
async fn bytes_in_the_ledger_are_counted_over_a_restart() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let body = json!({ "team": "batch", "default_decision": "allow" });
    ensure!(gateway.admin().put(PATH, &body).await?.status == 200);
    let team = gateway.service("job", "batch").await?;
    let held = acquire(&team, "a", 0).await?;
    // One event of a grant takes more than this.
    namespace(&gateway, &json!({ "ledger_bytes": 200 })).await?;
    gateway.admin().ledger("namespace=batch").await?;
    let present = refused(&acquire(&team, "b", 0).await?, "ledger_bytes", 200)?;
    ensure!(present > 200, "{present}");

    gateway.terminate().await?;
    gateway.restart().await?;
    let team = team.at(gateway.url());
    let still = refused(&acquire(&team, "b", 0).await?, "ledger_bytes", 200)?;
    ensure!(still == present, "{still}, not {present}");
    release(&team, "a", &held).await?;
    gateway.admin().ledger("namespace=batch").await?;
    let more = refused(&acquire(&team, "b", 0).await?, "ledger_bytes", 200)?;
    ensure!(more > present, "{more}");
    namespace(&gateway, &json!({ "ledger_bytes": 1_000_000 })).await?;
    ensure!(acquire(&team, "b", 0).await?.status == 201);
    Ok(())
}

#[tokio::test]
async fn only_administrators_set_caps_and_a_replacement_keeps_them() -> Result<()> {
    let gateway = Gateway::start().await?;
    let made = namespace(&gateway, &json!({ "locks": 1, "waiters": 2 })).await?;
    let body = json!({ "team": "batch", "default_decision": "allow", "caps": {} });
    for api in [
        gateway.service("owner", "batch").await?,
        gateway.principal("op", "batch", &["operator"]).await?,
    ] {
        let lifted = api.put(PATH, &body).await?;
        ensure!(lifted.code() == "forbidden", "{lifted:?}");
    }
    let silent = json!({ "team": "batch", "default_decision": "allow" });
    let kept = gateway.admin().put(PATH, &silent).await?;
    ensure!(kept.body["caps"] == made.body["caps"], "{kept:?}");
    for bad in [json!({ "locks": 0 }), json!({ "leases": 1 })] {
        let bad = json!({ "default_decision": "allow", "caps": bad });
        let refused = gateway.admin().put(PATH, &bad).await?;
        ensure!(refused.status == 422, "{refused:?}");
    }
    let lifted = gateway.admin().put(PATH, &body).await?;
    ensure!(lifted.body["caps"].is_null(), "{lifted:?}");
    Ok(())
}

#[tokio::test]
async fn the_command_line_sets_and_lifts_caps_one_by_one() -> Result<()> {
    let gateway = Gateway::start().await?;
    let run = async |arguments: &[&str]| {
        let output = gateway.command_line(ADMIN_KEY, arguments).await?;
        ensure!(output.status.success(), "{arguments:?}: {output:?}");
        anyhow::Ok(serde_json::from_slice::<Value>(&output.stdout)?)
    };
    let create = ["namespace", "create", "batch", "--locks", "7", "--json"];
    let made = run(&create).await?;
    ensure!(made["caps"] == json!({ "locks": 7 }), "{made}");
    let cap = ["namespace", "cap", "batch", "--waiters", "3", "--json"];
    let both = run(&cap).await?;
    ensure!(
        both["caps"] == json!({ "locks": 7, "waiters": 3 }),
        "{both}"
    );
    let lift = [
        "namespace",
        "cap",
        "batch",
        "--lift",
        "locks",
        "--ledger-bytes",
        "9000",
        "--json",
    ];
    let lifted = run(&lift).await?;
    let expected = json!({ "waiters": 3, "ledger_bytes": 9_000 });
    ensure!(lifted["caps"] == expected, "{lifted}");
    let get = ["namespace", "get", "batch"];
    let shown = gateway.command_line(ADMIN_KEY, &get).await?;
    let shown = String::from_utf8(shown.stdout)?;
    ensure!(shown.contains("waiters 3, ledger bytes 9000"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn the_configuration_caps_namespaces_that_have_no_cap_of_their_own() -> Result<()> {
    let options = GatewayOptions {
        config: "[limits]\nnamespace_locks_max = 1\n".to_owned(),
        ..GatewayOptions::default()
    };
    let gateway = Gateway::start_with(options).await?;
    let body = json!({ "team": "batch", "default_decision": "allow" });
    ensure!(gateway.admin().put(PATH, &body).await?.status == 200);
    let team = gateway.service("job", "batch").await?;
    ensure!(acquire(&team, "a", 0).await?.status == 201);
    refused(&acquire(&team, "b", 0).await?, "locks", 1)?;
    namespace(&gateway, &json!({ "locks": 2 })).await?;
    ensure!(acquire(&team, "b", 0).await?.status == 201);
    refused(&acquire(&team, "c", 0).await?, "locks", 2)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_in_the_ledger_of_the_namespaces_store() -> Result<()> {
    let postgres = Postgres::start().await;
    let gateway = stores::two_stores(&postgres).await?;
    let admin = gateway.admin();
    stores::until_ready(&admin, "eu", true).await?;
    let body = json!({ "store": "eu", "default_decision": "allow", "caps": { "locks": 1 } });
    let made = admin.put("/v1/namespaces/abroad", &body).await?;
    ensure!(made.status == 200, "{made:?}");
    ensure!(stores::acquire(&admin, "abroad/a").await?.status == 201);
    refused(&stores::acquire(&admin, "abroad/b").await?, "locks", 1)?;
    let rows = admin.ledger("verdict=cap&namespace=abroad").await?;
    ensure!(rows.len() == 1 && rows[0]["store"] == "eu", "{rows:?}");
    Ok(())
}

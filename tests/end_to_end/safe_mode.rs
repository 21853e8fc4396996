//! Stores that do not agree: nothing is granted, holders are tried for, operators are told, and it
//! ends as it is configured to.

mod cluster;
mod postgres;

use std::collections::HashSet;
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

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A window that is short, so that tests are.
const RULES: &str = "[safe_mode]\nwindow_ms = 1500\nprobe_every_ms = 300\ngateway = \"door-1\"\n";

/// Asks until the answer is as expected.
async fn until<F>(what: &str, ask: impl Fn() -> F, is: impl Fn(&Answer) -> bool) -> Result<Answer>
where
    F: Future<Output = Result<Answer>>,
{
    let asking = async {
        loop {
            let answer = ask().await?;
            if is(&answer) {
                return anyhow::Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let asked = tokio::time::timeout(PATIENCE, asking).await;
    asked.with_context(|| format!("{what}: it never came to that"))?
}

/// Acquires until the store is in safe mode; the answer says all that a caller needs.
async fn until_refused(api: &Api) -> Result<String> {
    let ask = || api.acquire("not-now", 60_000);
    let refused = until("safe mode", ask, |answer| answer.code() == "safe_mode").await?;
    ensure!(refused.status == 503, "{refused:?}");
    ensure!(refused.body["retryable"] == true, "{refused:?}");
    ensure!(refused.body["effect"] == "none", "{refused:?}");
    ensure!(refused.headers.contains_key("retry-after"), "{refused:?}");
    Ok(refused.text_of("incident")?.to_owned())
}

async fn until_granted(api: &Api, lock: &str) -> Result<Answer> {
    let ask = || api.acquire(lock, 600_000);
    until("a grant", ask, |answer| answer.status == 201).await
}

async fn incident(api: &Api, id: &str) -> Result<Answer> {
    api.get(&format!("/v1/incidents/{id}")).await
}

/// What would begin an ownership is refused; what keeps or ends one is tried.
async fn only_beginnings_are_refused(api: &Api, held: &str, lease_id: &str) -> Result<()> {
    let several = json!({ "locks": ["x", "y"], "ttl_ms": 60_000 });
    let several = api
        .post("/v1/namespaces/demo/locks:acquire", &several)
        .await?;
    ensure!(several.code() == "safe_mode", "{several:?}");
    let to = json!({ "lease_id": lease_id, "to": "successor", "grace_ms": 1_000 });
    let handed = api.verb(held, "transfer", &to).await?;
    ensure!(handed.code() == "safe_mode", "{handed:?}");
    for verb in ["renew", "release"] {
        // Of a lock that nobody has, so that what is tried changes nothing later.
        let tried = api.with_lease("nobodys", verb, lease_id).await?;
        ensure!(tried.code() == "unavailable", "{verb}: {tried:?}");
    }
    Ok(())
}

/// Operators see it wherever they look.
async fn it_is_told(gateway: &Gateway, id: &str) -> Result<()> {
    let admin = gateway.admin();
    let ready = admin.get("/readyz").await?;
    ensure!(ready.status == 503, "{ready:?}");
    ensure!(ready.body["backend"]["incident"] == *id, "{ready:?}");
    ensure!(admin.get("/healthz").await?.status == 200);
    let metrics = admin.get("/metrics").await?.text;
    for line in [
        "leasehold_safe_mode{store=\"home\"} 1",
        "leasehold_incidents_total{store=\"home\"} 1",
    ] {
        ensure!(metrics.contains(line), "{line} is not in {metrics}");
    }
    let refusals = metrics
        .lines()
        .find_map(|line| line.strip_prefix("leasehold_safe_mode_refusals_total{store=\"home\"} "));
    ensure!(refusals.is_some_and(|count| count != "0"), "{refusals:?}");

    let known = admin.get("/v1/incidents?open=true&store=home").await?;
    ensure!(known.body["incidents"][0]["id"] == *id, "{known:?}");
    ensure!(known.body["gateway"] == "door-1", "{known:?}");
    let counted = |answer: &Answer| answer.body["refused_requests"].as_u64() > Some(0);
    let incident = until("the count", || incident(&admin, id), counted).await?;
    for (field, is) in [
        ("open", json!(true)),
        ("store", json!("home")),
        ("noticed_by", json!("door-1")),
        ("window_ms", json!(1_500)),
        ("recorded", json!(false)),
    ] {
        ensure!(incident.body[field] == is, "{field}: {incident:?}");
    }
    ensure!(incident.body["last_error"].is_string(), "{incident:?}");
    ensure!(
        incident.body["last_success"]["at"].is_string(),
        "{incident:?}"
    );

    let refused = gateway.command_line(ADMIN_KEY, &["lock", "acquire", "demo/not-now"]);
    let refused = refused.await?;
    ensure!(refused.status.code() == Some(69), "{refused:?}");
    let list = gateway.command_line(ADMIN_KEY, &["incident", "list", "--open"]);
    let list = list.await?;
    ensure!(list.status.code() == Some(0), "{list:?}");
    let shown = String::from_utf8(list.stdout)?;
    ensure!(shown.contains(id) && shown.contains("lasts"), "{shown}");
    Ok(())
}

/// What the ledger tells of an incident, in order: who, and what. A gateway that heard no answer
/// tells again, under the same request id.
async fn told(api: &Api, id: &str) -> Result<Vec<(String, String)>> {
    let mut told = Vec::new();
    let mut requests = HashSet::new();
    for row in api.ledger("operation=governance").await? {
        let change = &row["event"];
        let is_first = requests.insert(change["request_id"].to_string());
        if is_first && change["collection"] == "incident" && change["id"] == *id {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            told.push((
                text(&change["principal"]["subject"]),
                text(&change["summary"]),
            ));
        }
    }
    Ok(told)
}

//! Late duplicates of acquires whose leases have ended, and requests about leases of others: over
//! HTTP, and in the ledger.

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::Value;
use serde_json::json;

const RENEWALS: &str = "/v1/namespaces/demo/leases:renew";

fn asked(request_id: &str, wait_ms: u64) -> Value {
    json!({ "ttl_ms": 60_000, "wait_ms": wait_ms, "request_id": request_id })
}

/// A version 7 UUID that was made so many milliseconds ago.
fn made_ago(ms: i64) -> Result<String> {
    let since = std::time::UNIX_EPOCH.elapsed()?.as_millis();
    let made = i64::try_from(since)? - ms;
    let (high, low) = (made >> 16, made & 0xffff);
    Ok(format!(
        "{high:08x}-{low:04x}-7abc-9abc-{:012x}",
        ms.unsigned_abs()
    ))
}

fn is_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
    assert_eq!(answer.body["effect"], "none", "{answer:?}");
    assert_eq!(answer.body["retryable"], false, "{answer:?}");
}

#[tokio::test]
async fn a_late_duplicate_is_told_what_became_of_its_lease() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let fresh = made_ago(0)?;
    for (lock, id) in [("a", "nightly"), ("b", fresh.as_str())] {
        let grant = admin.verb(lock, "acquire", &asked(id, 0)).await?;
        assert_eq!(grant.status, 201, "{grant:?}");
        let again = admin.verb(lock, "acquire", &asked(id, 0)).await?;
        assert_eq!(again.body["repeated"], true, "{again:?}");
        admin
            .with_lease(lock, "release", grant.text_of("lease_id")?)
            .await?;
        for wait_ms in [0, 10_000] {
            let late = admin.verb(lock, "acquire", &asked(id, wait_ms)).await?;
            is_refused(&late, 410, "lease_ended");
            assert_eq!(late.body["end_cause"], "released", "{late:?}");
        }
        assert_eq!(admin.show(lock).await?.body["state"], "free");
    }
    // Several locks at once: one ended lease refuses all.
    let path = "/v1/namespaces/demo/locks:acquire";
    let both = json!({ "locks": ["a", "c"], "ttl_ms": 60_000, "request_id": "nightly" });
    let late = admin.post(path, &both).await?;
    is_refused(&late, 410, "lease_ended");
    assert_eq!(admin.show("c").await?.body["state"], "free");
    // An id that is too old for anybody to know, with nothing under it.
    let old = made_ago(61_000)?;
    for wait_ms in [0, 10_000] {
        let refused = admin.verb("d", "acquire", &asked(&old, wait_ms)).await?;
        is_refused(&refused, 409, "request_id_too_old");
    }
    assert_eq!(admin.show("d").await?.body["state"], "free");
    // One of the future, or not much too old, is taken.
    for ago in [-3_600_000, 50_000] {
        let lock = format!("e/{ago}");
        let grant = admin
            .verb(&lock, "acquire", &asked(&made_ago(ago)?, 0))
            .await?;
        assert_eq!(grant.status, 201, "{grant:?}");
    }
    Ok(())
}

/// The decisions of all denials of this kind in the ledger.
async fn recorded(admin: &Api) -> Result<Vec<String>> {
    let path = "/v1/audit/events?verdict=not_holder&limit=1000";
    let found = admin.get(path).await?;
    let rows = found.body["events"].as_array().context("events")?;
    let id = |row: &Value| {
        assert_eq!(row["event"]["kind"], "denied", "{row}");
        assert_eq!(row["event"]["cause"]["principal"]["subject"], "mallory");
        let id = row["event"]["cause"]["decision"]["id"].as_str();
        id.map(str::to_owned).context("a decision")
    };
    rows.iter().map(id).collect()
}

#[tokio::test]
async fn a_request_about_the_lease_of_another_is_on_record_before_it_is_answered() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let alice = gateway.service("alice", "team-a").await?;
    let mallory = gateway.service("mallory", "team-b").await?;
    let grant = alice.acquire("a", 600_000).await?;
    let lease_id = grant.text_of("lease_id")?.to_owned();
    let body = json!({ "lease_id": lease_id, "to": "mallory", "cooldown_ms": 5 });
    let fields = [
        ("release", vec!["lease_id", "cooldown_ms"]),
        ("release", vec!["lease_id"]),
        ("renew", vec!["lease_id"]),
        ("transfer", vec!["lease_id", "to"]),
    ];
    let mut answered = Vec::new();
    for (verb, fields) in fields {
        let body: Value = fields
            .iter()
            .map(|f| ((*f).to_owned(), body[*f].clone()))
            .collect();
        let refused = mallory.verb("a", verb, &body).await?;
        is_refused(&refused, 403, "not_holder");
        answered.push(refused.body["denial"]["decision_id"].clone());
        assert_eq!(recorded(&admin).await?.len(), answered.len(), "{verb}");
    }
    let own = mallory.acquire("b", 600_000).await?;
    let own = json!({ "lock": "b", "lease_id": own.text_of("lease_id")? });
    let foreign = json!({ "lock": "a", "lease_id": lease_id });
    let leases = json!({ "leases": [foreign, own, foreign] });
    let renewed = mallory.post(RENEWALS, &leases).await?;
    let results = renewed.body["results"].as_array().context("results")?;
    assert!(results[1]["grant"].is_object(), "{renewed:?}");
    for at in [0, 2] {
        let problem = &results[at]["problem"];
        assert_eq!(problem["code"], "not_holder", "{renewed:?}");
        answered.push(problem["denial"]["decision_id"].clone());
    }
    let recorded_ids = recorded(&admin).await?;
    for id in &answered {
        let known = recorded_ids.iter().any(|known| id == known);
        assert!(known, "{id} is not in {recorded_ids:?}");
    }
    // A principal cannot fill the ledger: what is not recorded is not answered.
    let many = json!({ "leases": vec![foreign; 300] });
    let renewed = mallory.post(RENEWALS, &many).await?;
    let results = renewed.body["results"].as_array().context("results")?;
    let count = |code: &str| {
        results
            .iter()
            .filter(|r| r["problem"]["code"] == code)
            .count()
    };
    assert_eq!(
        count("not_holder") + count("rate_limited"),
        300,
        "{renewed:?}"
    );
    assert!((90..120).contains(&count("not_holder")), "{renewed:?}");
    let expected = answered.len() + count("not_holder");
    assert_eq!(recorded(&admin).await?.len(), expected);
    let limited = mallory.with_lease("a", "release", &lease_id).await?;
    assert!([429, 403].contains(&limited.status), "{limited:?}");
    let renewed = alice.with_lease("a", "renew", &lease_id).await?;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    Ok(())
}

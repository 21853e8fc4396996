//! Which namespaces a caller can see, and what it learns of the others: nothing.

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;

/// Makes the namespace `hidden` of team-a, where everything is allowed.
async fn hidden(gateway: &Gateway, visible_to: &[&str]) -> Result<Answer> {
    let body = json!({ "team": "team-a", "default_decision": "allow", "visible_to": visible_to });
    let made = gateway.admin().put("/v1/namespaces/hidden", &body).await?;
    assert_eq!(made.status, 200, "{made:?}");
    Ok(made)
}

const LEASE: &str = "00112233445566778899aabbccddeeff";

/// Every operation on a namespace or its locks that needs no role to be asked for.
fn operations() -> Vec<(Method, &'static str, Value)> {
    let lease = json!({ "lease_id": LEASE });
    let many = json!({ "leases": [{ "lock": "l", "lease_id": LEASE }] });
    let transfer = json!({ "lease_id": LEASE, "to": "other" });
    let reason = json!({ "reason": "r" });
    let acquire = json!({ "ttl_ms": 60_000 });
    let wait = json!({ "ttl_ms": 60_000, "wait_ms": 1_000 });
    let all = json!({ "locks": ["l", "m"], "ttl_ms": 60_000 });
    vec![
        (Method::GET, "", Value::Null),
        (Method::GET, "/locks", Value::Null),
        (Method::GET, "/locks/l", Value::Null),
        (Method::GET, "/locks:watch", Value::Null),
        (Method::GET, "/locks/l:watch", Value::Null),
        (Method::POST, "/locks/l:acquire", acquire),
        (Method::POST, "/locks/l:acquire", wait),
        (Method::POST, "/locks:acquire", all),
        (Method::POST, "/locks/l:renew", lease.clone()),
        (Method::POST, "/leases:renew", many),
        (Method::POST, "/locks/l:release", lease),
        (Method::POST, "/locks/l:transfer", transfer),
        (Method::POST, "/locks/l:revoke", reason),
        (Method::PUT, "/locks/l", json!({ "limit": 2 })),
    ]
}

async fn ask(
    api: &Api,
    namespace: &str,
    (method, rest, body): &(Method, &str, Value),
) -> Result<Answer> {
    let path = format!("/v1/namespaces/{namespace}{rest}");
    let request = api.request(method.clone(), &path);
    let request = match body {
        Value::Null => request,
        body => request.json(body),
    };
    api.send(request).await
}

#[tokio::test]
async fn a_namespace_of_another_team_is_as_if_it_were_not_there() -> Result<()> {
    let gateway = Gateway::start().await?;
    hidden(&gateway, &[]).await?;
    let (own, other) = (
        gateway.service("own", "team-a").await?,
        gateway.service("other", "team-b").await?,
    );
    let held = own
        .post(
            "/v1/namespaces/hidden/locks/l:acquire",
            &json!({ "ttl_ms": 60_000 }),
        )
        .await?;
    assert_eq!(held.status, 201, "{held:?}");
    for operation in operations() {
        let hidden = ask(&other, "hidden", &operation).await?;
        let missing = ask(&other, "nowhere", &operation).await?;
        assert_eq!(
            (hidden.status, hidden.code()),
            (404, "namespace_not_found"),
            "{operation:?}"
        );
        let told = |answer: &Answer| {
            let mut body = answer.body.clone();
            body["request_id"] = Value::Null;
            body.to_string().replace("nowhere", "hidden")
        };
        assert_eq!(told(&hidden), told(&missing), "{operation:?}");
    }
    let list = other.get("/v1/namespaces").await?;
    assert!(!list.text.contains("hidden"), "{list:?}");
    let list = own.get("/v1/namespaces").await?;
    assert!(list.text.contains("hidden"), "{list:?}");
    // What was tried is on record, of both kinds.
    let rows = gateway.admin().ledger("subject=other&verdict=role").await?;
    let denied = |namespace: &str| {
        rows.iter()
            .filter(|row| row.to_string().contains(&format!(" in {namespace}: ")))
            .count()
    };
    assert!(denied("hidden") >= 10, "{rows:?}");
    assert!(denied("nowhere") >= 1, "{rows:?}");
    Ok(())
}

#[tokio::test]
async fn it_is_seen_by_those_it_is_shown_to() -> Result<()> {
    let gateway = Gateway::start().await?;
    let get = "/v1/namespaces/hidden/locks/l";
    let made = hidden(&gateway, &["team-b"]).await?;
    assert_eq!(made.body["visible_to"], json!(["team-b"]), "{made:?}");
    for (team, roles, expected) in [
        ("team-a", &[][..], 200),
        ("team-b", &[], 200),
        ("team-c", &[], 404),
        ("team-c", &["policy-author"], 404),
        ("team-c", &["operator"], 200),
        ("team-c", &["auditor"], 200),
        ("team-c", &["administrator"], 200),
    ] {
        let api = gateway.principal("who", team, roles).await?;
        let read = api.get(get).await?;
        assert_eq!(read.status, expected, "{team} {roles:?}: {read:?}");
    }
    let stranger = gateway.service("stranger", "team-c").await?;
    let everybody = hidden(&gateway, &["*"]).await?;
    assert_eq!(everybody.body["visible_to"], json!(["*"]), "{everybody:?}");
    assert_eq!(stranger.get(get).await?.status, 200);
    let refused = json!({ "visible_to": ["Not A Team"] });
    let refused = gateway
        .admin()
        .put("/v1/namespaces/hidden", &refused)
        .await?;
    assert_eq!(refused.status, 422, "{refused:?}");
    // One that nobody owns is everybody's.
    let open = json!({ "default_decision": "allow" });
    gateway.admin().put("/v1/namespaces/open", &open).await?;
    assert_eq!(
        stranger.get("/v1/namespaces/open/locks/l").await?.status,
        200
    );
    Ok(())
}

#[tokio::test]
async fn who_loses_sight_of_it_can_give_back_and_nothing_else() -> Result<()> {
    let gateway = Gateway::start().await?;
    hidden(&gateway, &["team-b"]).await?;
    let other = gateway.service("other", "team-b").await?;
    let lock = "/v1/namespaces/hidden/locks/l";
    let body = json!({ "ttl_ms": 60_000 });
    let held = other.post(&format!("{lock}:acquire"), &body).await?;
    assert_eq!(held.status, 201, "{held:?}");
    let lease = json!({ "lease_id": held.text_of("lease_id")? });
    let mut watch = other.watch(&format!("{lock}:watch"), None).await?;
    let begun = watch.next().await?.context("it begins")?;
    assert!(begun.id.is_some(), "{begun:?}");

    hidden(&gateway, &[]).await?;
    let ended = tokio::time::timeout(std::time::Duration::from_secs(30), watch.next());
    assert!(ended.await??.is_none(), "the watch ends");
    let renewed = other.post(&format!("{lock}:renew"), &lease).await?;
    assert_eq!(renewed.status, 404, "{renewed:?}");
    let foreign = json!({ "lease_id": LEASE });
    let foreign = other.post(&format!("{lock}:release"), &foreign).await?;
    assert_eq!(foreign.code(), "namespace_not_found", "{foreign:?}");
    let released = other.post(&format!("{lock}:release"), &lease).await?;
    assert_eq!(released.status, 200, "{released:?}");
    Ok(())
}

#[tokio::test]
async fn whoever_guards_a_resource_may_ask_for_a_token() -> Result<()> {
    let gateway = Gateway::start().await?;
    hidden(&gateway, &[]).await?;
    let own = gateway.service("own", "team-a").await?;
    let guard = gateway.service("guard", "team-b").await?;
    let lock = "/v1/namespaces/hidden/locks/l";
    let body = json!({ "ttl_ms": 60_000 });
    let held = own.post(&format!("{lock}:acquire"), &body).await?;
    let token = held.body["fencing_token"].as_u64().context("a token")?;
    let (yes, no) = (
        json!({ "current": true, "accepts_work": true }),
        json!({ "current": false, "accepts_work": false }),
    );
    for (path, token, expected) in [
        (lock, token, &yes),
        (lock, token + 1, &no),
        ("/v1/namespaces/hidden/locks/m", token, &no),
        ("/v1/namespaces/nowhere/locks/l", token, &no),
    ] {
        let body = json!({ "fencing_token": token });
        let answer = guard.post(&format!("{path}:validate"), &body).await?;
        assert_eq!(
            (answer.status, &answer.body),
            (200, expected),
            "{path} {token}"
        );
    }
    Ok(())
}

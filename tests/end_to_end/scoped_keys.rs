//! Keys that are of use in some namespaces only.

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::Value;
use serde_json::json;

/// A gateway with a namespace for each of two teams, and one that is everybody's.
async fn gateway() -> Result<Gateway> {
    let gateway = Gateway::start().await?;
    for (name, team) in [("pay", "payments"), ("risk", "risks")] {
        let body = json!({ "team": team, "default_decision": "allow" });
        let path = format!("/v1/namespaces/{name}");
        assert_eq!(gateway.admin().put(&path, &body).await?.status, 200);
    }
    Ok(gateway)
}

async fn key(gateway: &Gateway, roles: &[&str], scope: &Value) -> Result<Api> {
    let body = json!({ "subject": "scoped", "team": "payments", "roles": roles, "scope": scope });
    let made = gateway.admin().post("/v1/keys", &body).await?;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["scope"], *scope, "{made:?}");
    Ok(gateway.api(made.body["key"].as_str()))
}

async fn reads(api: &Api, namespace: &str) -> Result<u16> {
    let path = format!("/v1/namespaces/{namespace}/locks/l");
    Ok(api.get(&path).await?.status)
}

#[tokio::test]
async fn a_scoped_key_is_of_use_where_it_says_and_nowhere_else() -> Result<()> {
    let gateway = gateway().await?;
    for (scope, pay, risk, demo) in [
        (json!({ "namespaces": ["pay"] }), 200, 404, 404),
        (json!({ "teams": ["payments"] }), 200, 404, 404),
        (
            json!({ "namespaces": ["demo"], "teams": ["payments"] }),
            200,
            404,
            200,
        ),
        // Without a role, a scope shows nothing of another team.
        (json!({ "namespaces": ["risk"] }), 404, 404, 404),
    ] {
        let api = key(&gateway, &[], &scope).await?;
        let seen = (
            reads(&api, "pay").await?,
            reads(&api, "risk").await?,
            reads(&api, "demo").await?,
        );
        assert_eq!(seen, (pay, risk, demo), "{scope}");
        let list = api.get("/v1/namespaces").await?;
        let listed = list.body["namespaces"].as_array().context("a list")?;
        let expected = [pay, risk, demo].into_iter().filter(|code| *code == 200);
        assert_eq!(listed.len(), expected.count(), "{list:?}");
    }
    Ok(())
}

#[tokio::test]
async fn its_roles_count_for_locks_in_its_scope_and_for_nothing_else() -> Result<()> {
    let gateway = gateway().await?;
    let roles = ["operator", "administrator", "auditor", "policy-author"];
    let api = key(&gateway, &roles, &json!({ "teams": ["risks"] })).await?;
    assert_eq!(reads(&api, "risk").await?, 200);
    let reason = json!({ "reason": "INC-1" });
    let revoked = api
        .post("/v1/namespaces/risk/locks/l:revoke", &reason)
        .await?;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    let revoked = api
        .post("/v1/namespaces/demo/locks/l:revoke", &reason)
        .await?;
    assert_eq!(revoked.code(), "namespace_not_found", "{revoked:?}");
    for path in [
        "/v1/keys",
        "/v1/bindings",
        "/v1/audit/events",
        "/v1/incidents",
        "/v1/backup",
    ] {
        let answer = api.get(path).await?;
        assert_eq!(
            (answer.status, answer.code()),
            (403, "forbidden"),
            "{path}: {answer:?}"
        );
    }
    let made = api.post("/v1/keys", &json!({ "subject": "x" })).await?;
    assert_eq!(
        made.status, 403,
        "it makes no key without a scope: {made:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_scope_outlives_a_rotation_and_is_checked() -> Result<()> {
    let gateway = gateway().await?;
    let admin = gateway.admin();
    let scope = json!({ "namespaces": ["pay"] });
    let body = json!({ "subject": "scoped", "team": "payments", "scope": scope });
    let made = admin.post("/v1/keys", &body).await?;
    let path = format!("/v1/keys/{}:rotate", made.text_of("id")?);
    let rotated = admin.post(&path, &json!({})).await?;
    assert_eq!(rotated.status, 201, "{rotated:?}");
    assert_eq!(rotated.body["scope"], scope, "{rotated:?}");
    let api = gateway.api(rotated.body["key"].as_str());
    assert_eq!(
        (reads(&api, "pay").await?, reads(&api, "demo").await?),
        (200, 404)
    );
    let many: Vec<String> = (0..101).map(|n| format!("n{n}")).collect();
    for bad in [
        json!({ "namespaces": ["Not A Name"] }),
        json!({ "namespaces": many }),
        json!({ "teams": [1] }),
        json!({ "locks": [] }),
    ] {
        let body = json!({ "subject": "x", "scope": bad });
        let answer = admin.post("/v1/keys", &body).await?;
        assert_eq!(answer.code(), "invalid_request", "{bad}: {answer:?}");
    }
    let output = gateway
        .command_line(
            admin.key().context("a key")?,
            &[
                "key",
                "create",
                "cli",
                "--in-namespace",
                "pay",
                "--in-team",
                "risks",
                "--json",
            ],
        )
        .await?;
    assert!(output.status.success(), "{output:?}");
    let shown: Value = serde_json::from_slice(&output.stdout)?;
    let expected = json!({ "namespaces": ["pay"], "teams": ["risks"] });
    assert_eq!(shown["scope"], expected, "{shown}");
    Ok(())
}

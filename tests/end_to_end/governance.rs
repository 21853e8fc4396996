//! Policies at work through the real gateway: bad modules, bad configurations, the three denials.

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Gateway;
use serde_json::json;

#[tokio::test]
async fn no_policy_bound_is_an_answer_of_its_own() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let made = admin
        .post(
            "/v1/namespaces",
            &json!({ "name": "empty", "team": "core" }),
        )
        .await?;
    assert_eq!(made.status, 201, "{made:?}");
    let path = "/v1/namespaces/empty/locks/a:acquire";
    let denied = admin.post(path, &json!({ "ttl_ms": 10_000 })).await?;
    assert_eq!(
        (denied.status, denied.code()),
        (403, "no_policy_bound"),
        "{denied:?}"
    );
    let open = json!({ "name": "open", "default_decision": "allow" });
    assert_eq!(admin.post("/v1/namespaces", &open).await?.status, 201);
    let path = "/v1/namespaces/open/locks/a:acquire";
    assert_eq!(
        admin.post(path, &json!({ "ttl_ms": 10_000 })).await?.status,
        201
    );
    Ok(())
}

#[tokio::test]
async fn rubbish_is_not_a_module() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    for wasm in [Vec::new(), b"rubbish".to_vec(), b"\0asm\x01\0\0\0".to_vec()] {
        let answer = admin.upload_policy("mine", "1.0.0", wasm).await?;
        assert_eq!(answer.status, 422, "{answer:?}");
    }
    let service = gateway.service("svc", "team-a").await?;
    let answer = service
        .upload_policy("mine", "1.0.0", b"x".to_vec())
        .await?;
    assert_eq!(
        (answer.status, answer.code()),
        (403, "forbidden"),
        "{answer:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_configuration_is_checked_against_the_modules_schema_when_bound() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let list = admin.get("/v1/policies").await?;
    let row = list.body["policies"]
        .as_array()
        .and_then(|rows| {
            rows.iter()
                .find(|row| row["policy"] == "ttl-bounds")
                .cloned()
        })
        .unwrap_or_default();
    let binding = |config: serde_json::Value| {
        json!({ "name": "bad", "namespaces": ["demo"], "policies": [
            { "policy": "ttl-bounds", "version": row["version"], "config": config }] })
    };
    let answer = admin
        .post("/v1/bindings", &binding(json!({ "max_ttl": "long" })))
        .await?;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.text.contains("max_ttl"), "it says where: {answer:?}");
    let mut nowhere = binding(json!({}));
    nowhere["namespaces"] = json!(["nowhere"]);
    assert_eq!(admin.post("/v1/bindings", &nowhere).await?.status, 422);
    Ok(())
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let body = json!({ "subject": "leaver", "team": "team-a" });
    let made = admin.post("/v1/keys", &body).await?;
    let key = made.body["key"].as_str().unwrap_or_default().to_owned();
    let leaver = gateway.api(Some(&key));
    assert_eq!(leaver.acquire("a", 10_000).await?.status, 201);
    let id = made.body["id"].as_str().unwrap_or_default();
    let revoked = admin.delete(&format!("/v1/keys/{id}")).await?;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    assert_eq!(leaver.acquire("b", 10_000).await?.status, 401);
    let list = admin.get("/v1/keys").await?;
    assert!(!list.text.contains(&key), "a key is shown once");
    let dated = |key: &serde_json::Value| {
        key["created_at"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z'))
    };
    let keys = list.body["keys"].as_array().context("keys")?;
    assert!(keys.len() > 1 && keys.iter().all(dated), "{keys:?}");
    Ok(())
}

//! A policy version is deleted once nothing needs it, and not before.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_policy_guests::Guest;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::Value;
use serde_json::json;

/// Whoever sees the lock sees under which policy versions it is held.
async fn held_under_it(gateway: &Gateway, service: &Api, lease: &str) -> Result<()> {
    let version = json!({ "policy": "by-hand", "version": "1.2.3" });
    // Namespace `demo` has policies of its own besides.
    let is_named = |versions: &Value| {
        let versions = versions.as_array();
        versions.is_some_and(|versions| versions.contains(&version))
    };
    let path = "/v1/namespaces/demo/locks/kept/one";
    let shown = service.get(path).await?;
    let policies = &shown.body["holders"][0]["policies"];
    ensure!(is_named(&policies["granted"]), "{shown:?}");
    ensure!(policies["renewed"].is_null(), "{shown:?}");
    let body = json!({ "lease_id": lease });
    let renewed = service.verb("kept/one", "renew", &body).await?;
    ensure!(renewed.status == 200, "{renewed:?}");
    let shown = service.get(path).await?;
    let policies = &shown.body["holders"][0]["policies"];
    ensure!(is_named(&policies["granted"]), "{shown:?}");
    // It judges acquires alone.
    let renewed = &policies["renewed"];
    ensure!(renewed.is_array() && !is_named(renewed), "{shown:?}");
    let listed = service.get("/v1/namespaces/demo/locks?prefix=kept").await?;
    let holder = &listed.body["locks"][0]["holders"][0];
    ensure!(holder["policies"] == *policies, "{listed:?}");
    let held = service
        .verb("kept/one", "acquire", &json!({ "ttl_ms": 1_000 }))
        .await?;
    ensure!(
        held.code() == "held" && !held.text.contains("by-hand"),
        "{held:?}"
    );
    let arguments = ["lock", "get", "demo/kept/one"];
    let shown = gateway.command_line(ADMIN_KEY, &arguments).await?;
    let shown = String::from_utf8(shown.stdout)?;
    let (_, under) = shown.split_once("held under").context(shown.clone())?;
    ensure!(under.trim_start().starts_with("by-hand@1.2.3 "), "{shown}");
    ensure!(under.contains(", renewed under "), "{shown}");
    Ok(())
}

const VERSION: &str = "/v1/policies/by-hand/versions/1.2.3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_deleted_once_no_binding_and_no_lease_needs_it() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let author = gateway
        .principal("author", "rules", &["policy-author"])
        .await?;
    let wasm = Guest::default().wasm();
    let uploaded = author
        .upload_policy("by-hand", "1.2.3", wasm.clone())
        .await?;
    ensure!(uploaded.status == 201, "{uploaded:?}");
    let body = json!({ "namespaces": ["demo"], "locks": ["kept/**"],
        "policies": [{ "policy": "by-hand", "version": "1.2.3" }] });
    ensure!(admin.put("/v1/bindings/kept", &body).await?.status < 300);
    let service = gateway.service("svc", "payments").await?;
    ensure!(service.delete(VERSION).await?.status == 403);

    let refused = author.delete(VERSION).await?;
    ensure!(refused.status == 409, "{refused:?}");
    ensure!(refused.code() == "policy_version_in_use", "{refused:?}");
    let detail = refused.text_of("detail")?;
    ensure!(detail.contains("(kept)"), "{detail}");

    let body = json!({ "ttl_ms": 60_000 });
    let granted = service.verb("kept/one", "acquire", &body).await?;
    let lease = granted.text_of("lease_id")?;
    held_under_it(&gateway, &service, lease).await?;
    ensure!(admin.delete("/v1/bindings/kept").await?.status == 200);
    let refused = admin.delete(VERSION).await?;
    ensure!(refused.code() == "policy_version_in_use", "{refused:?}");
    let detail = refused.text_of("detail")?;
    ensure!(detail.contains("demo/kept/one"), "{detail}");

    let body = json!({ "lease_id": lease });
    let released = service.verb("kept/one", "release", &body).await?;
    ensure!(released.status == 200, "{released:?}");
    let arguments = ["policy", "delete", "by-hand@1.2.3"];
    let deleted = gateway.command_line(ADMIN_KEY, &arguments).await?;
    ensure!(deleted.status.success(), "{deleted:?}");
    ensure!(admin.get(VERSION).await?.status == 404);
    ensure!(admin.delete(VERSION).await?.status == 404);
    let rows = admin.ledger("operation=governance").await?;
    let last = rows.last().context("the deletion's event")?.to_string();
    ensure!(last.contains("policy by-hand@1.2.3 deleted"), "{last}");

    // The version is immutable all the same: recorded decisions name it.
    let listed = admin.get("/v1/policies").await?;
    ensure!(!listed.text.contains("by-hand"), "{listed:?}");
    let other = Guest::doing("(nop)").wasm();
    let changed = author.upload_policy("by-hand", "1.2.3", other).await?;
    ensure!(changed.code() == "conflict", "{changed:?}");
    ensure!(
        changed.text_of("detail")?.contains("deleted"),
        "{changed:?}"
    );

    let again = author.upload_policy("by-hand", "1.2.3", wasm).await?;
    ensure!(again.status == 201, "{again:?}");
    Ok(())
}

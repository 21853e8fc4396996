//! A policy version is deleted once nothing needs it, and not before.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_policy_guests::Guest;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use serde_json::json;

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

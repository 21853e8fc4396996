//! `leasehold apply --prune`: what no file declares is deleted, only if that is asked for.

use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::json;

use super::apply::apply;
use super::apply::declared;
use super::apply::write;

/// Adds a binding and a namespace that no file declares.
async fn undeclared(ann: &Api) -> Result<()> {
    let old = json!({ "name": "old", "default_decision": "allow" });
    let made = ann.post("/v1/namespaces", &old).await?;
    ensure!(made.status == 201, "{made:?}");
    let binding = json!({ "namespaces": ["old"], "order": 7, "policies": [
        { "policy": "by-hand", "version": "1.0.0" }] });
    let bound = ann.put("/v1/bindings/old", &binding).await?;
    ensure!(bound.status == 200, "{bound:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_file_declares_is_deleted_only_if_that_is_asked_for_and_shown_first() -> Result<()>
{
    let gateway = Gateway::start().await?;
    let ann = gateway
        .principal("ann", "rules", &["administrator"])
        .await?;
    let folder = declared()?;
    let at = folder.path();
    let demo = "kind = \"namespace\"\nname = \"demo\"\ndefault_decision = \"allow\"\n\
                description = \"for trying out; open to every key\"\n";
    write(at, "demo.toml", demo)?;
    apply(&gateway, &ann, (at, 0), &["--yes"]).await?;
    undeclared(&ann).await?;
    let plain = apply(&gateway, &ann, (at, 0), &["--yes"]).await?;
    ensure!(plain.contains("nothing to do"), "{plain}");
    let shown = apply(
        &gateway,
        &ann,
        (at, 2),
        &["--dry-run", "--prune", "bindings"],
    );
    let shown = shown.await?;
    ensure!(shown.contains("delete     binding    old"), "{shown}");
    ensure!(shown.contains("\"order\":7"), "{shown}");
    ensure!(!shown.contains("delete     namespace"), "{shown}");
    ensure!(ann.get("/v1/bindings/old").await?.status == 200);

    // A namespace whose locks are held stays, and is told.
    let ttl = json!({ "ttl_ms": 600_000 });
    let held = ann.post("/v1/namespaces/old/locks/a:acquire", &ttl).await?;
    ensure!(held.status == 201, "{held:?}");
    let both = ["--prune", "bindings", "--prune", "namespaces"];
    let writes = [&both[..], &["--yes", "--reason", "CHG-9"]].concat();
    let told = apply(&gateway, &ann, (at, 78), &writes).await?;
    ensure!(told.contains("done       binding    old"), "{told}");
    ensure!(told.contains("failed     namespace  old"), "{told}");
    ensure!(ann.get("/v1/bindings/old").await?.status == 404);
    ensure!(ann.get("/v1/bindings/builds").await?.status == 200);
    let lease = json!({ "lease_id": held.body["lease_id"] });
    let released = ann.post("/v1/namespaces/old/locks/a:release", &lease);
    ensure!(released.await?.status == 200);
    let told = apply(&gateway, &ann, (at, 0), &writes).await?;
    ensure!(told.contains("done       namespace  old"), "{told}");
    ensure!(ann.get("/v1/namespaces/old").await?.status == 404);
    ensure!(ann.get("/v1/namespaces/demo").await?.status == 200);
    for path in ["bindings", "namespaces"] {
        let kept = ann
            .get(&format!("/v1/{path}/old/revisions?limit=1"))
            .await?;
        let newest = &kept.body["revisions"][0];
        ensure!(newest["origin"] == "delete", "{kept:?}");
        ensure!(newest["reason"] == "CHG-9", "{kept:?}");
    }

    // A declared binding needs its namespace.
    std::fs::remove_file(at.join("namespace.toml"))?;
    let told = apply(&gateway, &ann, (at, 64), &writes).await?;
    let problem = "builds.toml:2: namespace builds is not declared, and would be deleted";
    ensure!(told.contains(problem), "{told}");
    // Nor is an empty directory a state.
    let empty = tempfile::tempdir()?;
    let told = apply(&gateway, &ann, (empty.path(), 64), &writes).await?;
    ensure!(told.contains("no .toml or .json file"), "{told}");
    ensure!(ann.get("/v1/bindings/builds").await?.status == 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletions_wait_for_approval_and_a_binding_in_a_rollout_stays() -> Result<()> {
    let gateway = Gateway::start().await?;
    let ann = gateway
        .principal("ann", "rules", &["administrator"])
        .await?;
    let bob = gateway.principal("bob", "rules", &["approver"]).await?;
    let folder = declared()?;
    let at = folder.path();
    apply(&gateway, &ann, (at, 0), &["--yes"]).await?;
    undeclared(&ann).await?;
    write(at, "demo.toml", "kind = \"namespace\"\nname = \"demo\"\n")?;
    let both = ["--prune", "bindings", "--prune", "namespaces", "--yes"];
    let rollout = json!({ "name": "r", "binding": "old", "policy": "by-hand",
        "config": { "a": 1 }, "steps": [{ "stage": "shadow" }, { "stage": "full" }] });
    let started = ann.post("/v1/rollouts", &rollout).await?;
    ensure!(started.status == 201, "{started:?}");
    let told = apply(&gateway, &ann, (at, 64), &both).await?;
    ensure!(
        told.contains("binding old: ") && told.contains("rollout r"),
        "{told}"
    );
    let back = ann.post("/v1/rollouts/r:rollback", &json!({})).await?;
    ensure!(back.status == 200, "{back:?}");

    let rule = ann
        .put("/v1/approval-rule", &json!({ "required": 1 }))
        .await?;
    ensure!(rule.status == 200, "{rule:?}");
    let told = apply(&gateway, &ann, (at, 78), &both).await?;
    ensure!(told.contains("waits      binding    old"), "{told}");
    ensure!(told.contains("not done   namespace  old"), "{told}");
    for id in told.split("approval approve ").skip(1) {
        let id: String = id.chars().take(64).collect();
        let path = format!("/v1/approvals/{id}:approve");
        let approved = bob.post(&path, &json!({})).await?;
        ensure!(approved.status == 200, "{approved:?}");
    }
    let told = apply(&gateway, &ann, (at, 0), &both).await?;
    ensure!(told.contains("done       namespace  old"), "{told}");
    Ok(())
}

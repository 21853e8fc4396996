//! `leasehold apply`: a declared state, compared first, written in order, and the same afterwards.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_policy_guests::Guest;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::process::Child;
use tokio::process::Command;

/// How long a command may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const NAMESPACE: &str = r#"kind = "namespace"
name = "builds"
team = "ci"
description = "locks of the build farm"
"#;

const BINDING: &str = r#"kind = "binding"
name = "builds"
namespaces = ["builds"]
locks = ["deploy/**"]

[[policies]]
policy = "by-hand"
version = "1.0.0"
"#;

pub(super) fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> Result<()> {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().context("has a parent")?)?;
    Ok(std::fs::write(path, text)?)
}

/// A directory that declares a namespace, a policy and a binding.
pub(super) fn declared() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    let guest = Guest {
        name: "by-hand".to_owned(),
        version: "1.0.0".to_owned(),
        ..Guest::default()
    };
    let policy = json!({ "kind": "policy", "name": "by-hand", "version": "1.0.0",
        "module": "by-hand.wasm" });
    write(at, "bindings/builds.toml", BINDING)?;
    write(at, "namespace.toml", NAMESPACE)?;
    write(at, "policies/by-hand.json", policy.to_string())?;
    write(at, "policies/by-hand.wasm", guest.wasm())?;
    Ok(folder)
}

/// Runs `apply` on a directory, which must end with this code. Returns what it wrote to both outputs.
pub(super) async fn apply(
    gateway: &Gateway,
    who: &Api,
    (folder, code): (&Path, i32),
    more: &[&str],
) -> Result<String> {
    let directory = folder.display().to_string();
    let arguments = [&["apply", "-f", &directory][..], more].concat();
    let key = who.key().context("has a key")?;
    let done = gateway.command_line(key, &arguments).await?;
    ensure!(done.status.code() == Some(code), "{arguments:?}: {done:?}");
    let told = String::from_utf8(done.stdout)?;
    Ok(told + &String::from_utf8(done.stderr)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declared_state_is_shown_then_written_and_the_second_run_has_nothing_to_do() -> Result<()>
{
    let gateway = Gateway::start().await?;
    let ann = gateway
        .principal("ann", "rules", &["administrator"])
        .await?;
    let folder = declared()?;
    let at = folder.path();
    let shown = apply(&gateway, &ann, (at, 2), &["--dry-run"]).await?;
    let order: Vec<&str> = shown
        .lines()
        .filter(|line| line.starts_with("create"))
        .collect();
    let expected = ["by-hand@1.0.0", "builds", "builds"];
    ensure!(order.len() == 3, "{shown}");
    ensure!(
        order
            .iter()
            .zip(expected)
            .all(|(line, name)| line.ends_with(name)),
        "{shown}"
    );
    ensure!(ann.get("/v1/namespaces/builds").await?.status == 404);
    // Without a terminal somebody must have said yes.
    let refused = apply(&gateway, &ann, (at, 64), &[]).await?;
    ensure!(refused.contains("give --yes"), "{refused}");
    ensure!(ann.get("/v1/namespaces/builds").await?.status == 404);
    let yes = ["--yes", "--reason", "first"];
    let done = apply(&gateway, &ann, (at, 0), &yes).await?;
    ensure!(done.matches("done").count() == 3, "{done}");
    let binding = ann.get("/v1/bindings/builds").await?;
    ensure!(binding.body["locks"] == json!(["deploy/**"]), "{binding:?}");
    let kept = ann.get("/v1/bindings/builds/revisions/1").await?;
    ensure!(kept.body["reason"] == "first", "{kept:?}");
    let again = apply(&gateway, &ann, (at, 0), &[]).await?;
    ensure!(again.contains("nothing to do"), "{again}");
    ensure!(apply(&gateway, &ann, (at, 0), &["--dry-run"]).await.is_ok());

    // One field is changed, and told with its place.
    write(
        at,
        "bindings/builds.toml",
        BINDING.replace("deploy/**", "**"),
    )?;
    let shown = apply(&gateway, &ann, (at, 2), &["--dry-run"]).await?;
    ensure!(
        shown.contains(r#"/locks: ["deploy/**"] -> ["**"]"#),
        "{shown}"
    );
    let json = apply(&gateway, &ann, (at, 2), &["--dry-run", "--json"]).await?;
    let json: Value = serde_json::from_str(&json)?;
    ensure!(json["items"][2]["action"] == "update", "{json}");
    ensure!(json["items"][2]["changes"][0]["path"] == "/locks", "{json}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_checked_before_anything_is_written() -> Result<()> {
    let gateway = Gateway::start().await?;
    let ann = gateway
        .principal("ann", "rules", &["administrator"])
        .await?;
    let folder = declared()?;
    let at = folder.path();
    let wrong = BINDING.replace("\"builds\"]", "\"nowhere\"]");
    write(at, "bindings/builds.toml", wrong.replace("1.0.0", "9.0.0"))?;
    let told = apply(&gateway, &ann, (at, 64), &["--yes"]).await?;
    for part in [
        "builds.toml:3: there is no namespace nowhere",
        "builds.toml:7: there is no policy by-hand@9.0.0",
    ] {
        ensure!(told.contains(part), "{told}");
    }
    // What only the gateway can check, of versions that it has.
    let bounds = BINDING
        .replace("by-hand", "ttl-bounds")
        .replace("1.0.0", "1.1.0")
        .replace("builds\"]", "demo\"]");
    let bounds = bounds + "config = { rules = 7 }\n";
    write(at, "bindings/builds.toml", bounds)?;
    let told = apply(&gateway, &ann, (at, 64), &["--yes"]).await?;
    ensure!(
        told.contains("builds.toml:2: ") && told.contains("rules"),
        "{told}"
    );
    ensure!(ann.get("/v1/namespaces/builds").await?.status == 404);
    Ok(())
}

/// Starts `apply` on a terminal, and reads until it asks. Returns it with the other end of the terminal.
async fn asking(gateway: &Gateway, who: &Api, folder: &Path) -> Result<(Child, std::fs::File)> {
    let terminal = nix::pty::openpty(None, None)?;
    let mut child = Command::new(leasehold_tests::binary())
        .args(["apply", "-f"])
        .arg(folder)
        .env("LEASEHOLD_URL", gateway.url())
        .env("LEASEHOLD_KEY", who.key().context("has a key")?)
        .stdin(Stdio::from(terminal.slave))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let told = child.stderr.as_mut().context("is piped")?;
    let mut asked = Vec::new();
    while !asked.ends_with(b"[y/N] ") {
        let byte = tokio::time::timeout(PATIENCE, told.read_u8()).await?;
        asked.push(byte.with_context(|| String::from_utf8_lossy(&asked).into_owned())?);
    }
    Ok((child, terminal.master.into()))
}

/// Answers on the terminal, and waits for the end.
async fn answered(
    (child, mut terminal): (Child, std::fs::File),
    answer: &str,
) -> Result<(Option<i32>, String)> {
    terminal.write_all(answer.as_bytes())?;
    let done = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    let told = String::from_utf8(done.stdout)? + &String::from_utf8(done.stderr)?;
    Ok((done.status.code(), told))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_changed_after_the_comparison_is_refused() -> Result<()> {
    let gateway = Gateway::start().await?;
    let ann = gateway
        .principal("ann", "rules", &["administrator"])
        .await?;
    let folder = declared()?;
    let at = folder.path();
    apply(&gateway, &ann, (at, 0), &["--yes"]).await?;
    write(
        at,
        "bindings/builds.toml",
        BINDING.replace("deploy/**", "**"),
    )?;
    let no = answered(asking(&gateway, &ann, at).await?, "n\n").await?;
    ensure!(
        no.0 == Some(64) && no.1.contains("nothing was written"),
        "{no:?}"
    );
    let asked = asking(&gateway, &ann, at).await?;
    let other = ann.get("/v1/bindings/builds").await?.body;
    let other = json!({ "namespaces": ["builds"], "order": 7, "policies": other["policies"] });
    let changed = ann.put("/v1/bindings/builds", &other).await?;
    ensure!(changed.status == 200, "{changed:?}");
    let yes = answered(asked, "y\n").await?;
    ensure!(
        yes.0 == Some(78) && yes.1.contains("failed     binding"),
        "{yes:?}"
    );
    let found = ann.get("/v1/bindings/builds").await?;
    ensure!(found.body["order"] == 7, "{found:?}");
    // The next run compares with what is there now.
    let yes = answered(asking(&gateway, &ann, at).await?, "y\n").await?;
    ensure!(yes.0 == Some(0), "{yes:?}");
    let found = ann.get("/v1/bindings/builds").await?;
    ensure!(found.body["order"] == 0, "{found:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_approval_is_requested_and_written_by_the_next_run() -> Result<()> {
    let gateway = Gateway::start().await?;
    let ann = gateway
        .principal("ann", "rules", &["administrator"])
        .await?;
    let bob = gateway.principal("bob", "rules", &["approver"]).await?;
    let rule = ann
        .put("/v1/approval-rule", &json!({ "required": 1 }))
        .await?;
    ensure!(rule.status == 200, "{rule:?}");
    let folder = declared()?;
    let at = folder.path();
    // The namespace waits, too, and the binding cannot be written before it is there.
    let allowing = NAMESPACE.to_owned() + "default_decision = \"allow\"\n";
    write(at, "namespace.toml", allowing)?;
    let told = apply(&gateway, &ann, (at, 78), &["--yes"]).await?;
    ensure!(told.contains("not done   binding"), "{told}");
    write(at, "namespace.toml", NAMESPACE)?;
    let reason = ["--yes", "--reason", "CHG-9"];
    let told = apply(&gateway, &ann, (at, 78), &reason).await?;
    ensure!(told.contains("waits"), "{told}");
    let id = told.split("approval approve ").nth(1).context("id")?;
    let id: String = id.chars().take(64).collect();
    let request = bob.get(&format!("/v1/approvals/{id}")).await?;
    let summary = request.body["summary"].to_string();
    ensure!(summary.contains("CHG-9"), "{request:?}");
    let approve = format!("/v1/approvals/{id}:approve");
    let approved = bob.post(&approve, &json!({})).await?;
    ensure!(approved.status == 200, "{approved:?}");
    let told = apply(&gateway, &ann, (at, 0), &["--yes"]).await?;
    ensure!(told.matches("done").count() == 1, "{told}");
    ensure!(ann.get("/v1/bindings/builds").await?.status == 200);
    Ok(())
}

//! Every change of a binding is a revision that stays readable, can be compared and restored; and a
//! change is previewed before it is made. The real binary and its command line.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::deny;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

fn guest(version: &str, denies: bool) -> Guest {
    let at = TEXT as u32;
    let allows = Guest {
        name: "by-hand".to_owned(),
        version: version.to_owned(),
        ..Guest::default()
    };
    match denies {
        false => allows,
        true => Guest {
            answer: deny((at, 2), (at + 2, 7)),
            text: b"noby hand".to_vec(),
            ..allows
        },
    }
}

/// Runs a command line that must end with this code. Returns what it wrote to both outputs.
pub(super) async fn ended(
    gateway: &Gateway,
    who: &Api,
    code: i32,
    arguments: &[&str],
) -> Result<String> {
    let key = who.key().context("has a key")?;
    let done = gateway.command_line(key, arguments).await?;
    ensure!(done.status.code() == Some(code), "{arguments:?}: {done:?}");
    let told = String::from_utf8(done.stdout)?;
    Ok(told + &String::from_utf8(done.stderr)?)
}

pub(super) async fn command(gateway: &Gateway, who: &Api, arguments: &[&str]) -> Result<String> {
    ended(gateway, who, 0, arguments).await
}

/// A file with a binding of `by-hand`.
fn file(folder: &TempDir, version: &str) -> Result<String> {
    let path = folder.path().join(format!("{version}.json"));
    let body = json!({ "namespaces": ["demo"], "locks": ["ci/**"],
        "policies": [{ "policy": "by-hand", "version": version }] });
    std::fs::write(&path, body.to_string())?;
    Ok(path.display().to_string())
}

async fn upload(gateway: &Gateway, who: &Api) -> Result<()> {
    for guest in [guest("1.0.0", false), guest("2.0.0", true)] {
        let pushed = who.upload_policy(&guest.name, &guest.version, guest.wasm());
        ensure!(pushed.await?.status == 201, "{}", gateway.url());
    }
    Ok(())
}

/// The numbers and origins in the answer to a question for revisions.
pub(super) fn told(list: &Value) -> Vec<(u64, String)> {
    let all = list["revisions"].as_array().cloned().unwrap_or_default();
    let pair = |one: &Value| {
        let origin = one["origin"].as_str().unwrap_or_default();
        (
            one["number"].as_u64().unwrap_or_default(),
            origin.to_owned(),
        )
    };
    all.iter().map(pair).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binding_has_a_history_that_survives_deletion_and_restart() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let ann = gateway
        .principal("ann", "rules", &["administrator"])
        .await?;
    let auditor = gateway.principal("aud", "audit", &["auditor"]).await?;
    upload(&gateway, &ann).await?;
    let folder = tempfile::tempdir()?;
    let (one, two) = (file(&folder, "1.0.0")?, file(&folder, "2.0.0")?);
    let because = ["--reason", "ticket CHG-7"];
    command(&gateway, &ann, &["policy", "bind", "ci", &one]).await?;
    let bind = [&["policy", "bind", "ci", &two][..], &because].concat();
    let bound = command(&gateway, &ann, &bind).await?;
    ensure!(bound.contains("revision    2"), "{bound}");
    command(&gateway, &ann, &["policy", "unbind", "ci"]).await?;
    gateway.restart().await?;

    let history = ["policy", "history", "ci"];
    let list = command(&gateway, &auditor, &history).await?;
    let lines: Vec<&str> = list.lines().collect();
    ensure!(lines.len() == 4, "{list}");
    for (line, parts) in lines[1..].iter().zip([
        &["3", "ann", "delete", "all"][..],
        &["2", "ann", "put", "policies/0/version", "ticket CHG-7"],
        &["1", "ann", "put", "all"],
    ]) {
        ensure!(parts.iter().all(|part| line.contains(part)), "{list}");
    }
    let diff = [&history[..], &["--diff", "1..2"]].concat();
    let diff = command(&gateway, &auditor, &diff).await?;
    let expected = "/policies/0/version  \"1.0.0\"  \"2.0.0\"";
    ensure!(diff.contains(expected), "{diff}");
    let whole = [&history[..], &["2", "--json"]].concat();
    let whole: Value = serde_json::from_str(&command(&gateway, &auditor, &whole).await?)?;
    ensure!(
        whole["body"]["policies"][0]["version"] == "2.0.0",
        "{whole}"
    );
    ensure!(whole["changes"][0]["before"] == "1.0.0", "{whole}");

    // Restored although it was deleted; the ledger names revision and reason.
    let restore = ["policy", "restore-binding", "ci", "1", "--reason", "back"];
    let restored = command(&gateway, &ann, &restore).await?;
    ensure!(restored.contains("by-hand@1.0.0"), "{restored}");
    let found = gateway.admin().get("/v1/bindings/ci/revisions").await?;
    let origins = told(&found.body);
    ensure!(origins[0] == (4, "restore".to_owned()), "{found:?}");
    let events = gateway.admin().ledger("operation=governance").await?;
    let has = |text: &str| events.iter().any(|event| event.to_string().contains(text));
    ensure!(has("revision 2: ticket CHG-7"), "{events:?}");
    ensure!(has("revision 4: back"), "{events:?}");
    // Nobody else may change or see it.
    ended(&gateway, &auditor, 77, &restore).await?;
    let service = gateway.service("svc", "payments").await?;
    ended(&gateway, &service, 77, &history).await?;
    let never = ["policy", "history", "never"];
    let never = ended(&gateway, &ann, 78, &never).await?;
    ensure!(never.contains("no binding never"), "{never}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollouts_keep_revisions_and_a_restore_needs_the_approvals_of_a_put() -> Result<()> {
    let gateway = Gateway::start().await?;
    let ann = gateway
        .principal("ann", "rules", &["administrator"])
        .await?;
    let bob = gateway.principal("bob", "rules", &["approver"]).await?;
    upload(&gateway, &ann).await?;
    let folder = tempfile::tempdir()?;
    let one = file(&folder, "1.0.0")?;
    command(&gateway, &ann, &["policy", "bind", "ci", &one]).await?;
    let start = ["rollout", "start", "strict", "--binding", "ci"];
    let plan = [
        "--candidate",
        "by-hand@2.0.0",
        "--step",
        "shadow",
        "--step",
        "full",
    ];
    command(&gateway, &ann, &[&start[..], &plan].concat()).await?;
    let advance = ["rollout", "advance", "strict", "--force"];
    command(&gateway, &ann, &advance).await?;
    let back = ["rollout", "rollback", "strict", "--reason", "too strict"];
    command(&gateway, &ann, &back).await?;
    let found = ann.get("/v1/bindings/ci/revisions").await?;
    let expected = [(3, "rollout"), (2, "rollout"), (1, "put")];
    let expected = expected.map(|(number, origin)| (number, origin.to_owned()));
    ensure!(told(&found.body) == expected, "{found:?}");
    ensure!(found.body["revisions"][0]["rollout"] == "strict");
    ensure!(found.body["revisions"][0]["reason"] == "too strict");

    command(&gateway, &ann, &["approval", "rule", "--required", "1"]).await?;
    let restore = ["policy", "restore-binding", "ci", "2"];
    let held_up = ended(&gateway, &ann, 78, &restore).await?;
    let id = held_up.split("approval approve ").nth(1).context("id")?;
    let id: String = id.chars().take(64).collect();
    let found = ann.get("/v1/bindings/ci").await?;
    ensure!(found.body["policies"][0]["version"] == "1.0.0", "{found:?}");
    command(&gateway, &bob, &["approval", "approve", &id]).await?;
    command(&gateway, &ann, &restore).await?;
    let found = ann.get("/v1/bindings/ci").await?;
    ensure!(found.body["policies"][0]["version"] == "2.0.0", "{found:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_tells_what_a_change_would_touch_and_changes_nothing() -> Result<()> {
    let gateway = Gateway::start().await?;
    let ann = gateway
        .principal("ann", "rules", &["administrator"])
        .await?;
    let auditor = gateway.principal("aud", "audit", &["auditor"]).await?;
    upload(&gateway, &ann).await?;
    let folder = tempfile::tempdir()?;
    let (one, two) = (file(&folder, "1.0.0")?, file(&folder, "2.0.0")?);
    command(&gateway, &ann, &["policy", "bind", "ci", &one]).await?;
    let service = gateway.service("svc", "payments").await?;
    for n in 0..6 {
        let granted = service.acquire(&format!("ci/{n}"), 60_000).await?;
        ensure!(granted.status == 201, "{granted:?}");
    }
    gateway.admin().settled().await?;
    let before = ann.get("/v1/bindings/ci").await?;
    let preview = ["policy", "bind", "ci", &two, "--preview", "--since", "1d"];
    let shown = command(&gateway, &auditor, &preview).await?;
    for part in [
        "6 with 6 leases and 0 waiters",
        "payments 6",
        "acquire of payments: 6, newly-denied 6",
        "by hand",
    ] {
        ensure!(shown.contains(part), "{part}: {shown}");
    }
    let unbind = ["policy", "unbind", "ci", "--preview", "--json"];
    let gone: Value = serde_json::from_str(&command(&gateway, &ann, &unbind).await?)?;
    ensure!(
        gone["decisions"] == 6 && gone["policies_after"] == json!([]),
        "{gone}"
    );
    ensure!(gone["locks"]["locks"] == 6, "{gone}");
    let after = ann.get("/v1/bindings/ci").await?;
    ensure!(before.body == after.body, "{after:?}");
    ended(&gateway, &service, 77, &unbind).await?;
    Ok(())
}

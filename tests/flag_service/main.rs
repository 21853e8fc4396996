//! A rollout follows a company's flag service: flagd's own evaluator behind an OFREP server. The flags
//! narrow a canary, stop it and hold it, and never widen it past the plan; when the service is gone, its
//! last answer holds. Gateways on one store follow it each by themselves, and come to the same canary.
//!
//! The evaluator is installed from the package registry, which is why `cargo verify` runs this by its
//! name.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::deny;
use leasehold_test_servers::Postgres;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;
use tokio::process::Child;
use tokio::process::Command;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const INSTALL_WITHIN: Duration = Duration::from_secs(300);
/// The key that the flag service asks for.
const KEY: &str = "flags-of-the-company";
const LOCKS: usize = 150;

/// flagd's evaluator, which reads a file of flags at each request.
struct FlagService {
    folder: tempfile::TempDir,
    url: String,
    process: Child,
}

impl FlagService {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("flag_service");
        for file in ["package.json", "server.js"] {
            std::fs::copy(source.join(file), folder.path().join(file))?;
        }
        let install = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund"])
            .current_dir(folder.path())
            .kill_on_drop(true)
            .output();
        let installed = tokio::time::timeout(INSTALL_WITHIN, install).await?;
        let installed = installed.context("npm")?;
        ensure!(installed.status.success(), "{installed:?}");
        write(folder.path(), &json!(10))?;
        let mut process = Command::new("node")
            .args(["server.js", "flags.json", KEY])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("node")?;
        let told = process.stdout.take().context("its output")?;
        let mut lines = BufReader::new(told).lines();
        let url = tokio::time::timeout(PATIENCE, lines.next_line()).await??;
        Ok(Self {
            folder,
            url: url.context("its URL")?,
            process,
        })
    }

    /// Writes the file of flags.
    fn says(&self, value: &Value) -> Result<()> {
        write(self.folder.path(), value)
    }

    fn key_file(&self) -> Result<PathBuf> {
        let file = self.folder.path().join("key");
        std::fs::write(&file, KEY)?;
        Ok(file)
    }
}

/// Writes a file of flags in which this gateway's value is had by targeting. It is replaced at once, so
/// that the service never reads half of it.
fn write(folder: &Path, value: &Value) -> Result<()> {
    let other = match value {
        Value::Bool(value) => json!(!value),
        Value::String(_) => json!("other"),
        _ => json!(77),
    };
    let flags = json!({ "flags": { "week-50": {
        "state": "ENABLED",
        "variants": { "ours": value, "other": other },
        "defaultVariant": "other",
        "targeting": { "if": [
            { "==": [{ "var": "targetingKey" }, "leasehold"] }, "ours", "other"
        ] },
    } } });
    let new = folder.join("flags.json.new");
    std::fs::write(&new, flags.to_string())?;
    Ok(std::fs::rename(&new, folder.join("flags.json"))?)
}

/// A gateway that follows the service.
async fn follower(service: &FlagService, storage: &str) -> Result<Gateway> {
    let options = GatewayOptions {
        config: format!(
            "{storage}[rollouts.flag_service]\nurl = \"{}\"\nkey_file = {:?}\n\
             poll_interval_ms = 500\nstale_after_ms = 5000\n",
            service.url,
            service.key_file()?
        ),
        ..GatewayOptions::default()
    };
    Gateway::start_with(options).await
}

/// Such a gateway, whose binding `roll` has a version that allows, with one uploaded that denies.
async fn gateway(service: &FlagService, storage: &str) -> Result<Gateway> {
    let gateway = follower(service, storage).await?;
    let at = TEXT as u32;
    let allows = Guest {
        name: "by-hand".to_owned(),
        version: "1.0.0".to_owned(),
        ..Guest::default()
    };
    let denies = Guest {
        version: "2.0.0".to_owned(),
        answer: deny((at, 2), (at + 2, 7)),
        text: b"noby hand".to_vec(),
        ..allows.clone()
    };
    let admin = gateway.admin();
    for guest in [allows, denies] {
        let uploaded = admin.upload_policy(&guest.name, &guest.version, guest.wasm());
        ensure!(uploaded.await?.status == 201, "{}", guest.version);
    }
    let body = json!({ "namespaces": ["demo"], "locks": ["roll/**"],
        "policies": [{ "policy": "by-hand", "version": "1.0.0" }] });
    let bound = admin.put("/v1/bindings/roll", &body).await?;
    ensure!(bound.status < 300, "{bound:?}");
    Ok(gateway)
}

async fn command(gateway: &Gateway, arguments: &[&str]) -> Result<String> {
    let done = gateway.command_line(ADMIN_KEY, arguments).await?;
    let told = String::from_utf8([done.stdout, done.stderr].concat())?;
    ensure!(done.status.success(), "{arguments:?}: {told}");
    Ok(told)
}

/// Waits until the gateway shows this of the rollout's flag.
async fn until(api: &Api, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
    let clock = SystemClock::new();
    let began = clock.monotonic();
    loop {
        let shown = api.get("/v1/rollouts/week-50").await?;
        ensure!(shown.status == 200, "{shown:?}");
        if is_so(&shown.body["flag"]) {
            return Ok(shown.body["flag"].clone());
        }
        let waited = clock.monotonic().saturating_sub(began);
        ensure!(waited < PATIENCE, "{shown:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The locks that the candidate judges: it denies them.
async fn canary(service: &Api) -> Result<BTreeSet<usize>> {
    let mut denied = BTreeSet::new();
    for n in 0..LOCKS {
        let lock = format!("/v1/namespaces/demo/locks/roll/{n}");
        let acquire = json!({ "ttl_ms": 60_000 });
        let granted = service.post(&format!("{lock}:acquire"), &acquire).await?;
        if granted.status == 403 {
            denied.insert(n);
            continue;
        }
        ensure!(granted.status == 201, "{granted:?}");
        let lease = json!({ "lease_id": granted.body["lease_id"] });
        let released = service.post(&format!("{lock}:release"), &lease).await?;
        ensure!(released.status == 200, "{released:?}");
    }
    Ok(denied)
}

const START: &[&str] = &[
    "rollout",
    "start",
    "week-50",
    "--binding",
    "roll",
    "--candidate",
    "by-hand@2.0.0",
    "--step",
    "50%",
    "--step",
    "full",
    "--flag",
    "week-50",
    "--newly-denied-max",
    "100",
];

#[tokio::test]
async fn a_rollout_follows_a_flag_service_and_never_goes_beyond_its_plan() -> Result<()> {
    let mut flags = FlagService::start().await?;
    let gateway = gateway(&flags, "").await?;
    let (admin, service) = (gateway.admin(), gateway.service("svc", "ops").await?);
    command(&gateway, START).await?;

    // The service has targeted this gateway, and narrows 50 to 10.
    let flag = until(&admin, |flag| flag["value"] == "10").await?;
    ensure!(flag["reason"] == "TARGETING_MATCH", "{flag}");
    ensure!(
        flag["variant"] == "ours" && flag["stale"] == false,
        "{flag}"
    );
    let narrow = canary(&service).await?;
    flags.says(&json!(90))?;
    until(&admin, |flag| flag["value"] == "90").await?;
    let whole = canary(&service).await?;
    // Some of 150 locks are in half of the buckets, fewer in a tenth, and the tenth is part of the half.
    ensure!(!narrow.is_empty() && narrow.len() < 40, "{narrow:?}");
    ensure!((40..110).contains(&whole.len()), "{whole:?}");
    ensure!(narrow.is_subset(&whole), "{narrow:?} {whole:?}");
    let shown = admin.get("/v1/rollouts/week-50").await?.body;
    ensure!(shown["share_percent"] == 50.0, "{shown}");

    // Off, and back to the same members.
    for off in [json!("off"), json!(false), json!(0)] {
        flags.says(&off)?;
        until(&admin, |flag| {
            flag["value"] == off.to_string().trim_matches('"')
        })
        .await?;
        ensure!(canary(&service).await?.is_empty(), "{off}");
    }
    flags.says(&json!(10))?;
    until(&admin, |flag| flag["value"] == "10").await?;
    ensure!(canary(&service).await? == narrow);

    // It holds the rollout where it is, by whatever the caller says.
    let advance = ["rollout", "advance", "week-50", "--force"];
    let held = gateway.command_line(ADMIN_KEY, &advance).await?;
    let told = String::from_utf8(held.stderr)?;
    ensure!(
        told.contains("flag week-50 holds it: at most 10 %"),
        "{told}"
    );

    // Without the service the last answer holds, and goes stale.
    flags.process.kill().await?;
    let flag = until(&admin, |flag| flag["stale"] == true).await?;
    ensure!(flag["value"] == "10", "{flag}");
    ensure!(canary(&service).await? == narrow);
    let held = gateway.command_line(ADMIN_KEY, &advance).await?;
    let told = String::from_utf8(held.stderr)?;
    ensure!(told.contains("the answer for flag week-50 is"), "{told}");

    let shown = command(&gateway, &["rollout", "show", "week-50"]).await?;
    ensure!(
        shown.contains("at most 10 %, value 10, variant ours"),
        "{shown}"
    );
    recorded(&gateway).await?;
    // The service is gone for good: an edit lets the plan alone decide.
    let edit = ["rollout", "edit", "week-50", "--no-flag"];
    command(&gateway, &edit).await?;
    ensure!(canary(&service).await? == whole);
    polls_are_counted(&admin).await
}

async fn polls_are_counted(admin: &Api) -> Result<()> {
    let metrics = admin.get("/metrics").await?.text;
    for outcome in ["answered", "unchanged", "unreachable"] {
        let counted = format!("leasehold_flag_polls_total{{outcome=\"{outcome}\"}}");
        ensure!(metrics.contains(&counted), "{outcome}: {metrics}");
    }
    Ok(())
}

#[tokio::test]
async fn two_gateways_on_one_store_come_to_the_same_canary() -> Result<()> {
    let (flags, postgres) = tokio::join!(FlagService::start(), Postgres::start());
    let flags = flags?;
    let storage = |consumer: &str| {
        format!(
            "[storage]\nbackend = \"postgres\"\n[storage.postgres]\nurl = \"{}\"\n\
             consumer = \"{consumer}\"\nallow_unreplicated = true\n",
            postgres.url("postgres")
        )
    };
    let one = gateway(&flags, &storage("one")).await?;
    let other = follower(&flags, &storage("two")).await?;
    let here = one.service("svc", "ops").await?;
    let there = here.at(other.url());
    command(&one, START).await?;
    // Both narrow, stop and widen it to the plan, and never disagree once both have the answer.
    let mut seen = Vec::new();
    for (value, shown) in [
        (json!(10), "10"),
        (json!("off"), "off"),
        (json!(90), "90"),
        (json!(10), "10"),
    ] {
        flags.says(&value)?;
        for gateway in [&one, &other] {
            until(&gateway.admin(), |flag| flag["value"] == shown).await?;
        }
        let (ours, theirs) = (canary(&here).await?, canary(&there).await?);
        ensure!(ours == theirs, "{value}: {ours:?} {theirs:?}");
        seen.push(ours);
    }
    ensure!(!seen[0].is_empty() && seen[0].len() < 40, "{seen:?}");
    ensure!(
        seen[1].is_empty() && seen[0].is_subset(&seen[2]),
        "{seen:?}"
    );
    ensure!((40..110).contains(&seen[2].len()), "{seen:?}");
    ensure!(seen[0] == seen[3], "{seen:?}");
    // An edit on one gateway comes into force on the other.
    command(&one, &["rollout", "edit", "week-50", "--no-flag"]).await?;
    let clock = SystemClock::new();
    let began = clock.monotonic();
    while canary(&there).await? != seen[2] {
        let waited = clock.monotonic().saturating_sub(began);
        ensure!(waited < PATIENCE, "the flag is still followed");
    }
    Ok(())
}

/// Each change of the answer is in the ledger once, and decisions say that the flag narrowed them.
async fn recorded(gateway: &Gateway) -> Result<()> {
    let query = [
        "audit",
        "query",
        "--operation",
        "governance",
        "--limit",
        "100",
    ];
    let told = command(gateway, &query).await?;
    let changes: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("flag week-50: ") && !line.contains("no answer yet"))
        .collect();
    let expected = [
        "at most 10 %, value 10,",
        "at most 90 %, value 90,",
        "the candidate judges nothing, value off,",
        "the candidate judges nothing, value false,",
        "the candidate judges nothing, value 0,",
        "at most 10 %, value 10,",
        "; stale,",
    ];
    ensure!(changes.len() == expected.len(), "{changes:#?}");
    for (change, part) in changes.iter().zip(expected) {
        ensure!(change.contains(part), "{part}: {change}");
    }
    let denials = [
        "audit",
        "query",
        "--verdict",
        "deny",
        "--limit",
        "1",
        "--json",
    ];
    let denials = command(gateway, &denials).await?;
    ensure!(denials.contains("\"flag_share\":10000"), "{denials}");
    Ok(())
}

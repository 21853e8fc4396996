//! The life of a policy, as its author lives it, over three gateways: pushed, shown in shadow, replayed,
//! approved by a second person, tried on a part of the locks, rolled back by itself when it is bad, made
//! full, and taken back. Every step by the command line, each of them in the ledger.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::allow;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::cluster;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Locks that the service takes.
const LOCKS: usize = 40;

/// The author's modules, with the case that each carries.
struct Desk(TempDir);

impl Desk {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> Result<String> {
        Ok(self.path(name).to_str().context("UTF-8")?.to_owned())
    }

    /// Writes a module with its case: it allows, for at most half a minute.
    async fn module(&self, author: &Person<'_>, guest: &Guest, as_name: &str) -> Result<String> {
        let (plain, cases) = (self.text("plain.wasm")?, self.text("cases.json")?);
        std::fs::write(&plain, guest.wasm())?;
        let case = json!([{ "name": "an acquire is allowed for half a minute",
            "request": { "operation": "acquire", "lock": "demo/roll/1", "ttl_ms": 60_000 },
            "principal": { "subject": "svc" },
            "expect": { "allow": { "max_ttl_ms": 30_000 } } }]);
        std::fs::write(&cases, case.to_string())?;
        let out = self.text(as_name)?;
        let embed = ["policy", "embed", &plain, "--cases", &cases, "-o", &out];
        author.runs(&embed).await?;
        let tested = author.runs(&["policy", "test", &out]).await?;
        ensure!(tested.contains("1 cases, 0 failed"), "{tested}");
        Ok(out)
    }
}

fn guest(version: &str) -> Guest {
    Guest {
        name: "half-minute".to_owned(),
        version: version.to_owned(),
        answer: allow(Some(30_000), None),
        ..Guest::default()
    }
}

/// Somebody with a key, at one gateway.
struct Person<'g> {
    gateway: &'g Gateway,
    key: String,
}

impl<'g> Person<'g> {
    async fn new(gateway: &'g Gateway, subject: &str, roles: &[&str]) -> Result<Self> {
        let api = gateway.principal(subject, "rules", roles).await?;
        let key = api.key().context("a key")?.to_owned();
        Ok(Self { gateway, key })
    }

    /// Runs a command that succeeds; returns what it prints.
    async fn runs(&self, arguments: &[&str]) -> Result<String> {
        let done = self.gateway.command_line(&self.key, arguments).await?;
        ensure!(done.status.success(), "{arguments:?}: {done:?}");
        Ok(String::from_utf8(done.stdout)?)
    }

    /// Runs a command that is refused; returns why.
    async fn is_refused(&self, arguments: &[&str]) -> Result<String> {
        let done = self.gateway.command_line(&self.key, arguments).await?;
        ensure!(!done.status.success(), "{arguments:?}: {done:?}");
        Ok(String::from_utf8(done.stderr)?)
    }

    /// Runs a command that others must approve; returns the id of the request.
    async fn must_be_approved(&self, arguments: &[&str]) -> Result<String> {
        let told = self.is_refused(arguments).await?;
        let id = told.split("approval approve ").nth(1);
        Ok(id.context(told.clone())?.chars().take(64).collect())
    }
}

/// Takes and gives back each lock, at one gateway after the other. Returns how many were denied.
async fn load(services: &[Api]) -> Result<usize> {
    let mut denied = 0;
    for n in 0..LOCKS {
        let service = &services[n % services.len()];
        let name = format!("roll/{n}");
        let wanted = json!({ "ttl_ms": 20_000 });
        let granted = service.verb(&name, "acquire", &wanted).await?;
        if granted.status != 201 {
            ensure!(granted.status == 403, "{granted:?}");
            denied += 1;
            continue;
        }
        let lease = json!({ "lease_id": granted.body["lease_id"] });
        let released = service.verb(&name, "release", &lease).await?;
        ensure!(released.status == 200, "{released:?}");
    }
    Ok(denied)
}

/// Goes on with the load until this is so of a rollout.
async fn under_load(
    services: &[Api],
    admin: &Api,
    rollout: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Result<(Value, usize)> {
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let mut denied = 0;
    loop {
        denied += load(services).await?;
        let shown = admin.get(&format!("/v1/rollouts/{rollout}")).await?.body;
        if is_so(&shown) {
            return Ok((shown, denied));
        }
        ensure!(clock.monotonic() - began < PATIENCE, "{shown}");
    }
}

/// Pushes that are refused: a forbidden import, a case that fails, and no signature.
async fn refused_pushes(desk: &Desk, author: &Person<'_>, module: &str) -> Result<()> {
    let wasi = r#"(import "wasi:clocks/monotonic-clock@0.2.0"
        (instance (export "now" (func (result u64)))))"#;
    let importing = Guest {
        outside: wasi.to_owned(),
        ..guest("1.0.0")
    };
    let file = desk.text("importing.wasm")?;
    std::fs::write(&file, importing.wasm())?;
    let told = author.is_refused(&["policy", "push", &file]).await?;
    ensure!(told.contains("no WASI, no clock"), "{told}");

    // The case of a module that allows for half a minute, in one that allows for ever.
    let whole = std::fs::read(module)?;
    let case = &whole[guest("1.0.0").wasm().len()..];
    let forever = Guest {
        answer: allow(None, None),
        ..guest("1.0.0")
    };
    let file = desk.text("forever.wasm")?;
    std::fs::write(&file, [&forever.wasm()[..], case].concat())?;
    let told = author.is_refused(&["policy", "push", &file]).await?;
    let name = "an acquire is allowed for half a minute";
    ensure!(told.contains(name), "{told}");

    let told = author.is_refused(&["policy", "push", module]).await?;
    ensure!(told.contains("signatures by 1 trusted key"), "{told}");
    Ok(())
}

/// Signs a module and pushes it.
async fn push(desk: &Desk, author: &Person<'_>, module: &str) -> Result<()> {
    let key = desk.text("author.pem")?;
    author
        .runs(&["policy", "sign", module, "--key", &key])
        .await?;
    let signature = format!("{module}.sig.json");
    let push = ["policy", "push", module, "--signature", &signature];
    author.runs(&push).await?;
    Ok(())
}

/// Approval of a rollout's next step: not by its author, void after an edit, and given by a second
/// person.
async fn approved(ann: &Person<'_>, author: &Person<'_>, bob: &Person<'_>) -> Result<()> {
    let replay = ["policy", "replay", "half-minute@1.1.0", "--json"];
    let report: Value = serde_json::from_str(&author.runs(&replay).await?)?;
    // What the bad version denied, this one would have allowed; it denies nothing.
    let differences = &report["differences"];
    ensure!(differences["newly-allowed"].as_u64() > Some(0), "{report}");
    ensure!(differences["newly-denied"].is_null(), "{report}");
    let digest = report["digest"].as_str().context("a digest")?;
    let edit = ["rollout", "edit", "week-50", "--replay-report", digest];
    ann.runs(&edit).await?;
    let advance = ["rollout", "advance", "week-50", "--force"];
    let first = ann.must_be_approved(&advance).await?;
    let approve = |id: &'_ str| ["approval".to_owned(), "approve".to_owned(), id.to_owned()];
    let own = approve(&first);
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let told = author.is_refused(&own).await?;
    ensure!(told.contains("uploaded themselves"), "{told}");
    bob.runs(&own).await?;
    // An edit is another change: what was approved before does not count for it.
    let wider = ["rollout", "edit", "week-50", "--target-team", "search"];
    ann.runs(&wider).await?;
    let second = ann.must_be_approved(&advance).await?;
    ensure!(second != first, "{second}");
    let whole = approve(&second);
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    bob.runs(&whole).await?;
    let advanced = ann.runs(&advance).await?;
    ensure!(advanced.contains("canary 10%"), "{advanced}");
    Ok(())
}

/// A rollout in steps, whose guardrails look each second.
fn start<'a>(name: &'a str, candidate: &'a str, steps: &[&'a str]) -> Vec<&'a str> {
    let mut start = vec!["rollout", "start", name, "--binding", "roll"];
    start.extend(["--candidate", candidate, "--window", "1s"]);
    start.extend(steps.iter().flat_map(|step| ["--step", *step]));
    start
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_goes_from_its_author_to_every_gateway_and_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let gateways = cluster(&folder, "").await?;
    let ann = Person::new(&gateways[0], "ann", &["administrator"]).await?;
    let bob = Person::new(&gateways[1], "bob", &["approver"]).await?;
    let author = Person::new(&gateways[2], "au", &["policy-author", "approver"]).await?;
    let desk = Desk(tempfile::tempdir()?);
    let service = gateways[0].service("svc", "payments").await?;
    let at = |gateway: &Gateway| service.at(gateway.url());
    let services: Vec<Api> = gateways.iter().map(at).collect();
    let admin = gateways[1].admin();

    // Trust, and the first version.
    let (private, public) = (desk.text("author.pem")?, desk.text("author.pub.pem")?);
    author
        .runs(&["policy", "keygen", "--output", &private])
        .await?;
    let trust = ["policy", "trust", "add", &public, "--name", "au"];
    ann.runs(&trust).await?;
    let require = ["policy", "trust", "require", "1", "--reason", "SEC-9"];
    ann.runs(&require).await?;
    let first = desk.module(&author, &guest("1.0.0"), "first.wasm").await?;
    refused_pushes(&desk, &author, &first).await?;
    push(&desk, &author, &first).await?;
    let binding = desk.text("binding.json")?;
    let body = json!({ "namespaces": ["demo"], "locks": ["roll/**"],
        "policies": [{ "policy": "half-minute", "version": "1.0.0" }] });
    std::fs::write(&binding, body.to_string())?;
    ann.runs(&["policy", "bind", "roll", &binding]).await?;
    ann.runs(&["approval", "rule", "--required", "1"]).await?;
    ensure!(load(&services).await? == 0);

    bad_version(&desk, (&ann, &author, &bob), &services, &admin).await?;

    // A better one in shadow, under load, approved, and tried on a part.
    let next = Guest {
        decide: "(nop) (i32.const 4096)".to_owned(),
        ..guest("1.1.0")
    };
    let next = desk.module(&author, &next, "next.wasm").await?;
    push(&desk, &author, &next).await?;
    ann.runs(&start(
        "week-50",
        "half-minute@1.1.0",
        &["shadow", "10%", "full"],
    ))
    .await?;
    let compared = |shown: &Value| shown["comparison"]["compared"].as_u64() >= Some(10);
    let (_, denied) = under_load(&services, &admin, "week-50", compared).await?;
    ensure!(denied == 0, "{denied} were denied in shadow");
    approved(&ann, &author, &bob).await?;
    ensure!(load(&services).await? == 0);
    ann.runs(&["rollout", "advance", "week-50", "--force"])
        .await?;
    let bound = admin.get("/v1/bindings/roll").await?;
    ensure!(bound.body["policies"][0]["version"] == "1.1.0", "{bound:?}");

    // And back: nobody is asked.
    let back = ["rollout", "rollback", "week-50", "--reason", "not needed"];
    ann.runs(&back).await?;
    let bound = admin.get("/v1/bindings/roll").await?;
    ensure!(bound.body["policies"][0]["version"] == "1.0.0", "{bound:?}");
    ensure!(load(&services).await? == 0);
    every_step_is_recorded(&admin).await?;
    super::cluster::same_ledgers(&gateways).await
}

/// A version that fails for some locks only is approved, and its canary takes it back by itself.
async fn bad_version(
    desk: &Desk,
    (ann, author, bob): (&Person<'_>, &Person<'_>, &Person<'_>),
    services: &[Api],
    admin: &Api,
) -> Result<()> {
    // It fails for every lock but the one of its case, whose name is shorter.
    let bad = Guest {
        decide: "(if (i32.gt_u (i32.load offset=20 (local.get 0)) (i32.const 6))
            (then unreachable)) (i32.const 4096)"
            .to_owned(),
        ..guest("2.0.0")
    };
    let bad = desk.module(author, &bad, "bad.wasm").await?;
    push(desk, author, &bad).await?;
    let steps = ["shadow", "50%", "full"];
    ann.runs(&start("week-49", "half-minute@2.0.0", &steps))
        .await?;
    let canary = ["rollout", "advance", "week-49", "--force"];
    let id = ann.must_be_approved(&canary).await?;
    bob.runs(&["approval", "approve", &id]).await?;
    ann.runs(&canary).await?;
    let is_back = |shown: &Value| shown["stage"] == "rolled-back";
    let (shown, denied) = under_load(services, admin, "week-49", is_back).await?;
    ensure!(denied > 0, "{shown}");
    let changes = shown["changes"].as_array().context("changes")?;
    let last = changes.last().context("a change")?;
    ensure!(last["by"] == "leasehold:rollouts", "{last}");
    let evidence = last["reason"].as_str().unwrap_or_default();
    ensure!(evidence.contains("the candidate fail"), "{last}");
    Ok(())
}

async fn every_step_is_recorded(admin: &Api) -> Result<()> {
    let rows = admin.ledger("operation=governance").await?;
    let text: String = rows.iter().map(Value::to_string).collect();
    for step in [
        "half-minute@1.0.0",
        "half-minute@1.1.0",
        "approvals required: 0 -> 1",
        "rollout week-50",
        "canary 10 %",
        "given",
        "rollout week-49",
        "the candidate fail",
        "not needed",
    ] {
        ensure!(text.contains(step), "{step} is not in the ledger:\n{text}");
    }
    Ok(())
}

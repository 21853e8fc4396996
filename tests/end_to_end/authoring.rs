//! What an author does with a module by the command line: offline, and up to its upload.

use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_domain::limits::MODULE_BYTES_MAX;
use leasehold_policy_guests::ANSWER;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::deny;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::binary;
use serde_json::Value;
use serde_json::json;
use tokio::process::Command;

/// What a command came to.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    errors: String,
}

/// Runs the command line without a gateway and without a key.
async fn leasehold(arguments: &[&str]) -> Result<Ended> {
    let output = Command::new(binary())
        .args(arguments)
        .env_remove("LEASEHOLD_KEY")
        .env("LEASEHOLD_URL", "http://127.0.0.1:1")
        .kill_on_drop(true)
        .output()
        .await?;
    Ok(Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout)?,
        errors: String::from_utf8(output.stderr)?,
    })
}

/// A folder with an author's files.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and returns its path.
    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<String> {
        std::fs::write(self.path(name), bytes)?;
        text_of(&self.path(name))
    }
}

fn text_of(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a path in UTF-8")?.to_owned())
}

/// A policy that traces and denies everything with the code `frozen`.
fn freezing() -> Guest {
    let text = "frozenall is frozenlooking";
    Guest {
        name: "freezing".to_owned(),
        answer: deny((TEXT as u32, 6), (TEXT as u32 + 6, 13)),
        text: text.as_bytes().to_vec(),
        decide: format!(
            "(call $trace (i32.const {}) (i32.const 7)) (i32.const {ANSWER})",
            TEXT + 19
        ),
        ..Guest::default()
    }
}

fn case(name: &str, expect: &Value) -> Value {
    json!({ "name": name, "request": { "operation": "acquire", "lock": "demo/nightly" },
        "principal": { "subject": "svc" }, "expect": expect })
}

#[tokio::test]
async fn check_says_what_a_gateway_would_refuse_and_why() -> Result<()> {
    let desk = Desk::new()?;
    let good = desk.put("good.wasm", freezing().wasm())?;
    let checked = leasehold(&["policy", "check", &good]).await?;
    ensure!(checked.code == Some(0), "{checked:?}");
    for part in [
        "freezing@1.2.3",
        "leasehold:policy@1.0.0",
        "acquire",
        "none",
    ] {
        ensure!(checked.out.contains(part), "{part}: {checked:?}");
    }
    let wasi = r#"(import "wasi:clocks/monotonic-clock@0.2.0"
        (instance (export "now" (func (result u64)))))"#;
    let outside = wasi.to_owned();
    let wasi = Guest {
        outside,
        ..freezing()
    };
    let later = Guest {
        interface: Some(("1.4.0".to_owned(), String::new())),
        ..freezing()
    };
    let large = vec![0; MODULE_BYTES_MAX + 1];
    for (name, bytes, why) in [
        ("wasi.wasm", wasi.wasm(), "no WASI, no clock"),
        (
            "later.wasm",
            later.wasm(),
            "speaks 1.0.0, 1.1.0, 1.2.0 and 1.3.0",
        ),
        ("large.wasm", large, "at most 8388608 are allowed"),
        (
            "text.wasm",
            b"hello".to_vec(),
            "not a WebAssembly component",
        ),
    ] {
        let file = desk.put(name, bytes)?;
        let checked = leasehold(&["policy", "check", &file]).await?;
        ensure!(checked.code == Some(65), "{name}: {checked:?}");
        ensure!(checked.errors.contains(why), "{name}: {checked:?}");
        let checked = leasehold(&["policy", "check", &file, "--json"]).await?;
        let report: Value = serde_json::from_str(&checked.out)?;
        ensure!(report["accepted"] == false, "{name}: {report}");
        let refused = report["refused"].as_str().context("the reason")?;
        ensure!(refused.contains(why), "{name}: {report}");
    }
    let missing = leasehold(&["policy", "check", "/nowhere.wasm"]).await?;
    ensure!(missing.code == Some(64), "{missing:?}");
    Ok(())
}

#[tokio::test]
async fn every_failing_case_is_shown_and_so_is_every_code_that_no_case_reaches() -> Result<()> {
    let desk = Desk::new()?;
    let module = desk.put("module.wasm", freezing().wasm())?;
    let cases = json!({ "codes": ["frozen", "closed"], "cases": [
        case("it denies", &json!({ "deny": { "code": "frozen", "message": "all is" } })),
        case("it allows", &json!({ "allow": { "max_ttl_ms": 1_000 } })),
        case("it is closed", &json!({ "deny": { "code": "closed" } })),
    ] });
    let cases = desk.put("cases.json", cases.to_string())?;
    let tested = leasehold(&["policy", "test", &module, "--cases", &cases]).await?;
    ensure!(tested.code == Some(65), "{tested:?}");
    for part in [
        "ok      it denies",
        "FAILED  it allows",
        "expected  allow, with max_ttl_ms 1000",
        "FAILED  it is closed",
        r#"got       denied with code "frozen", message "all is frozen""#,
        "traced    looking",
        "codes that no case reaches: closed",
        "freezing@1.2.3: 3 cases, 2 failed",
    ] {
        ensure!(tested.out.contains(part), "{part}: {}", tested.out);
    }
    let json = leasehold(&["policy", "test", &module, "--cases", &cases, "--json"]).await?;
    let report: Value = serde_json::from_str(&json.out)?;
    ensure!(report["unreached_codes"] == json!(["closed"]), "{report}");
    ensure!(report["failed"] == 2, "{report}");

    // Cases that fail are not put into a module, and those that pass travel in it.
    let out = text_of(&desk.path("out.wasm"))?;
    let embed = |cases: &str| {
        let (module, cases, out) = (module.clone(), cases.to_owned(), out.clone());
        async move { leasehold(&["policy", "embed", &module, "--cases", &cases, "-o", &out]).await }
    };
    let refused = embed(&cases).await?;
    ensure!(refused.code == Some(65), "{refused:?}");
    ensure!(refused.errors.contains("`it allows` failed"), "{refused:?}");
    ensure!(!desk.path("out.wasm").exists(), "nothing is written");
    let denies = case("it denies", &json!({ "deny": { "code": "frozen" } }));
    let cases = desk.put("cases.json", json!([denies]).to_string())?;
    let embedded = embed(&cases).await?;
    ensure!(embedded.code == Some(0), "{embedded:?}");
    let tested = leasehold(&["policy", "test", &out]).await?;
    ensure!(tested.code == Some(0), "{tested:?}");
    ensure!(tested.out.contains("1 cases, 0 failed"), "{tested:?}");
    Ok(())
}

#[tokio::test]
async fn a_decision_is_explained_and_more_fuel_is_told() -> Result<()> {
    let desk = Desk::new()?;
    let module = desk.put("module.wasm", freezing().wasm())?;
    let cases = json!([case("it denies", &json!({ "deny": { "code": "frozen" } }))]);
    let cases = desk.put("cases.json", cases.to_string())?;
    let question = json!({ "request": { "operation": "acquire", "lock": "demo/a" },
        "principal": { "subject": "svc" } });
    let question = desk.put("question.json", question.to_string())?;
    let by_question = ["policy", "explain", &module, "--question", &question];
    let by_case = [
        "policy",
        "explain",
        &module,
        "--cases",
        &cases,
        "--case",
        "it denies",
    ];
    for arguments in [&by_question[..], &by_case[..]] {
        let explained = leasehold(arguments).await?;
        ensure!(explained.code == Some(0), "{explained:?}");
        for part in ["denied with code \"frozen\"", "traced  looking", "fuel"] {
            ensure!(explained.out.contains(part), "{part}: {explained:?}");
        }
    }

    let slower = Guest {
        decide: format!(
            "(local $n i32) (loop $l
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $l (i32.lt_u (local.get $n) (i32.const 500))))
             {}",
            freezing().decide
        ),
        ..freezing()
    };
    let slower = desk.put("slower.wasm", slower.wasm())?;
    let bench = |new: &str, old: &str| {
        let [new, old, cases] = [new, old, &cases].map(str::to_owned);
        async move {
            let rest = ["--compare", &old, "--cases", &cases, "--repeat", "10"];
            leasehold(&[&["policy", "bench", &new], &rest[..]].concat()).await
        }
    };
    let worse = bench(&slower, &module).await?;
    ensure!(worse.code == Some(65), "{worse:?}");
    ensure!(worse.errors.contains("over 5 % more fuel"), "{worse:?}");
    ensure!(worse.out.contains("it denies"), "{worse:?}");
    for (new, old) in [(&module, &slower), (&module, &module)] {
        let better = bench(new, old).await?;
        ensure!(better.code == Some(0), "{better:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_module_is_uploaded_under_the_name_in_its_manifest() -> Result<()> {
    let gateway = Gateway::start().await?;
    let desk = Desk::new()?;
    let module = desk.put("module.wasm", freezing().wasm())?;
    let other = ["policy", "push", "other@1.0.0", &module];
    let refused = gateway.command_line(ADMIN_KEY, &other).await?;
    ensure!(refused.status.code() == Some(78), "{refused:?}");
    for upload in [
        &["policy", "push", &module][..],
        &["policy", "push", "freezing@1.2.3", &module][..],
    ] {
        let stored = gateway.command_line(ADMIN_KEY, upload).await?;
        ensure!(stored.status.success(), "{stored:?}");
        let said = String::from_utf8(stored.stdout)?;
        ensure!(said.contains("freezing@1.2.3"), "{said}");
    }
    // A module that no gateway would take is not sent.
    let text = desk.put("text.wasm", "hello")?;
    let refused = gateway
        .command_line(ADMIN_KEY, &["policy", "push", &text])
        .await?;
    ensure!(refused.status.code() == Some(65), "{refused:?}");
    let listed = gateway.admin().get("/v1/policies").await?;
    ensure!(
        listed.body["contracts"] == json!(["1.0.0", "1.1.0", "1.2.0", "1.3.0"]),
        "{listed:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_page_for_authors_shows_what_the_commands_print() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("gateway/docs/policies.md"))?;
    let module = text_of(&root.join("policies/modules/quota.wasm"))?;
    let case = "0 forbids a team";
    for arguments in [
        &["policy", "test", &module][..],
        &["policy", "explain", &module, "--case", case][..],
    ] {
        let shown = leasehold(arguments).await?;
        ensure!(shown.code == Some(0), "{shown:?}");
        ensure!(
            page.contains(&shown.out),
            "the page differs:\n{}",
            shown.out
        );
    }
    let desk = Desk::new()?;
    let again = || {
        let mut command = Command::new(binary());
        let new = ["policy", "new", "two-tickets", "--lang", "javascript"];
        command.args(new).current_dir(desk.0.path());
        command
    };
    let shown = again().output().await?;
    let out = String::from_utf8(shown.stdout)?;
    ensure!(page.contains(&out), "the page differs:\n{out}");
    // Nothing that an author wrote is overwritten.
    let refused = again().output().await?;
    ensure!(refused.status.code() == Some(64), "{refused:?}");
    Ok(())
}

/// The module with a custom section, so that it has this many bytes.
fn padded(mut wasm: Vec<u8>, bytes: usize) -> Vec<u8> {
    // Kind, length, and the name's length; a length of five bytes is valid however small it is.
    let more = bytes - wasm.len() - 6;
    wasm.push(0);
    for shift in [0, 7, 14, 21] {
        wasm.push((more >> shift) as u8 | 0x80);
    }
    wasm.push((more >> 28) as u8);
    wasm.resize(bytes, 0);
    wasm
}

#[tokio::test]
async fn the_largest_module_is_stored_and_judges_after_a_restart() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let largest = padded(freezing().wasm(), MODULE_BYTES_MAX);
    ensure!(largest.len() == MODULE_BYTES_MAX);
    let admin = gateway.admin();
    let stored = admin.upload_policy("freezing", "1.2.3", largest).await?;
    ensure!(stored.status == 201, "{stored:?}");
    let binding = json!({ "name": "freezing", "namespaces": ["demo"],
        "policies": [{ "policy": "freezing", "version": "1.2.3" }] });
    let bound = admin.post("/v1/bindings", &binding).await?;
    ensure!(bound.status == 201, "{bound:?}");
    gateway.kill().await?;
    gateway.restart().await?;
    let denied = gateway.admin().acquire("a", 10_000).await?;
    ensure!(denied.body["denial"]["code"] == "frozen", "{denied:?}");
    Ok(())
}

#[tokio::test]
async fn a_recorded_decision_is_asked_again() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let desk = Desk::new()?;
    let module = freezing().wasm();
    let file = desk.put("module.wasm", &module)?;
    let stored = admin.upload_policy("freezing", "1.2.3", module).await?;
    ensure!(stored.status == 201, "{stored:?}");
    let binding = json!({ "name": "freezing", "namespaces": ["demo"], "policies": [
        { "policy": "freezing", "version": "1.2.3", "config": { "a": 1 } }] });
    let bound = admin.post("/v1/bindings", &binding).await?;
    ensure!(bound.status == 201, "{bound:?}");
    let denied = admin.acquire("a", 10_000).await?;
    ensure!(denied.status == 403, "{denied:?}");
    let rows = admin.ledger("verdict=denied").await?;
    let cursor = rows.last().context("the denial's event")?["cursor"].to_string();
    let explain = async |file: &str, more: &[&str]| {
        let arguments = [&["policy", "explain", file, "--event", &cursor], more].concat();
        let output = gateway.command_line(ADMIN_KEY, &arguments).await?;
        let said = [output.stdout, output.stderr].concat();
        anyhow::Ok((output.status.code(), String::from_utf8(said)?))
    };
    let (code, said) = explain(&file, &[]).await?;
    ensure!(code == Some(0), "{said}");
    for part in [
        "traced         looking",
        "decided by     1.2.3, binding freezing",
        "recorded       denied with code \"frozen\"",
        "same answer    yes",
    ] {
        ensure!(said.contains(part), "{part}: {said}");
    }
    // A candidate may say something else.
    let candidate = Guest {
        name: "freezing".to_owned(),
        ..Guest::default()
    };
    let candidate = desk.put("candidate.wasm", candidate.wasm())?;
    let (code, said) = explain(&candidate, &[]).await?;
    ensure!(code == Some(0), "{said}");
    ensure!(said.contains("same answer    no"), "{said}");
    let stranger = desk.put("stranger.wasm", Guest::default().wasm())?;
    let (code, said) = explain(&stranger, &[]).await?;
    ensure!(code == Some(64), "{said}");
    ensure!(said.contains("did not judge it; freezing@1.2.3"), "{said}");

    // The configuration of that time is needed, wherever it comes from.
    let unbound = admin.delete("/v1/bindings/freezing").await?;
    ensure!(unbound.status == 200, "{unbound:?}");
    let (code, said) = explain(&file, &[]).await?;
    ensure!(code == Some(65) && said.contains("--config"), "{said}");
    let other = desk.put("other.json", r#"{ "a": 2 }"#)?;
    let (code, said) = explain(&file, &["--config", &other]).await?;
    ensure!(code == Some(65) && said.contains("digest"), "{said}");
    let same = desk.put("same.json", r#"{ "a": 1 }"#)?;
    let (code, said) = explain(&file, &["--config", &same]).await?;
    ensure!(
        code == Some(0) && said.contains("same answer    yes"),
        "{said}"
    );
    Ok(())
}

//! What a gateway gives to people who do not trust it, checked without it: by the command line, by the
//! program that is for that alone, and by an implementation that is not ours.

mod witness;

use std::path::Path;
use std::path::PathBuf;
use std::process::Output;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::binary;
use leasehold_tests::other_binary;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::python::install;
use super::python::run;

/// A gateway with events, and a folder for what an auditor keeps.
struct Auditor {
    gateway: Gateway,
    folder: TempDir,
    log_key: String,
}

impl Auditor {
    async fn start() -> Result<Self> {
        let gateway = Gateway::start().await?;
        let told = gateway.admin().get("/v1/audit/log-key").await?;
        let log_key = told.body["keys"][0].as_str().context("a key")?.to_owned();
        let origin = told.body["origin"].as_str().context("a name")?;
        ensure!(log_key.starts_with(&format!("{origin}+")), "{told:?}");
        Ok(Self {
            gateway,
            folder: tempfile::tempdir()?,
            log_key,
        })
    }

    /// Some events: each lock is granted, and given back.
    async fn use_locks(&self, count: usize, round: &str) -> Result<()> {
        let api = self
            .gateway
            .service(&format!("svc-{round}"), "team")
            .await?;
        for n in 0..count {
            let name = format!("{round}/{n}");
            let grant = api.acquire(&name, 60_000).await?;
            api.with_lease(&name, "release", grant.text_of("lease_id")?)
                .await?;
        }
        Ok(())
    }

    /// Has the command line write a file.
    async fn write(&self, name: &str, arguments: &[&str]) -> Result<PathBuf> {
        let file = self.folder.path().join(name);
        let path = file.to_str().context("a path in UTF-8")?;
        let arguments = [&["audit"], arguments, &["--output", path]].concat();
        let output = self.gateway.command_line(ADMIN_KEY, &arguments).await?;
        ensure!(output.status.success(), "{arguments:?}: {output:?}");
        Ok(file)
    }

    /// Verifies a file, by the command line and by the program that is for that alone: both say the
    /// same. Neither is told of a gateway.
    async fn verify(&self, file: &Path, earlier: Option<&Path>) -> Result<(i32, String)> {
        let mut trust = vec!["--log-key", &self.log_key];
        if let Some(earlier) = earlier {
            trust.extend(["--earlier", earlier.to_str().context("a path in UTF-8")?]);
        }
        let mut ours = Command::new(binary());
        ours.args(["audit", "verify"]);
        let mut answers = Vec::new();
        for mut program in [ours, Command::new(other_binary("leasehold-evidence"))] {
            let output = program.arg(file).args(&trust).output().await?;
            answers.push((output.status.code().context("a code")?, said(&output)));
        }
        let by_ours = answers.remove(0);
        let by_other = answers.remove(0);
        let problem = by_ours.1.strip_prefix("leasehold: ").unwrap_or(&by_ours.1);
        ensure!(
            by_ours.0 == by_other.0 && problem == by_other.1,
            "{by_ours:?} {by_other:?}"
        );
        Ok(by_other)
    }
}

fn said(output: &Output) -> String {
    let [out, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{errors}").trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_auditor_keeps_is_verified_without_the_gateway() -> Result<()> {
    let mut auditor = Auditor::start().await?;
    auditor.use_locks(150, "first").await?;
    let earlier = auditor.write("earlier.txt", &["checkpoint"]).await?;
    auditor.use_locks(150, "second").await?;
    // The same tree goes on after a restart, under the same key.
    assert_eq!(auditor.gateway.terminate().await?, Some(0));
    auditor.gateway.restart().await?;
    let since = earlier.to_str().context("a path in UTF-8")?;
    let export = auditor.write("export.jsonl", &["export"]).await?;
    let range = &["export", "--first", "250", "--last", "300"];
    let some = auditor.write("part.jsonl", range).await?;
    let proof = auditor.write("event.tlog-proof", &["prove", "260"]).await?;
    let since = &["prove", "--since", since];
    let growth = auditor.write("growth.json", since).await?;
    // An answer says at which checkpoint it was complete.
    let page = auditor
        .gateway
        .admin()
        .get("/v1/audit/events?limit=1")
        .await?;
    let part = &page.body["ledgers"][0];
    let answered = auditor.folder.path().join("answered.txt");
    std::fs::write(
        &answered,
        part["checkpoint"].as_str().context("a checkpoint")?,
    )?;
    let said = auditor.verify(&answered, Some(&earlier)).await?;
    assert_eq!(said.0, 0, "{said:?}");
    assert!(
        said.1.contains(&format!("{} events", part["complete_to"])),
        "{said:?} {part}"
    );
    // Nobody needs the gateway from here on.
    assert_eq!(auditor.gateway.terminate().await?, Some(0));
    for (file, earlier, expected) in [
        (&export, None, "no earlier checkpoint and no cosignature"),
        (&export, Some(&*earlier), "the log only grew since"),
        (&export, None, "these are all of the events"),
        (&some, None, "intact: events 250 to 300 of leasehold/"),
        (&proof, None, "the event is entry 259 of leasehold/"),
        (&growth, Some(&*earlier), "only grew"),
        (&earlier, None, "signed: a checkpoint of leasehold/"),
    ] {
        let (code, said) = auditor.verify(file, earlier).await?;
        assert_eq!(code, 0, "{}: {said}", file.display());
        assert!(said.contains(expected), "{}: {said}", file.display());
    }
    changed_files(&auditor, &export).await
}

/// What was changed is named, and never passes.
async fn changed_files(auditor: &Auditor, export: &Path) -> Result<()> {
    let text = std::fs::read_to_string(export)?;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut edited: Vec<String> = lines.iter().map(ToString::to_string).collect();
    edited[100] = edited[100].replace("svc-first", "svc-other");
    ensure!(edited[100] != lines[100], "{}", lines[100]);
    let deleted = [&lines[..100], &lines[101..]].concat().concat();
    let mut swapped = lines.clone();
    swapped.swap(100, 101);
    let cut = lines[..400].concat();
    let forged = lines.concat().replacen("\\n\\n— ", "\\n\\n— x", 1);
    for (name, text, expected) in [
        (
            "edited",
            edited.concat(),
            "line 101, event 100: it was changed",
        ),
        (
            "deleted",
            deleted,
            "event 100: event 101 stands in its place",
        ),
        (
            "swapped",
            swapped.concat(),
            "event 100: event 101 stands in its place",
        ),
        ("cut", cut, "something else stands in its place"),
        ("forged", forged, "none of the given keys has signed it"),
    ] {
        let file = auditor.folder.path().join(name);
        std::fs::write(&file, text)?;
        let (code, said) = auditor.verify(&file, None).await?;
        assert_eq!(code, 65, "{name}: {said}");
        assert!(said.contains(expected), "{name}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn whose_signature_counts_is_for_who_verifies_to_say() -> Result<()> {
    let auditor = Auditor::start().await?;
    let checkpoint = auditor.write("checkpoint.txt", &["checkpoint"]).await?;
    let file = checkpoint.to_str().context("a path in UTF-8")?;
    let none = auditor
        .gateway
        .command_line(ADMIN_KEY, &["audit", "verify", file])
        .await?;
    assert_eq!(none.status.code(), Some(64), "{none:?}");
    assert!(said(&none).contains("--log-key is missing"), "{none:?}");
    let other = Auditor::start().await?;
    let wrong = ["audit", "verify", file, "--log-key", &other.log_key];
    let wrong = auditor.gateway.command_line(ADMIN_KEY, &wrong).await?;
    assert_eq!(wrong.status.code(), Some(65), "{wrong:?}");
    Ok(())
}

/// Makes a private key as operators do.
async fn key_file(folder: &Path, name: &str) -> Result<String> {
    let file = folder.join(name);
    let mut openssl = Command::new("openssl");
    openssl.args(["genpkey", "-algorithm", "ed25519", "-out"]);
    run(openssl.arg(&file), std::time::Duration::from_secs(30)).await?;
    Ok(file.to_str().context("a path in UTF-8")?.to_owned())
}

async fn public_keys(gateway: &Gateway) -> Result<Vec<String>> {
    let told = gateway.admin().get("/v1/audit/log-key").await?;
    Ok(serde_json::from_value(told.body["keys"].clone())?)
}

/// What the operations page says of replacing a key, and of one that was stolen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_replaced_without_a_break_and_dropped_after_a_theft() -> Result<()> {
    let keys = tempfile::tempdir()?;
    let old = key_file(keys.path(), "old.pem").await?;
    let new = key_file(keys.path(), "new.pem").await?;
    let config = |files: &[&str]| {
        format!("[audit]\nlog_name = \"locks.example.com\"\nlog_key_files = {files:?}\n")
    };
    let data_dir = keys.path().join("data");
    let start = async |files: &[&str]| {
        Gateway::start_with(GatewayOptions {
            data_dir: Some(data_dir.clone()),
            config: config(files),
            ..GatewayOptions::default()
        })
        .await
    };
    let mut auditor = Auditor {
        gateway: start(&[&old]).await?,
        folder: tempfile::tempdir()?,
        log_key: String::new(),
    };
    let old_key = public_keys(&auditor.gateway).await?.remove(0);
    ensure!(old_key.starts_with("locks.example.com/"), "{old_key}");
    let kept = auditor.write("kept.txt", &["checkpoint"]).await?;
    auditor.use_locks(3, "a").await?;
    // Both sign, and who has either goes on.
    assert_eq!(auditor.gateway.terminate().await?, Some(0));
    auditor.gateway = start(&[&old, &new]).await?;
    let both = public_keys(&auditor.gateway).await?;
    assert_eq!(both[0], old_key);
    let since = kept.to_str().context("a path in UTF-8")?.to_owned();
    let growth = ["prove", "--since", &since];
    let growth = auditor.write("growth.json", &growth).await?;
    let checkpoint = auditor.write("checkpoint.txt", &["checkpoint"]).await?;
    for key in &both {
        auditor.log_key.clone_from(key);
        assert_eq!(auditor.verify(&checkpoint, None).await?.0, 0, "{key}");
    }
    auditor.log_key.clone_from(&old_key);
    assert_eq!(auditor.verify(&growth, Some(&kept)).await?.0, 0);
    // The old one was stolen: what it signs counts no more for who has only the new one.
    assert_eq!(auditor.gateway.terminate().await?, Some(0));
    auditor.gateway = start(&[&new]).await?;
    auditor.log_key.clone_from(&both[1]);
    let newest = auditor.write("newest.txt", &["checkpoint"]).await?;
    assert_eq!(auditor.verify(&newest, None).await?.0, 0);
    assert_eq!(auditor.verify(&kept, None).await?.0, 65);
    Ok(())
}

#[tokio::test]
async fn what_the_ledger_has_not_is_not_proved() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    for (path, status, part) in [
        ("proof?event=0", 404, "has no event 0"),
        ("proof?event=1000000", 404, "has no event 1000000"),
        ("consistency?from_size=0", 422, "from_size"),
        ("consistency?from_size=1000000", 404, "not 1000000"),
        ("export?first=2&last=1", 422, "last"),
        ("export?first=1000000", 404, "has no event 1000000"),
        ("checkpoint?store=none", 404, "none"),
    ] {
        let answer = api.get(&format!("/v1/audit/{path}")).await?;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.text.contains(part), "{path}: {answer:?}");
    }
    Ok(())
}

/// The folder of the programs that are not ours.
async fn independent(name: &str) -> Result<PathBuf> {
    static PROGRAMS: OnceCell<PathBuf> = OnceCell::const_new();
    // It asks for a newer Python than it needs.
    let programs = PROGRAMS.get_or_try_init(|| install("evidence", &["--ignore-requires-python"]));
    Ok(programs.await?.join(name))
}

/// Writes the parts of a `.tlog-proof` as that program takes them: entry, hashes, checkpoint.
fn take_apart(folder: &Path, proof: &Path) -> Result<[PathBuf; 3]> {
    use base64::Engine as _;
    let text = std::fs::read_to_string(proof)?;
    let (head, checkpoint) = text.split_once("\n\n").context("a checkpoint")?;
    let mut lines = head.lines().skip(1);
    let entry = lines.next().and_then(|line| line.strip_prefix("extra "));
    let entry = base64::prelude::BASE64_STANDARD.decode(entry.context("an entry")?)?;
    let hashes: Vec<&str> = lines.skip(1).collect();
    let files = ["entry", "hashes", "checkpoint"].map(|name| folder.join(name));
    std::fs::write(&files[0], entry)?;
    std::fs::write(&files[1], hashes.join("\n") + "\n")?;
    std::fs::write(&files[2], checkpoint)?;
    Ok(files)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_implementation_that_is_not_ours_verifies_the_log() -> Result<()> {
    let auditor = Auditor::start().await?;
    auditor.use_locks(300, "a").await?;
    let earlier = auditor.write("earlier.txt", &["checkpoint"]).await?;
    auditor.use_locks(20, "b").await?;
    let proof = auditor.write("event.tlog-proof", &["prove", "300"]).await?;
    let folder = auditor.folder.path();
    let [entry, hashes, checkpoint] = take_apart(folder, &proof)?;
    let program = independent("aics-tlog").await?;
    let within = std::time::Duration::from_secs(60);
    let mut inclusion = Command::new(&program);
    inclusion.args([
        "verify-inclusion",
        "--index",
        "299",
        "--log-key",
        &auditor.log_key,
    ]);
    inclusion
        .arg("--leaf")
        .arg(&entry)
        .arg("--proof")
        .arg(&hashes);
    inclusion.arg("--checkpoint").arg(&checkpoint);
    let told: Value = serde_json::from_str(&run(&mut inclusion, within).await?)?;
    assert_eq!(
        (&told["ok"], &told["checkpoint_verified"]),
        (&true.into(), &true.into()),
        "{told}"
    );

    let since = earlier.to_str().context("a path in UTF-8")?;
    let growth = auditor
        .write("growth.json", &["prove", "--since", since])
        .await?;
    let growth: Value = serde_json::from_str(&std::fs::read_to_string(growth)?)?;
    let listed = growth["hashes"].as_array().context("hashes")?.iter();
    let listed: Vec<&str> = listed.filter_map(Value::as_str).collect();
    std::fs::write(&hashes, listed.join("\n") + "\n")?;
    let old = std::fs::read_to_string(&earlier)?;
    let new = growth["checkpoint"].as_str().context("a checkpoint")?;
    let part = |text: &str, line: usize| text.lines().nth(line).unwrap_or_default().to_owned();
    let mut consistency = Command::new(&program);
    consistency
        .args([
            "verify-consistency",
            "--old-size",
            &part(&old, 1),
            "--new-size",
            &part(new, 1),
        ])
        .args(["--old-root", &part(&old, 2), "--new-root", &part(new, 2)])
        .arg("--proof")
        .arg(&hashes);
    let told: Value = serde_json::from_str(&run(&mut consistency, within).await?)?;
    assert_eq!(told["ok"], true, "{told}");
    // It refuses what is not so.
    consistency.args(["--old-root", &part(new, 2)]);
    assert!(run(&mut consistency, within).await.is_err());
    Ok(())
}

//! The SDK for policies in Rust: its README, followed literally, and what it does with a panic.

use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::binary;
use serde_json::json;
use tokio::process::Command;

use super::BUILD_WITHIN;
use super::commands;
use super::path;
use super::programs;

const SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk/policy");

/// The versions that this workspace is built of, so that a new one changes nothing here.
fn lock() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock")
}

/// The files that a README shows: each has its name in backticks before its block.
fn shown<'r>(readme: &'r str, file: &str) -> Result<&'r str> {
    let named = readme.split_once(&format!("\n`{file}`"));
    let (_, rest) = named.with_context(|| file.to_owned())?;
    let (_, block) = rest.split_once("```").context("a block")?;
    let (block, _) = block.split_once("```").context("its end")?;
    let (_, text) = block.split_once('\n').context("its text")?;
    Ok(text)
}

#[tokio::test]
async fn the_readme_of_the_sdk_makes_a_policy() -> Result<()> {
    let gateway = Gateway::start().await?;
    let desk = tempfile::tempdir()?;
    let bin = desk.path().join("bin");
    std::fs::create_dir(&bin)?;
    programs(&bin)?;
    let readme = std::fs::read_to_string(format!("{SDK}/README.md"))?;
    let commands = commands(&readme);
    let (begin, rest) = commands.split_once('\n').context("commands")?;
    let begin = Command::new("sh")
        .args(["-exc", begin])
        .current_dir(desk.path())
        .output()
        .await?;
    ensure!(begin.status.success(), "{begin:?}");
    let project = desk.path().join("office-hours");
    for file in [
        "Cargo.toml",
        ".cargo/config.toml",
        "src/lib.rs",
        "cases.json",
        "binding.json",
    ] {
        let text = shown(&readme, file)?.replace("../leasehold/sdk/policy", SDK);
        std::fs::write(project.join(file), text)?;
    }
    std::fs::copy(lock(), project.join("Cargo.lock"))?;
    let reader = Command::new("sh")
        .args(["-exc", rest])
        .current_dir(&project)
        .env("PATH", path(&bin)?)
        .env("LEASEHOLD_URL", gateway.url())
        .env("LEASEHOLD_KEY", ADMIN_KEY)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    let reader = tokio::time::timeout(BUILD_WITHIN, reader).await??;
    let told = String::from_utf8_lossy(&reader.stdout);
    let errors = String::from_utf8_lossy(&reader.stderr);
    ensure!(reader.status.success(), "{told}\n{errors}");
    ensure!(told.contains("test result: ok. 1 passed"), "{told}");
    ensure!(told.contains("2 cases, 0 failed"), "{told}");
    ensure!(!told.contains("no case reaches"), "{told}");
    ensure!(told.contains("binding     office-hours"), "{told}");
    Ok(())
}

/// A policy of the SDK that panics.
const PANICKING: &str = r#"
use leasehold_policy_sdk::*;

struct Panicking;

impl Policy for Panicking {
    type Config = u8;

    fn manifest() -> Manifest {
        Manifest {
            name: "panicking",
            version: "1.0.0",
            operations: &[Operation::Acquire],
            needs_lock: false,
            needs_usage: false,
            config_schema: "{}",
            reads: None,
        }
    }

    fn decide(_: &Request, _: &Principal, _: &Facts, config: &u8) -> Result<Verdict, String> {
        assert_eq!(*config, 7, "the rule needs a seven");
        Ok(Verdict::allow())
    }
}

export_policy!(Panicking);
"#;

#[tokio::test]
async fn the_text_of_a_panic_in_rust_is_kept() -> Result<()> {
    let desk = tempfile::tempdir()?;
    let source = desk.path().join("src");
    std::fs::create_dir(&source)?;
    std::fs::write(source.join("lib.rs"), PANICKING)?;
    let manifest = format!(
        "[package]\nname = \"panicking\"\nedition = \"2024\"\n[workspace]\n\
         [lib]\ncrate-type = [\"cdylib\"]\n\
         [dependencies]\nleasehold-policy-sdk = {{ path = {:?} }}\n\
         [profile.release]\nopt-level = 3\nlto = \"fat\"\ncodegen-units = 1\npanic = \"abort\"\n\
         strip = true\n",
        SDK
    );
    std::fs::write(desk.path().join("Cargo.toml"), manifest)?;
    std::fs::copy(lock(), desk.path().join("Cargo.lock"))?;
    let pack = Command::new(binary().with_file_name("pack"))
        .arg("project")
        .arg(desk.path())
        .kill_on_drop(true)
        .output();
    let pack = tokio::time::timeout(BUILD_WITHIN, pack).await??;
    ensure!(pack.status.success(), "{pack:?}");
    let module = String::from_utf8(pack.stdout)?;
    for (config, expected) in [
        (6, "it traced last: panicked at src/lib.rs"),
        (6, "the rule needs a seven"),
        (7, "allowed, with no limits"),
    ] {
        let question = json!({ "config": config, "principal": { "subject": "svc" },
            "request": { "operation": "acquire", "lock": "demo/a" } });
        let file = desk.path().join("question.json");
        std::fs::write(&file, question.to_string())?;
        let explained = Command::new(binary())
            .args(["policy", "explain", module.trim(), "--question"])
            .arg(&file)
            .output()
            .await?;
        let told = String::from_utf8(explained.stdout)?;
        ensure!(told.contains(expected), "{told}");
    }
    Ok(())
}

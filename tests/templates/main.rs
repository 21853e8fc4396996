//! The projects that `leasehold policy new` writes: what each README says is done literally, with the
//! tools that it names, and the module that comes out judges requests in a gateway.
//!
//! One difference: where the installed Rust has no target for WebAssembly, `pack` builds the Rust
//! project with the compiler that it builds the stock policies with.

mod sdk;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::binary;
use serde_json::Value;
use serde_json::json;
use tokio::process::Command;

/// How long a project may take, its tools and a standard library for WebAssembly included.
const BUILD_WITHIN: Duration = Duration::from_secs(900);
/// A name whose form in Rust is another one.
const NAME: &str = "two-tickets";
/// The contract that every project is written for: the newest one.
const CONTRACT: &str = "1.3.0";
/// The inputs that every project declares.
const READS: [&str; 3] = ["request.lock", "request.labels", "principal.subject"];

/// The commands that a README tells its reader to run.
fn commands(readme: &str) -> String {
    let blocks = readme.split("```sh\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split_once("```").map(|(block, _)| block));
    blocks.collect()
}

/// Where the reader's programs are: those of this build go first.
#[expect(
    clippy::disallowed_methods,
    reason = "where programs are is not the gateway's configuration"
)]
fn path(desk: &Path) -> Result<String> {
    let path = std::env::var("PATH").context("PATH")?;
    Ok(format!("{}:{path}", desk.display()))
}

fn script(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, format!("#!/bin/sh\nset -e\n{text}"))?;
    Ok(std::fs::set_permissions(
        file,
        PermissionsExt::from_mode(0o755),
    )?)
}

/// A folder with the programs of this build, and with a Rust that can build for WebAssembly.
fn programs(folder: &Path) -> Result<()> {
    std::os::unix::fs::symlink(binary(), folder.join("leasehold"))?;
    let pack = binary().with_file_name("pack");
    ensure!(
        pack.is_file(),
        "cargo builds {} with its test",
        pack.display()
    );
    script(&folder.join("rustup"), "")?;
    let release = "target/wasm32-unknown-unknown/release";
    // The packer runs cargo itself.
    let build = format!(
        "PATH=${{PATH#*:}}\nif [ \"$1\" = test ]; then exec cargo test; fi\nmkdir -p {release}\ncp \"$({} project .)\" {release}/\n",
        pack.display()
    );
    script(&folder.join("cargo"), &build)
}

/// Writes a project, and does what its README says. Returns the project's directory.
async fn follow(language: &str, gateway: &Gateway, desk: &Path) -> Result<PathBuf> {
    let bin = desk.join("bin");
    std::fs::create_dir(&bin)?;
    programs(&bin)?;
    let new = ["policy", "new", NAME, "--lang", language];
    let new = Command::new(binary()).args(new).current_dir(desk).output();
    let new = new.await?;
    ensure!(new.status.success(), "{new:?}");
    let project = desk.join(NAME);
    // The versions that this workspace is built of, so that a new one changes nothing here.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    std::fs::copy(lock, project.join("Cargo.lock"))?;
    let readme = std::fs::read_to_string(project.join("README.md"))?;
    let commands = commands(&readme);
    ensure!(commands.lines().count() >= 6, "{commands}");
    let reader = Command::new("sh")
        .args(["-exc", &commands])
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
    ensure!(reader.status.success(), "{language}:\n{told}\n{errors}");
    ensure!(told.contains("6 cases, 0 failed"), "{language}:\n{told}");
    ensure!(!told.contains("no case reaches"), "{language}:\n{told}");
    Ok(project)
}

/// The module's contract, size and digest, and that it imports nothing, are what `check` says.
async fn checked(module: &Path) -> Result<Value> {
    let output = Command::new(binary())
        .args(["policy", "check", "--json"])
        .arg(module)
        .output()
        .await?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

async fn is_a_policy(language: &str) -> Result<()> {
    let gateway = Gateway::start().await?;
    let desk = tempfile::tempdir()?;
    let project = follow(language, &gateway, desk.path()).await?;
    let report = checked(&project.join(format!("{NAME}.wasm"))).await?;
    ensure!(report["policy"] == NAME, "{report}");
    ensure!(report["contract"] == CONTRACT, "{report}");
    ensure!(report["cases"] == 6, "{report}");
    ensure!(report["inputs"]["fields"] == json!(READS), "{report}");

    // It is bound as advisory by now; the README says what makes it refuse.
    let admin = gateway.admin();
    let acquire = async |lock: &str, labels: Value| {
        let body = json!({ "ttl_ms": 60_000, "labels": labels });
        let path = format!("/v1/namespaces/demo/locks/{lock}:acquire");
        admin.post(&path, &body).await
    };
    let advised = acquire("deploy/a", json!({})).await?;
    ensure!(advised.status == 201, "{advised:?}");
    let file = project.join("binding.json");
    let mut binding: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    binding["policies"][0]["enforcement"] = json!("mandatory");
    binding["policies"][0]["config"]["max_leases"] = json!(2);
    std::fs::write(&file, binding.to_string())?;
    let file = file.to_str().context("a path in UTF-8")?;
    let bind = ["policy", "bind", NAME, file];
    let bound = gateway.command_line(ADMIN_KEY, &bind).await?;
    ensure!(bound.status.success(), "{bound:?}");
    let ticket = |ticket: &str| json!({ "ticket": ticket });
    for (lock, labels, code) in [
        ("deploy/b", json!({}), Some("no-ticket")),
        ("deploy/b", ticket("DEV-1"), Some("bad-ticket")),
        ("deploy/b", ticket("OPS-1"), None),
        ("deploy/c", ticket("OPS-1"), None),
        // The verdict's counter is full.
        ("deploy/d", ticket("OPS-1"), Some("ticket-in-use")),
        ("deploy/d", ticket("OPS-2"), None),
    ] {
        let answer = acquire(lock, labels).await?;
        let Some(code) = code else {
            ensure!(answer.status == 201, "{language}, {lock}: {answer:?}");
            continue;
        };
        ensure!(answer.status == 403, "{language}, {lock}: {answer:?}");
        ensure!(answer.body["denial"]["policy"] == NAME, "{answer:?}");
        ensure!(answer.body["denial"]["code"] == code, "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_project_in_rust_is_a_policy() -> Result<()> {
    is_a_policy("rust").await
}

#[tokio::test]
async fn a_project_in_c_is_a_policy() -> Result<()> {
    is_a_policy("c").await
}

#[tokio::test]
async fn a_project_in_assemblyscript_is_a_policy() -> Result<()> {
    is_a_policy("assemblyscript").await
}

#[tokio::test]
async fn a_project_in_javascript_is_a_policy() -> Result<()> {
    is_a_policy("javascript").await
}

#[tokio::test]
async fn a_project_in_zig_is_a_policy() -> Result<()> {
    is_a_policy("zig").await
}

#[tokio::test]
async fn wasi_that_a_tool_leaves_in_a_module_is_stubbed() -> Result<()> {
    let desk = tempfile::tempdir()?;
    programs(desk.path())?;
    let script = format!(
        "leasehold policy new {NAME} --lang javascript; cd {NAME}; npm install
         sed -i 's/--stub-wasi //; s/--cases/--stub-wasi --cases/' package.json
         npx componentize-qjs --wit wit/policy.wit --js policy.js --world policy --sync \\
           --opt-size --output component.wasm
         ! leasehold policy check component.wasm
         npm run build
         npm test"
    );
    let reader = Command::new("sh")
        .args(["-exc", &script])
        .current_dir(desk.path())
        .env("PATH", path(desk.path())?)
        .kill_on_drop(true)
        .output();
    let reader = tokio::time::timeout(BUILD_WITHIN, reader).await??;
    let told = String::from_utf8_lossy(&reader.stdout);
    let errors = String::from_utf8_lossy(&reader.stderr);
    ensure!(reader.status.success(), "{told}\n{errors}");
    ensure!(errors.contains("imports `wasi:"), "{errors}");
    ensure!(told.contains("6 cases, 0 failed"), "{told}\n{errors}");
    Ok(())
}

/// A language that is offered has its test above.
#[tokio::test]
async fn every_language_that_is_offered_is_built() -> Result<()> {
    let help = Command::new(binary())
        .args(["policy", "new", "--help"])
        .output()
        .await?;
    let help = String::from_utf8(help.stdout)?;
    let source = include_str!("main.rs");
    let values = help
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "));
    let offered: Vec<&str> = values.filter_map(|line| line.split(':').next()).collect();
    ensure!(offered.len() == 5, "{help}");
    for language in offered {
        let test = format!("is_a_policy(\"{language}\")");
        ensure!(source.contains(&test), "{language}");
    }
    Ok(())
}

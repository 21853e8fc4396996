//! The document that describes the API, against the API: schemathesis finds no difference, and a
//! client that a stock generator makes of the document takes a lock.
//!
//! Both are Python programs.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::python::install;
use super::python::run;

/// How long making a client, and a use of it, may take.
const GENERATE_WITHIN: Duration = Duration::from_secs(300);
/// How long a comparison may take.
const COMPARE_WITHIN: Duration = Duration::from_secs(480);
/// Requests that are made up for each operation, besides the ones that cover each limit.
const EXAMPLES: &str = "25";

fn contract() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contract")
}

/// The folder of the installed programs.
async fn programs() -> Result<&'static Path> {
    static PROGRAMS: OnceCell<PathBuf> = OnceCell::const_new();
    PROGRAMS
        .get_or_try_init(|| install("contract", &[]))
        .await
        .map(PathBuf::as_path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_no_difference() -> Result<()> {
    let programs = programs().await?;
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(programs.join("schemathesis"));
    command
        .current_dir(folder.path())
        .arg("--config-file")
        .arg(contract().join("schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", gateway.url())])
        .args(["--header", &format!("Authorization: Bearer {ADMIN_KEY}")])
        // The same requests each time: a difference is found again.
        .args(["--seed", "20261129", "--max-examples", EXAMPLES])
        // How many made-up values the tool throws away itself says nothing about the gateway.
        .args(["--suppress-health-check", "filter_too_much"])
        .args(["--warnings", "off", "--no-color"]);
    let said = run(&mut command, COMPARE_WITHIN).await?;
    // A run that tested little would find nothing, too.
    let tested = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Tested: "));
    let tested: usize = tested.context("what was tested")?.trim().parse()?;
    ensure!(tested >= 40, "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_client_takes_a_lock() -> Result<()> {
    let programs = programs().await?;
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let document = folder.path().join("openapi.json");
    let text = gateway.api(None).get("/openapi.json").await?.text;
    std::fs::write(&document, text)?;
    let options = folder.path().join("options.yaml");
    std::fs::write(
        &options,
        "package_name_override: leasehold_client\npost_hooks: []\n",
    )?;
    let made = folder.path().join("made");
    let mut generate = Command::new(programs.join("openapi-python-client"));
    generate
        .arg("generate")
        .arg("--path")
        .arg(&document)
        .arg("--config")
        .arg(&options)
        .args(["--meta", "none", "--output-path"])
        .arg(made.join("leasehold_client"));
    std::fs::create_dir_all(&made)?;
    run(&mut generate, GENERATE_WITHIN).await?;
    let mut take = Command::new(programs.join("python"));
    take.arg(contract().join("take_a_lock.py"))
        .arg(&made)
        .env("LEASEHOLD_URL", gateway.url())
        .env("LEASEHOLD_KEY", ADMIN_KEY);
    let said = run(&mut take, GENERATE_WITHIN).await?;
    ensure!(said.contains("took and released"), "{said}");
    Ok(())
}

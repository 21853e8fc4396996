//! `leasehold run`: a command under a lock.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::binary;
use tokio::process::Child;
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(30);

fn run(gateway: &Gateway, lock: &str, options: &[&str], script: &str) -> Result<Child> {
    let mut command = Command::new(binary());
    command
        .args(["run", "--lock", lock])
        .args(options)
        .arg("--")
        .args(["sh", "-c", script]);
    command
        .env("LEASEHOLD_URL", gateway.url())
        .env("LEASEHOLD_KEY", ADMIN_KEY);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Ok(command.spawn()?)
}

async fn exists(path: &Path) -> Result<()> {
    let there = async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    Ok(tokio::time::timeout(PATIENCE, there).await?)
}

#[tokio::test]
async fn the_second_run_waits_for_the_first_and_codes_pass_through() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let (started, go) = (folder.path().join("started"), folder.path().join("go"));
    let script = format!(
        "touch {}; while [ ! -e {} ]; do sleep 0.05; done; echo first $LEASEHOLD_FENCING_TOKEN",
        started.display(),
        go.display()
    );
    let first = run(&gateway, "demo/nightly", &[], &script)?;
    exists(&started).await?;
    let second = run(
        &gateway,
        "demo/nightly",
        &[],
        "echo second $LEASEHOLD_FENCING_TOKEN; exit 7",
    )?;
    let api = gateway.admin();
    let queued = async {
        loop {
            let view = api.get("/v1/namespaces/demo/locks/nightly").await?;
            if view.body["queue"]
                .as_array()
                .is_some_and(|queue| queue.len() == 1)
            {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, queued).await??;
    std::fs::write(&go, "")?;
    let first = tokio::time::timeout(PATIENCE, first.wait_with_output()).await??;
    let second = tokio::time::timeout(PATIENCE, second.wait_with_output()).await??;
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    assert_eq!(second.status.code(), Some(7), "{second:?}");
    let token = |output: &std::process::Output| -> Option<u64> {
        String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()
    };
    assert!(token(&second) > token(&first), "{first:?} {second:?}");
    Ok(())
}

#[tokio::test]
async fn a_revoked_lease_ends_the_child() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let started = folder.path().join("started");
    let script = format!("touch {}; sleep 600", started.display());
    let child = run(&gateway, "demo/long", &["--ttl", "3s"], &script)?;
    exists(&started).await?;
    let body = serde_json::json!({ "reason": "maintenance, CHG-1", "grace_ms": 0,
        "labels": { "ticket": "CHG-1", "approved_by": "boss" } });
    let operator = gateway.principal("ops", "ops", &["operator"]).await?;
    let revoked = operator
        .post("/v1/namespaces/demo/locks/long:revoke", &body)
        .await?;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(76), "{output:?}");
    Ok(())
}

/// Wall-clock time as the child writes it down.
async fn wall_ns() -> Result<u128> {
    let output = Command::new("date").arg("+%s%N").output().await?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

#[tokio::test]
async fn the_child_is_gone_before_the_lease_when_the_gateway_dies() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let (started, ticks) = (folder.path().join("started"), folder.path().join("ticks"));
    // Stubborn: ignores SIGTERM, and writes down that it lives.
    let script = format!(
        "trap '' TERM; touch {}; while true; do date +%s%N >> {}; sleep 0.02; done",
        started.display(),
        ticks.display()
    );
    let child = run(&gateway, "demo/stubborn", &["--ttl", "3s"], &script)?;
    exists(&started).await?;
    gateway.kill().await?;
    let killed = wall_ns().await?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(76), "{output:?}");
    let last = std::fs::read_to_string(&ticks)?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(std::fs::read_to_string(&ticks)?, last, "the child lives on");

    // The last confirmed renewal was sent before the gateway died, so the lease lasted no longer
    // than its ttl from then.
    let complete = last.rsplit_once('\n').context("a whole line")?.0;
    let last: u128 = complete.lines().last().context("a tick")?.parse()?;
    assert!(
        last < killed + 3_000_000_000,
        "alive at {last}, killed at {killed}"
    );
    Ok(())
}

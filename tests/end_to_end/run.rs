//! `leasehold run`: a command under a lock.

mod enforcer;
mod gateways;
mod nightly;
mod signals;
mod terminal;
mod tree;

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
    api.queue_of("nightly", 1).await?;
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

/// Long before the next renewal, and with all that it has started.
#[tokio::test]
async fn a_revoked_lease_ends_the_child_at_once() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let (started, grandchild) = (folder.path().join("started"), folder.path().join("pid"));
    let script = format!(
        "sleep 600 & echo $! > {}; touch {}; wait",
        grandchild.display(),
        started.display()
    );
    let child = run(&gateway, "demo/long", &["--ttl", "10m"], &script)?;
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
    gone(&grandchild).await
}

/// Waits until the process whose number is in the file is gone.
async fn gone(file: &Path) -> Result<()> {
    let process = Path::new("/proc").join(std::fs::read_to_string(file)?.trim());
    let gone = async {
        // A zombie that nobody has reaped yet does no work.
        let works = |stat: String| !stat.contains(") Z ");
        while std::fs::read_to_string(process.join("stat")).is_ok_and(works) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    Ok(tokio::time::timeout(PATIENCE, gone).await?)
}

#[tokio::test]
async fn nothing_works_on_when_run_itself_is_killed() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let (started, grandchild) = (folder.path().join("started"), folder.path().join("pid"));
    let script = format!(
        "sh -c 'trap \"\" TERM HUP; sleep 600' & echo $! > {}; touch {}; wait",
        grandchild.display(),
        started.display()
    );
    let mut child = run(&gateway, "demo/orphan", &[], &script)?;
    exists(&started).await?;
    child.kill().await?;
    gone(&grandchild).await
}

#[tokio::test]
async fn a_drain_lasts_to_its_deadline_and_the_code_says_lost() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let (started, told, done) = (path("started"), path("told"), path("done"));
    // Needs longer than --grace to tidy up, and less than the drain.
    let script = format!(
        "trap 'touch {}; sleep 2; touch {}; exit 0' TERM; touch {}; while true; do sleep 0.05; done",
        told.display(),
        done.display(),
        started.display()
    );
    let options = ["--ttl", "60s", "--grace", "100ms"];
    let child = run(&gateway, "demo/drained", &options, &script)?;
    exists(&started).await?;
    let body = serde_json::json!({ "reason": "maintenance", "grace_ms": 20_000,
        "labels": { "ticket": "CHG-2", "approved_by": "boss" } });
    let operator = gateway.principal("ops", "ops", &["operator"]).await?;
    let revoked = operator
        .post("/v1/namespaces/demo/locks/drained:revoke", &body)
        .await?;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    exists(&told).await?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(76), "{output:?}");
    assert!(done.exists(), "it had time to tidy up");
    free(&gateway, "drained").await
}

/// The lock is nobody's.
async fn free(gateway: &Gateway, lock: &str) -> Result<()> {
    let view = gateway
        .admin()
        .get(&format!("/v1/namespaces/demo/locks/{lock}"))
        .await?;
    assert_eq!(view.body["holders"], serde_json::json!([]), "{view:?}");
    Ok(())
}

#[tokio::test]
async fn a_command_that_cannot_start_gives_the_lock_back() -> Result<()> {
    let gateway = Gateway::start().await?;
    let mut command = Command::new(binary());
    command
        .args(["run", "--lock", "demo/nothing", "--", "/does/not/exist"])
        .env("LEASEHOLD_URL", gateway.url())
        .env("LEASEHOLD_KEY", ADMIN_KEY)
        .stdin(Stdio::null());
    let output = tokio::time::timeout(PATIENCE, command.output()).await??;
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    free(&gateway, "nothing").await
}

/// How many renewals the gateway has carried out.
async fn renewals(gateway: &Gateway) -> Result<u64> {
    let metrics = gateway.api(None).get("/metrics").await?;
    let name = "leasehold_backend_seconds_count{operation=\"renew\",store=\"home\"} ";
    let count = metrics
        .text
        .lines()
        .find_map(|line| line.strip_prefix(name));
    Ok(count.map_or(Ok(0), str::parse)?)
}

#[tokio::test]
async fn signals_reach_the_command_and_a_short_ttl_is_kept() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let (started, quit) = (folder.path().join("started"), folder.path().join("quit"));
    let script = format!(
        "trap 'touch {}; exit 5' QUIT; touch {}; while true; do sleep 0.05; done",
        quit.display(),
        started.display()
    );
    let mut child = run(&gateway, "demo/short", &["--ttl", "2s"], &script)?;
    exists(&started).await?;
    // Several ttls long: the command is not ended for a ttl that is only short.
    let renewed = async {
        while renewals(&gateway).await? < 9 {
            anyhow::ensure!(child.try_wait()?.is_none(), "the command was ended");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, renewed).await??;
    assert!(!quit.exists());
    let id = i32::try_from(child.id().context("it runs")?)?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::SIGQUIT)?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(quit.exists());
    free(&gateway, "short").await
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

#[tokio::test]
async fn the_command_is_told_its_lock_and_token_and_not_the_key() -> Result<()> {
    let gateway = Gateway::start().await?;
    let script = "echo $LEASEHOLD_LOCK $LEASEHOLD_FENCING_TOKEN $LEASEHOLD_LEASE_ID \
        key=${LEASEHOLD_KEY-none}; kill -s USR1 $$";
    let child = run(&gateway, "demo/told", &["--reason", "nightly"], script)?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(128 + 10), "{output:?}");
    let said = String::from_utf8(output.stdout)?;
    let words: Vec<&str> = said.split_whitespace().collect();
    let [lock, token, lease_id, key] = words[..] else {
        anyhow::bail!("{said}");
    };
    assert_eq!((lock, key), ("demo/told", "key=none"));
    let api = gateway.admin();
    let released = api.with_lease("told", "release", lease_id).await?;
    assert_eq!(released.status, 200, "released already: {released:?}");
    let view = api.show("told").await?;
    assert_eq!(
        view.body["last_fencing_token"].to_string(),
        token,
        "{view:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_documented_codes_are_true_before_the_command_has_begun() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let other = gateway.service("other", "team-a").await?;
    assert_eq!(other.acquire("held", 60_000).await?.status, 201);
    let never = "echo begun";
    for (lock, options, code) in [
        ("demo/held", &["--wait", "200ms"][..], 75),
        ("demo/held", &["--ttl", "soon"], 64),
        ("demo", &[], 64),
        ("demo/x", &["--ttl", "1ms"], 78),
        ("nowhere/x", &[], 78),
        ("demo/x", &["--ttl", "20h"], 0),
        ("demo/x", &["--key", "lh_wrong_key"], 77),
    ] {
        let child = run(&gateway, lock, options, never)?;
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{lock} {options:?}: {output:?}"
        );
        assert_eq!(output.stdout.is_empty(), code != 0, "{output:?}");
    }
    gateway.kill().await?;
    let child = run(&gateway, "demo/x", &["--wait", "200ms"], never)?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    Ok(())
}

//! One job on several servers.

use super::*;

#[tokio::test]
async fn a_held_lock_is_skipped_with_the_code_that_was_asked_for() -> Result<()> {
    let gateway = Gateway::start().await?;
    let other = gateway.service("other", "team-a").await?;
    assert_eq!(other.acquire("nightly", 60_000).await?.status, 201);
    for (option, code) in [("--skip-if-held", 0), ("--skip-if-held=75", 75)] {
        let child = run(&gateway, "demo/nightly", &[option], "echo begun")?;
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let said = String::from_utf8(output.stderr)?;
        assert!(
            said.contains("other") && said.lines().count() == 1,
            "{said}"
        );
    }
    // Nobody waits, and a free lock is taken.
    gateway.admin().queue_of("nightly", 0).await?;
    let child = run(&gateway, "demo/free", &["--skip-if-held=75"], "exit 3")?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    // Both at once contradict each other.
    let both = ["--skip-if-held", "--wait", "1s"];
    let child = run(&gateway, "demo/free", &both, "exit 3")?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn an_unreachable_gateway_is_not_taken_for_a_held_lock() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    gateway.kill().await?;
    let child = run(&gateway, "demo/nightly", &["--skip-if-held"], "echo begun")?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn the_lock_stays_taken_although_the_job_has_ended() -> Result<()> {
    let gateway = Gateway::start().await?;
    let begun = wall_ns().await?;
    let options = ["--skip-if-held=75", "--hold-at-least", "6s"];
    let child = run(&gateway, "demo/nightly", &options, "exit 3")?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    // The second server is late, but not so late.
    let child = run(&gateway, "demo/nightly", &options, "exit 4")?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    let early = (wall_ns().await? - begun) / 1_000_000 < 6_000;
    assert!(output.status.code() == Some(75) || !early, "{output:?}");
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("skipped") || !early, "{said}");
    // Then it is free.
    let other = gateway.service("other", "team-a").await?;
    let body = serde_json::json!({ "ttl_ms": 60_000, "wait_ms": 30_000 });
    let path = "/v1/namespaces/demo/locks/nightly:acquire";
    assert_eq!(other.post(path, &body).await?.status, 201);
    let held_ms = (wall_ns().await? - begun) / 1_000_000;
    assert!(held_ms >= 6_000, "{held_ms}");
    Ok(())
}

#[tokio::test]
async fn a_job_that_did_not_start_or_lasted_long_enough_leaves_the_lock_free() -> Result<()> {
    let gateway = Gateway::start().await?;
    let mut command = Command::new(binary());
    command
        .args(["run", "--lock", "demo/nothing", "--hold-at-least", "10m"])
        .args(["--", "/does/not/exist"])
        .env("LEASEHOLD_URL", gateway.url())
        .env("LEASEHOLD_KEY", ADMIN_KEY)
        .stdin(Stdio::null());
    let output = tokio::time::timeout(PATIENCE, command.output()).await??;
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    let other = gateway.service("other", "team-a").await?;
    assert_eq!(other.acquire("nothing", 60_000).await?.status, 201);
    let child = run(
        &gateway,
        "demo/long",
        &["--hold-at-least", "500ms"],
        "sleep 1",
    )?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(other.acquire("long", 60_000).await?.status, 201);
    Ok(())
}

/// The first message of a loss, and that it is the only one.
async fn loss(gateway: &Gateway, lock: &str, grace_ms: u64) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let started = folder.path().join("started");
    let script = format!("touch {}; exec sleep 600", started.display());
    let child = run(gateway, &format!("demo/{lock}"), &["--ttl", "60s"], &script)?;
    exists(&started).await?;
    let operator = gateway.principal("ops", "ops", &["operator"]).await?;
    let body = serde_json::json!({ "reason": "maintenance, CHG-1", "grace_ms": grace_ms,
        "labels": { "ticket": "CHG-1", "approved_by": "boss" } });
    let path = format!("/v1/namespaces/demo/locks/{lock}:revoke");
    let revoked = operator.post(&path, &body).await?;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(76), "{output:?}");
    Ok(String::from_utf8(output.stderr)?)
}

#[tokio::test]
async fn one_message_tells_who_has_revoked_the_lease_and_why() -> Result<()> {
    let gateway = Gateway::start().await?;
    for (lock, grace_ms) in [("at-once", 0), ("drained", 20_000)] {
        let said = loss(&gateway, lock, grace_ms).await?;
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.contains("revoked by ops: maintenance, CHG-1"),
            "{said}"
        );
    }
    Ok(())
}

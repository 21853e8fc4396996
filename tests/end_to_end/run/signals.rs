//! Signals to `run`.

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::*;

fn send(child: &Child, signal: Signal) -> Result<()> {
    let id = i32::try_from(child.id().context("it runs")?)?;
    Ok(kill(Pid::from_raw(id), signal)?)
}

async fn ended(child: Child) -> Result<std::process::Output> {
    Ok(tokio::time::timeout(PATIENCE, child.wait_with_output()).await??)
}

/// A stubborn command, that writes down its number.
async fn stubborn(gateway: &Gateway, lock: &str, options: &[&str]) -> Result<(Child, Pid)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pid");
    let script = format!(
        "trap '' TERM HUP INT QUIT; echo $$ > {0}.new; mv {0}.new {0}; while true; do sleep 0.05; done",
        file.display()
    );
    let child = run(gateway, lock, options, &script)?;
    exists(&file).await?;
    let number = std::fs::read_to_string(&file)?.trim().parse()?;
    Ok((child, Pid::from_raw(number)))
}

#[tokio::test]
async fn a_stopped_command_hears_a_signal_and_gives_the_lock_back() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pid");
    let script = format!(
        "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600",
        file.display()
    );
    let child = run(&gateway, "demo/stopped", &["--ttl", "60s"], &script)?;
    exists(&file).await?;
    let number = std::fs::read_to_string(&file)?.trim().parse()?;
    kill(Pid::from_raw(number), Signal::SIGSTOP)?;
    let stopped = async {
        while !std::fs::read_to_string(format!("/proc/{number}/stat"))?.contains(") T ") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, stopped).await??;
    send(&child, Signal::SIGTERM)?;
    let output = ended(child).await?;
    assert_eq!(output.status.code(), Some(128 + 15), "{output:?}");
    free(&gateway, "stopped").await
}

#[tokio::test]
async fn the_end_of_the_grace_kills() -> Result<()> {
    let gateway = Gateway::start().await?;
    let options = ["--ttl", "60s", "--grace", "300ms"];
    let (child, _) = stubborn(&gateway, "demo/grace", &options).await?;
    send(&child, Signal::SIGTERM)?;
    let output = ended(child).await?;
    assert_eq!(output.status.code(), Some(128 + 9), "{output:?}");
    free(&gateway, "grace").await
}

#[tokio::test]
async fn a_second_signal_kills_but_two_at_once_are_one() -> Result<()> {
    let gateway = Gateway::start().await?;
    let options = ["--ttl", "60s", "--grace", "10m"];
    let (child, command) = stubborn(&gateway, "demo/second", &options).await?;
    // As `timeout` and service managers do.
    send(&child, Signal::SIGTERM)?;
    send(&child, Signal::SIGHUP)?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    kill(command, None)?;
    send(&child, Signal::SIGINT)?;
    let output = ended(child).await?;
    assert_eq!(output.status.code(), Some(128 + 9), "{output:?}");
    free(&gateway, "second").await
}

#[tokio::test]
async fn who_dies_of_an_interrupt_tells_its_shell() -> Result<()> {
    use std::os::unix::process::ExitStatusExt;

    let gateway = Gateway::start().await?;
    for (name, number) in [("INT", 2), ("QUIT", 3)] {
        let child = run(&gateway, "demo/dies", &[], &format!("kill -s {name} $$"))?;
        let output = ended(child).await?;
        assert_eq!(output.status.signal(), Some(number), "{output:?}");
        free(&gateway, "dies").await?;
    }
    // Also before it has the lock.
    let other = gateway.service("other", "team-a").await?;
    assert_eq!(other.acquire("dies", 60_000).await?.status, 201);
    let child = run(&gateway, "demo/dies", &[], "exit 0")?;
    gateway.admin().queue_of("dies", 1).await?;
    send(&child, Signal::SIGINT)?;
    let output = ended(child).await?;
    assert_eq!(output.status.signal(), Some(2), "{output:?}");
    gateway.admin().queue_of("dies", 0).await
}

#[tokio::test]
async fn a_signal_ends_the_wait_for_the_release() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let (started, go) = (folder.path().join("started"), folder.path().join("go"));
    let script = format!(
        "touch {}; while [ ! -e {} ]; do sleep 0.02; done",
        started.display(),
        go.display()
    );
    let child = run(&gateway, "demo/release", &["--ttl", "60s"], &script)?;
    exists(&started).await?;
    // It answers nothing any more.
    gateway.signal("STOP")?;
    std::fs::write(&go, "")?;
    let run = format!("/proc/{}/task", child.id().context("it runs")?);
    // The enforcer has ended: `run` waits for the release now.
    let children = Path::new(&run).join(child.id().context("it runs")?.to_string());
    let alone = async {
        while !std::fs::read_to_string(children.join("children"))?
            .trim()
            .is_empty()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, alone).await??;
    let begun = wall_ns().await?;
    send(&child, Signal::SIGTERM)?;
    let output = ended(child).await?;
    let took_ms = (wall_ns().await? - begun) / 1_000_000;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(took_ms < 2_000, "{took_ms} ms");
    gateway.signal("CONT")
}

#[tokio::test]
async fn what_the_caller_ignores_the_command_ignores() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let (started, go) = (folder.path().join("started"), folder.path().join("go"));
    let script = format!(
        "touch {}; while [ ! -e {} ]; do sleep 0.02; done; kill -s HUP $$; exit 4",
        started.display(),
        go.display()
    );
    let mut command = Command::new("sh");
    let binary = binary().display();
    command
        .args([
            "-c",
            &format!("trap '' HUP CHLD; exec {binary} run --lock demo/nohup -- sh -c '{script}'"),
        ])
        .env("LEASEHOLD_URL", gateway.url())
        .env("LEASEHOLD_KEY", ADMIN_KEY)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let child = command.spawn()?;
    exists(&started).await?;
    send(&child, Signal::SIGHUP)?;
    std::fs::write(&go, "")?;
    let output = ended(child).await?;
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    Ok(())
}

/// In a container `run` is the first process, and everybody's orphans become its children.
#[tokio::test]
async fn the_first_process_of_a_container_collects_zombies() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let started = folder.path().join("started");
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(binary())
        .args(["run", "--lock", "demo/first", "--", "sh", "-c"])
        .arg(format!("touch {}; sleep 600", started.display()))
        .env("LEASEHOLD_URL", gateway.url())
        .env("LEASEHOLD_KEY", ADMIN_KEY)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let child = command.spawn()?;
    exists(&started).await?;
    let unshare = child.id().context("it runs")?;
    let children = format!("/proc/{unshare}/task/{unshare}/children");
    let first = std::fs::read_to_string(children)?.trim().to_owned();
    // As `docker exec` does: a process from outside, which leaves an orphan.
    let status = Command::new("nsenter")
        .args(["--target", &first, "--pid", "--mount", "sh", "-c"])
        .arg("(sleep 0.1 &) ; exit 0")
        .status()
        .await?;
    assert!(status.success());
    let zombies = async {
        let zombies = || -> Result<usize> {
            let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children"))?;
            Ok(children.split_whitespace().count())
        };
        // The orphan comes and goes; the enforcer stays.
        while zombies()? > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(10), zombies).await??;
    kill(Pid::from_raw(first.parse()?), Signal::SIGTERM)?;
    let output = ended(child).await?;
    assert_eq!(output.status.code(), Some(128 + 15), "{output:?}");
    free(&gateway, "first").await
}

//! Nothing of the command is left when its lock can be another's, whatever it has started and
//! whatever happens to `run`.

use std::path::PathBuf;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::*;

/// Processes that write down that they live: the command itself, one in a session of its own, and
/// one whose parent has ended.
struct Workers {
    folder: tempfile::TempDir,
}

const WORKERS: &[&str] = &["command", "session", "orphan"];

impl Workers {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self { folder })
    }

    /// The script of the command; stubborn, so that only SIGKILL ends it.
    fn script(&self) -> String {
        let folder = self.folder.path().display();
        let works = |name: &str| {
            format!(
                "trap \"\" TERM HUP INT; echo \\$\\$ > {folder}/{name}.pid; \
                 while true; do date +%s%N >> {folder}/{name}; sleep 0.02; done"
            )
        };
        format!(
            "setsid sh -c '{}' &\n(setsid sh -c '{}' &)\nexec sh -c '{}'",
            works("session"),
            works("orphan"),
            works("command")
        )
        .replace("\\$", "$")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn all_work(&self) -> Result<()> {
        for name in WORKERS {
            exists(&self.path(name)).await?;
        }
        Ok(())
    }

    /// The last time that one of them wrote down.
    fn last(&self) -> Result<u128> {
        let mut last = 0;
        for name in WORKERS {
            let ticks = std::fs::read_to_string(self.path(name))?;
            let complete = ticks.rsplit_once('\n').context("a whole line")?.0;
            let tick = complete.lines().last().context("a tick")?;
            last = last.max(tick.parse()?);
        }
        Ok(last)
    }

    fn are_gone(&self) -> Result<bool> {
        for name in WORKERS {
            if works(&self.path(&format!("{name}.pid")))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether the process whose number is in the file does any work.
fn works(file: &Path) -> Result<bool> {
    let process = Path::new("/proc").join(std::fs::read_to_string(file)?.trim());
    let stat = std::fs::read_to_string(process.join("stat"));
    Ok(stat.is_ok_and(|stat| !stat.contains(") Z ")))
}

fn pid(child: &Child) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(
        child.id().context("it runs")?,
    )?))
}

/// The enforcer of a `run`: its only child.
fn enforcer(run: Pid) -> Result<Pid> {
    let children = std::fs::read_to_string(format!("/proc/{run}/task/{run}/children"))?;
    Ok(Pid::from_raw(children.trim().parse()?))
}

/// Waits until somebody else gets the lock, and proves that nothing worked on by then.
async fn nothing_works_when_another_has(
    gateway: &Gateway,
    lock: &str,
    workers: &Workers,
) -> Result<()> {
    let other = gateway.service("other", "team-a").await?;
    let body = serde_json::json!({ "ttl_ms": 60_000, "wait_ms": 30_000 });
    let path = format!("/v1/namespaces/demo/locks/{lock}:acquire");
    let granted = other.post(&path, &body).await?;
    let granted_at = wall_ns().await?;
    assert_eq!(granted.status, 201, "{granted:?}");
    assert!(workers.are_gone()?, "something works on");
    assert!(workers.last()? < granted_at);
    Ok(())
}

#[tokio::test]
async fn a_stopped_run_does_not_keep_the_command_alive() -> Result<()> {
    let gateway = Gateway::start().await?;
    let workers = Workers::new()?;
    let child = run(
        &gateway,
        "demo/stopped",
        &["--ttl", "2s"],
        &workers.script(),
    )?;
    workers.all_work().await?;
    kill(pid(&child)?, Signal::SIGSTOP)?;
    nothing_works_when_another_has(&gateway, "stopped", &workers).await?;
    kill(pid(&child)?, Signal::SIGCONT)?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(76), "{output:?}");
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(said.matches("the lock is lost").count(), 1, "{said}");
    Ok(())
}

#[tokio::test]
async fn nothing_that_left_the_group_works_on_when_run_is_killed() -> Result<()> {
    let gateway = Gateway::start().await?;
    let workers = Workers::new()?;
    let mut child = run(&gateway, "demo/killed", &["--ttl", "2s"], &workers.script())?;
    workers.all_work().await?;
    child.kill().await?;
    nothing_works_when_another_has(&gateway, "killed", &workers).await
}

#[tokio::test]
async fn what_the_command_leaves_behind_goes_with_it() -> Result<()> {
    let gateway = Gateway::start().await?;
    let workers = Workers::new()?;
    let script = workers.script();
    let (others, _) = script.rsplit_once('\n').context("three lines")?;
    let orphan = workers.path("orphan");
    let script = format!(
        "{others}\nwhile [ ! -e {} ] || [ ! -e {} ]; do sleep 0.02; done; exit 3",
        orphan.display(),
        workers.path("session").display()
    );
    std::fs::write(workers.path("command"), "0\n")?;
    std::fs::write(workers.path("command.pid"), "0\n")?;
    let options = ["--ttl", "60s", "--grace", "200ms"];
    let child = run(&gateway, "demo/left", &options, &script)?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(workers.are_gone()?, "something works on");
    free(&gateway, "left").await
}

#[tokio::test]
async fn a_killed_enforcer_takes_everything_with_it() -> Result<()> {
    let gateway = Gateway::start().await?;
    let workers = Workers::new()?;
    let child = run(
        &gateway,
        "demo/unforced",
        &["--ttl", "60s"],
        &workers.script(),
    )?;
    workers.all_work().await?;
    kill(enforcer(pid(&child)?)?, Signal::SIGKILL)?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    assert!(workers.are_gone()?, "something works on");
    free(&gateway, "unforced").await
}

/// As after a pause of the whole machine: everybody is stopped beyond the lease's end.
#[tokio::test]
async fn whoever_wakes_after_the_lease_is_killed_at_once() -> Result<()> {
    let gateway = Gateway::start().await?;
    let workers = Workers::new()?;
    let child = run(&gateway, "demo/asleep", &["--ttl", "2s"], &workers.script())?;
    workers.all_work().await?;
    let run = pid(&child)?;
    let enforcer = enforcer(run)?;
    for process in [run, enforcer] {
        kill(process, Signal::SIGSTOP)?;
    }
    // The lock is free when the lease is over: so long everybody sleeps.
    let other = gateway.service("other", "team-a").await?;
    let body = serde_json::json!({ "ttl_ms": 60_000, "wait_ms": 30_000 });
    let path = "/v1/namespaces/demo/locks/asleep:acquire";
    assert_eq!(other.post(path, &body).await?.status, 201);
    let woken = wall_ns().await?;
    for process in [enforcer, run] {
        kill(process, Signal::SIGCONT)?;
    }
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(76), "{output:?}");
    assert!(workers.are_gone()?, "something works on");
    let late_ms = workers.last()?.saturating_sub(woken) / 1_000_000;
    assert!(late_ms < 250, "worked on for {late_ms} ms after waking");
    Ok(())
}

/// Forks faster than anybody looks.
#[tokio::test]
async fn a_command_that_forks_without_end_is_ended() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let (started, last) = (folder.path().join("started"), folder.path().join("pid"));
    let script = format!(
        "trap '' TERM; f() {{ echo $1 > {}; sh -c 'exit 0' & (f $(($1 + 1)) &) ; }}; \
         touch {}; while true; do (f 1 &); sleep 0.01; done",
        last.display(),
        started.display()
    );
    // The chain of orphans is bounded by the shell's own depth in time: each lives for a moment.
    let script = script.replace("(f $(($1 + 1)) &)", "[ $1 -lt 20 ] && (f $(($1 + 1)) &)");
    let child = run(&gateway, "demo/forks", &["--ttl", "2s"], &script)?;
    exists(&started).await?;
    let run = pid(&child)?;
    kill(run, Signal::SIGSTOP)?;
    let other = gateway.service("other", "team-a").await?;
    let body = serde_json::json!({ "ttl_ms": 60_000, "wait_ms": 30_000 });
    let path = "/v1/namespaces/demo/locks/forks:acquire";
    assert_eq!(other.post(path, &body).await?.status, 201);
    let before = std::fs::metadata(&last)?.modified()?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(std::fs::metadata(&last)?.modified()?, before, "it forks on");
    kill(run, Signal::SIGKILL)?;
    Ok(())
}

#[tokio::test]
async fn the_reader_of_a_pipe_that_the_command_leaves_behind_may_finish() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("log");
    let script = format!(
        "exec bash -c 'seq 3 > >(sleep 0.1; cat > {})'",
        file.display()
    );
    let child = run(&gateway, "demo/pipe", &[], &script)?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(std::fs::read_to_string(&file)?, "1\n2\n3\n");
    Ok(())
}

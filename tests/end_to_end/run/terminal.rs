//! `run` under an interactive shell, on a terminal.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use tokio::io::AsyncReadExt;

use super::*;

/// The keys.
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const CTRL_Z: &str = "\x1a";

/// An interactive shell on a terminal of its own.
struct Shell {
    keys: File,
    screen: tokio::fs::File,
    seen: String,
    _shell: Child,
}

impl Shell {
    fn start(gateway: &Gateway) -> Result<Self> {
        let size = nix::pty::Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let terminal = nix::pty::openpty(&size, None)?;
        let slave = || -> Result<OwnedFd> { Ok(terminal.slave.try_clone()?) };
        let mut command = Command::new("setsid");
        command
            .args(["--ctty", "bash", "--norc", "--noprofile", "-i"])
            .env("LEASEHOLD_URL", gateway.url())
            .env("LEASEHOLD_KEY", ADMIN_KEY)
            .env("PATH", path_with_binary()?)
            .env("PS1", "ready> ")
            .env("TERM", "xterm")
            .env("LESS", "")
            .stdin(slave()?)
            .stdout(slave()?)
            .stderr(slave()?)
            .kill_on_drop(true);
        let shell = command.spawn()?;
        let keys = File::from(terminal.master);
        let screen = tokio::fs::File::from_std(keys.try_clone()?);
        Ok(Self {
            keys,
            screen,
            seen: String::new(),
            _shell: shell,
        })
    }

    fn press(&mut self, keys: &str) -> Result<()> {
        Ok(self.keys.write_all(keys.as_bytes())?)
    }

    fn enter(&mut self, line: &str) -> Result<()> {
        self.press(&format!("{line}\n"))
    }

    /// Waits until the screen shows a text, and forgets what came before it.
    async fn shows(&mut self, text: &str) -> Result<String> {
        let mut bytes = [0; 4_096];
        let shown = async {
            loop {
                if let Some(at) = self.seen.find(text) {
                    let rest = self.seen.split_off(at + text.len());
                    return anyhow::Ok(std::mem::replace(&mut self.seen, rest));
                }
                let length = self.screen.read(&mut bytes).await?;
                anyhow::ensure!(length > 0, "the terminal is gone");
                self.seen += &String::from_utf8_lossy(&bytes[..length]);
            }
        };
        let shown = tokio::time::timeout(PATIENCE, shown).await;
        shown.unwrap_or_else(|_| anyhow::bail!("{text:?} is not shown: {:?}", self.seen))
    }

    /// The shell itself runs a command: it is alive, and has the terminal.
    async fn is_ready(&mut self) -> Result<()> {
        // What is typed is shown, too, so the answer must not be in the question.
        self.enter("echo alive-$((40 + 2))")?;
        self.shows("alive-42").await?;
        Ok(())
    }

    /// Waits until the shell knows that its job was stopped. A job that it takes for a running one
    /// is not continued by `fg`.
    async fn has_stopped_job(&mut self) -> Result<()> {
        loop {
            self.enter("jobs -s; echo listed-$((40 + 2))")?;
            if self.shows("listed-42").await?.contains("Stopped") {
                return Ok(());
            }
        }
    }
}

fn path_with_binary() -> Result<String> {
    let folder = binary().parent().context("its folder")?;
    #[expect(clippy::disallowed_methods, reason = "the test's own environment")]
    let path = std::env::var("PATH")?;
    Ok(format!("{}:{path}", folder.display()))
}

#[tokio::test]
async fn a_run_in_the_background_leaves_the_terminal_to_the_shell() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let (started, go) = (folder.path().join("started"), folder.path().join("go"));
    let mut shell = Shell::start(&gateway)?;
    let script = format!(
        "touch {}; while [ ! -e {} ]; do sleep 0.05; done",
        started.display(),
        go.display()
    );
    shell.enter(&format!(
        "leasehold run --lock demo/a -- sh -c '{script}' &"
    ))?;
    exists(&started).await?;
    // The shell reads while the command runs.
    shell.is_ready().await?;
    std::fs::write(&go, "")?;
    shell.enter("wait; echo waited-$?")?;
    shell.shows("waited-0").await?;
    // It may come to the foreground later, and read.
    shell.enter("leasehold run --lock demo/a -- sh -c 'read x; echo got-$x' &")?;
    shell.has_stopped_job().await?;
    shell.enter("fg")?;
    shell.enter("words")?;
    shell.shows("got-words").await?;
    shell.is_ready().await
}

#[tokio::test]
async fn an_interrupt_ends_the_loop_of_a_shell() -> Result<()> {
    let gateway = Gateway::start().await?;
    let mut shell = Shell::start(&gateway)?;
    let run = "leasehold run --lock demo/a -- sh -c 'echo begun-$((1 + 1)); exec sleep 600'";
    shell.enter(&format!("while true; do {run}; done"))?;
    shell.shows("begun-2").await?;
    shell.press(CTRL_C)?;
    shell.is_ready().await?;
    free(&gateway, "a").await
}

#[tokio::test]
async fn a_stopped_job_goes_on_in_the_foreground() -> Result<()> {
    let gateway = Gateway::start().await?;
    let mut shell = Shell::start(&gateway)?;
    shell.enter("leasehold run --lock demo/a -- sh -c 'while read x; do echo got-$x; done'")?;
    shell.enter("one")?;
    shell.shows("got-one").await?;
    shell.press(CTRL_Z)?;
    shell.shows("Stopped").await?;
    shell.is_ready().await?;
    shell.enter("fg")?;
    shell.enter("two")?;
    shell.shows("got-two").await?;
    // Once more, by way of the background.
    shell.press(CTRL_Z)?;
    shell.shows("Stopped").await?;
    shell.enter("bg")?;
    // It reads, and the terminal is not its own.
    shell.has_stopped_job().await?;
    shell.enter("fg")?;
    shell.enter("three")?;
    shell.shows("got-three").await?;
    shell.press(CTRL_D)?;
    shell.is_ready().await?;
    free(&gateway, "a").await
}

#[tokio::test]
async fn a_lease_lost_while_the_job_is_stopped_ends_the_command() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pid");
    let mut shell = Shell::start(&gateway)?;
    let script = format!(
        "echo $$ > {}; echo begun-$((1 + 1)); exec sleep 600",
        file.display()
    );
    shell.enter(&format!(
        "leasehold run --lock demo/a --ttl 1s -- sh -c '{script}'"
    ))?;
    shell.shows("begun-2").await?;
    shell.press(CTRL_Z)?;
    shell.shows("Stopped").await?;
    let other = gateway.service("other", "team-a").await?;
    let body = serde_json::json!({ "ttl_ms": 60_000, "wait_ms": 30_000 });
    let granted = other
        .post("/v1/namespaces/demo/locks/a:acquire", &body)
        .await?;
    assert_eq!(granted.status, 201, "{granted:?}");
    gone(&file).await?;
    shell.enter("fg")?;
    shell.shows("the lock is lost").await?;
    shell.enter("echo code-$?")?;
    shell.shows("code-76").await?;
    shell.is_ready().await
}

#[tokio::test]
async fn a_pager_has_the_terminal_and_the_lease_is_renewed() -> Result<()> {
    let gateway = Gateway::start().await?;
    let mut shell = Shell::start(&gateway)?;
    let script = "seq 100; sleep 600";
    shell.enter(&format!(
        "leasehold run --lock demo/a --ttl 1s -- sh -c '{script}' | less"
    ))?;
    shell.shows("23").await?;
    // Several ttls long, while the pager waits for a key.
    let before = renewals(&gateway).await?;
    let renewed = async {
        while renewals(&gateway).await? < before + 9 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, renewed).await??;
    shell.press(" ")?;
    shell.shows("46").await?;
    // Interrupts the command, which gives the lock back while the pager goes on.
    shell.press(CTRL_C)?;
    let other = gateway.service("other", "team-a").await?;
    let body = serde_json::json!({ "ttl_ms": 60_000, "wait_ms": 30_000 });
    let path = "/v1/namespaces/demo/locks/a:acquire";
    assert_eq!(other.post(path, &body).await?.status, 201);
    shell.press("q")?;
    shell.is_ready().await
}

#[tokio::test]
async fn a_command_gets_the_terminal_that_is_not_its_input() -> Result<()> {
    let gateway = Gateway::start().await?;
    let mut shell = Shell::start(&gateway)?;
    let asks = "leasehold run --lock demo/a -- sh -c 'read x </dev/tty; echo got-$x'";
    for (more, word) in [(" </dev/null", "one"), (" | cat", "two"), ("", "three")] {
        shell.enter(&format!("{asks}{more}"))?;
        shell.enter(word)?;
        shell.shows(&format!("got-{word}")).await?;
        shell.is_ready().await?;
    }
    free(&gateway, "a").await
}

/// The command asks for the terminal before `run` has given it: it goes on, and is not stopped.
#[tokio::test]
async fn a_script_without_job_control_runs_and_stops_as_a_whole() -> Result<()> {
    let gateway = Gateway::start().await?;
    let mut shell = Shell::start(&gateway)?;
    let run = "leasehold run --lock demo/a -- sh -c \"while read x; do echo got-\\$x; done\"";
    shell.enter(&format!("sh -c '{run}; echo after-$((1 + 1))'"))?;
    shell.enter("one")?;
    shell.shows("got-one").await?;
    shell.press(CTRL_Z)?;
    shell.shows("Stopped").await?;
    shell.is_ready().await?;
    shell.enter("fg")?;
    shell.enter("two")?;
    shell.shows("got-two").await?;
    shell.press(CTRL_D)?;
    shell.shows("after-2").await?;
    shell.is_ready().await
}

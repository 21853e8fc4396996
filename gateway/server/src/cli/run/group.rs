//! The command's process group, and its keeper.
//!
//! The group is led by a keeper: this program again, which does nothing but wait for its standard
//! input to end. So the group's number stays taken as long as `run` needs it; and if `run` itself
//! is killed, the keeper's input ends and it kills the group: nothing works on without a lease
//! that is renewed.

use std::io::IsTerminal;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::process::Stdio;

use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use nix::sys::signal::killpg;
use nix::unistd::Pid;
use nix::unistd::getpgrp;
use nix::unistd::tcsetpgrp;
use tokio::process::Child;
use tokio::process::Command;

use super::super::exit::Failed;
use super::super::exit::SYSTEM;

/// The hidden command that makes this program a keeper.
pub(in crate::cli) const KEEPER: &str = "keeper";

/// A command that runs in a group of its own.
#[derive(Debug)]
pub(super) struct Group {
    child: Child,
    keeper: Child,
    id: Pid,
    has_terminal: bool,
}

impl Group {
    /// Starts the keeper, and then the command in its group.
    pub(super) fn start(mut command: Command) -> Result<Self, Failed> {
        let refused = |error: std::io::Error| Failed::new(SYSTEM, error.to_string());
        let program = std::env::current_exe().map_err(refused)?;
        let mut keeper = Command::new(program)
            .arg(KEEPER)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(refused)?;
        let raw = keeper.id().and_then(|id| i32::try_from(id).ok());
        let raw = raw.ok_or_else(|| Failed::new(SYSTEM, "the keeper ended at once"))?;
        let id = Pid::from_raw(raw);
        let spawned = command.process_group(raw).kill_on_drop(true).spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(error) => {
                // It leads a group of one, and is reaped when dropped.
                let _ = keeper.start_kill();
                let program = command
                    .as_std()
                    .get_program()
                    .to_string_lossy()
                    .into_owned();
                return Err(Failed::new(SYSTEM, format!("{program}: {error}")));
            }
        };
        let has_terminal = give_terminal(id);
        if has_terminal {
            // It may have been stopped for reading before the terminal was its own.
            let _ = killpg(id, Signal::SIGCONT);
        }
        Ok(Self {
            child,
            keeper,
            id,
            has_terminal,
        })
    }

    /// Resolves when the command has ended; answers the exit code.
    pub(super) async fn ended(&mut self) -> Result<u8, Failed> {
        let status = self.child.wait().await;
        status
            .map(code)
            .map_err(|error| Failed::new(SYSTEM, error.to_string()))
    }

    /// Signals the whole group.
    pub(super) fn send(&self, signal: Signal) {
        // The keeper has not been waited for, so the number is nobody else's.
        let _ = killpg(self.id, signal);
    }

    /// Kills what is left of the group, and takes the terminal back.
    pub(super) async fn end(mut self) {
        self.send(Signal::SIGKILL);
        let _ = self.child.wait().await;
        let _ = self.keeper.wait().await;
        if self.has_terminal {
            give_terminal(getpgrp());
        }
    }
}

fn code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Makes a group the one that the terminal talks to, if there is a terminal; whether it did.
fn give_terminal(group: Pid) -> bool {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return false;
    }
    // Who is not in the foreground would be stopped for this, unless the signal is blocked.
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGTTOU);
    let Ok(before) = blocked.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK) else {
        return false;
    };
    let given = tcsetpgrp(&stdin, group).is_ok();
    let _ = before.thread_set_mask();
    given
}

/// Waits for standard input to end, and then kills the group that this process leads.
///
/// Signals that are meant for the command reach its whole group, and so the keeper: it blocks them.
pub(in crate::cli) fn keep() -> Result<u8, Failed> {
    let blocked = SigSet::all().thread_block();
    blocked.map_err(|error| Failed::new(SYSTEM, error.to_string()))?;
    let mut nothing = [0];
    while !matches!(std::io::stdin().read(&mut nothing), Ok(0)) {}
    let group = getpgrp();
    if group == Pid::this() {
        let _ = killpg(group, Signal::SIGKILL);
    }
    Ok(0)
}

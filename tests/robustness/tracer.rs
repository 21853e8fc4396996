//! Lets the syncs of processes be slow, or fail.

use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// How syncs fare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Syncs {
    /// Each takes so much longer.
    Slow(Duration),
    /// Each fails.
    Fail,
}

/// Hinders processes, and those that they make. Lets go of them when dropped.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    log: PathBuf,
}

impl Tracer {
    /// Begins to hinder them; what it has done is in `log`.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn attach(processes: &[Pid], syncs: &Syncs, log: &Path) -> Result<Self> {
        let how = match syncs {
            Syncs::Slow(by) => format!("delay_enter={}", by.as_micros()),
            Syncs::Fail => "error=EIO".to_owned(),
        };
        std::fs::write(log, "")?;
        let child = Command::new("strace")
            .args(["-f", "-qq", "-e", "signal=none"])
            .arg("-o")
            .arg(log)
            .args(["-e", "trace=fsync,fdatasync"])
            .args(["-e", &format!("inject=fsync,fdatasync:{how}")])
            .args(processes.iter().map(|process| format!("-p{process}")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("strace cannot be run: is it installed?")?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// Whether it has hindered a sync yet.
    #[must_use]
    pub fn has_hindered(&self) -> bool {
        let done = std::fs::read_to_string(&self.log).unwrap_or_default();
        done.contains("(INJECTED)") || done.contains("(DELAYED)")
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It lets go of what it traces, and ends.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = self.child.wait();
    }
}

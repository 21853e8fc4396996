//! A process on a host of the run's network, that can be killed, frozen, hindered and started again.

use std::fs::File;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// How a process is started, each time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spec {
    /// What it is called in summaries and logs.
    pub name: String,
    /// The namespace that it runs in.
    pub namespace: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
    /// Where it prints.
    pub log: PathBuf,
}

/// A process, running or not. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    spec: Spec,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    child: Option<Child>,
    /// The tracer that hinders it.
    tracer: Option<Child>,
    /// Variables that its next start gets besides its own.
    more: Vec<(String, String)>,
}

/// How system calls of a process fare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Syncs {
    /// Each sync takes so much longer.
    Slow(Duration),
    /// Each sync fails.
    Fail,
}

/// How long a process that was killed may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(20);

impl Process {
    /// One that does not run yet.
    pub(crate) fn new(spec: Spec) -> Self {
        Self {
            spec,
            running: Mutex::default(),
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(spec: Spec) -> Result<Self> {
        let process = Self::new(spec);
        process.begin()?;
        Ok(process)
    }

    /// What it is called.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it, if it does not run.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn begin(&self) -> Result<()> {
        if self.runs() {
            return Ok(());
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.spec.log)
            .with_context(|| self.spec.log.display().to_string())?;
        // nsenter becomes the program, so its process id is the program's.
        let child = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{}", self.spec.namespace))
            .arg("--")
            .args(&self.spec.command)
            .envs(self.spec.environment.iter().cloned())
            .envs(self.running().more.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.running().child = Some(child);
        Ok(())
    }

    /// Gives its next starts another variable.
    pub(crate) fn set(&self, name: &str, value: &str) {
        let more = &mut self.running().more;
        more.push((name.to_owned(), value.to_owned()));
    }

    /// Whether it runs, or is frozen.
    #[must_use]
    pub(crate) fn runs(&self) -> bool {
        let mut running = self.running();
        let child = running.child.as_mut();
        child.is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    fn pid(&self) -> Result<Pid> {
        let running = self.running();
        let child = running.child.as_ref().context("it was not started")?;
        Ok(Pid::from_raw(i32::try_from(child.id())?))
    }

    /// Ends it at once, and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be ended.
    pub(crate) async fn kill(&self) -> Result<()> {
        if self.runs() {
            kill(self.pid()?, Signal::SIGKILL)?;
        }
        self.gone().await?;
        self.unhinder();
        Ok(())
    }

    /// Waits until it is gone.
    ///
    /// # Errors
    /// It goes on.
    pub(crate) async fn gone(&self) -> Result<()> {
        let going = async {
            while self.runs() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(GONE_WITHIN, going).await.is_err() {
            bail!("{} does not end", self.spec.name);
        }
        Ok(())
    }

    /// Freezes it.
    ///
    /// # Errors
    /// It does not run.
    pub(crate) fn freeze(&self) -> Result<()> {
        Ok(kill(self.pid()?, Signal::SIGSTOP)?)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It does not run.
    pub(crate) fn thaw(&self) -> Result<()> {
        Ok(kill(self.pid()?, Signal::SIGCONT)?)
    }

    /// Lets its syncs be slow, or fail, until [`Self::unhinder`].
    ///
    /// # Errors
    /// There is no tracer, or it does not run.
    pub(crate) fn hinder(&self, syncs: &Syncs) -> Result<()> {
        let how = match syncs {
            Syncs::Slow(by) => format!("delay_enter={}", by.as_micros()),
            Syncs::Fail => "error=EIO".to_owned(),
        };
        let pid = self.pid()?.to_string();
        let tracer = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null"])
            .args(["-e", "trace=fsync,fdatasync,sync_file_range"])
            .args(["-e", &format!("inject=fsync,fdatasync:{how}")])
            .args(["-p", &pid])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("strace cannot be run: is it installed?")?;
        self.running().tracer = Some(tracer);
        Ok(())
    }

    /// Takes the tracer away.
    pub(crate) fn unhinder(&self) {
        let tracer = self.running().tracer.take();
        let Some(mut tracer) = tracer else { return };
        if let Ok(pid) = i32::try_from(tracer.id()) {
            // It lets go of what it traces, and ends.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = tracer.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut running = self.running();
        for child in [running.child.take(), running.tracer.take()] {
            let Some(mut child) = child else { continue };
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

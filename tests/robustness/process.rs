//! A process on a host of the run's network, that can be started and ended again.

use std::fs::File;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use anyhow::Context;
use anyhow::Result;

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
    /// Variables that its next start gets besides its own.
    more: Vec<(String, String)>,
}

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
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut running = self.running();
        let Some(mut child) = running.child.take() else {
            return;
        };
        let _ = child.kill();
        let _ = child.wait();
    }
}

//! A host of a run: what runs on it, its disk, and its wall clock.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Result;
use anyhow::bail;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::command::run;
use super::disk::Disk;
use super::process::Process;
use super::tracer::Syncs;
use super::tracer::Tracer;
use super::wall_clock;

/// A host with one program on it, which may be many processes. The order of fields is the order in
/// which it ends.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) process: Process,
    pub(crate) disk: Disk,
    namespace: String,
    /// Where it is told which syncs were hindered.
    trace: PathBuf,
    tracer: Mutex<Option<Tracer>>,
}

/// How long processes that were killed may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(20);

impl Host {
    /// The host in a namespace; `trace` is a file that it may write.
    pub(crate) fn new(process: Process, disk: Disk, namespace: String, trace: PathBuf) -> Self {
        Self {
            process,
            disk,
            namespace,
            trace,
            tracer: Mutex::default(),
        }
    }

    fn tracer(&self) -> MutexGuard<'_, Option<Tracer>> {
        self.tracer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All its processes.
    fn processes(&self) -> Result<Vec<Pid>> {
        let processes = run("ip", &["netns", "pids", &self.namespace])?;
        let processes = processes.lines().map(|line| Ok(line.trim().parse()?));
        processes
            .map(|pid: Result<i32>| pid.map(Pid::from_raw))
            .collect()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        for process in self.processes()? {
            // It may have ended meanwhile.
            let _ = kill(process, signal);
        }
        Ok(())
    }

    /// Ends all its processes at once, and waits until they are gone.
    ///
    /// # Errors
    /// They go on.
    pub(crate) async fn kill(&self) -> Result<()> {
        let going = async {
            loop {
                // One that was being made when the others were ended is found now.
                self.signal(Signal::SIGKILL)?;
                if !self.process.runs() && self.processes()?.is_empty() {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(GONE_WITHIN, going).await {
            Ok(gone) => gone?,
            Err(_) => bail!("{} does not end", self.process.name()),
        }
        self.unhinder();
        Ok(())
    }

    /// Freezes all its processes.
    ///
    /// # Errors
    /// Nobody knows which they are.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        // One that was being made meanwhile; nobody makes any now.
        self.signal(Signal::SIGSTOP)
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// Nobody knows which they are.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Lets their syncs be slow, or fail, until [`Self::unhinder`].
    ///
    /// # Errors
    /// There is no tracer, or nothing runs.
    pub(crate) fn hinder(&self, syncs: &Syncs) -> Result<()> {
        let tracer = Tracer::attach(&self.processes()?, syncs, &self.trace)?;
        *self.tracer() = Some(tracer);
        Ok(())
    }

    /// Takes the tracer away.
    pub(crate) fn unhinder(&self) {
        drop(self.tracer().take());
    }

    /// Whether a sync was hindered since [`Self::hinder`].
    #[must_use]
    pub(crate) fn was_hindered(&self) -> bool {
        self.tracer().as_ref().is_some_and(Tracer::has_hindered)
    }

    /// Moves the wall clock of all its processes, and of all that they will make, to so many seconds
    /// from the true one.
    ///
    /// # Errors
    /// Their clock cannot be reached.
    pub(crate) async fn set_clock(&self, ahead_s: i64) -> Result<()> {
        let set = self.set_clock_of_all(ahead_s).await;
        self.thaw()?;
        set
    }

    async fn set_clock_of_all(&self, ahead_s: i64) -> Result<()> {
        let mut done = Vec::new();
        loop {
            self.freeze()?;
            let processes = self.processes()?;
            if processes == done {
                return Ok(());
            }
            wall_clock::set(&processes, ahead_s).await?;
            done = processes;
        }
    }
}

/// Several hosts lose their power in one moment, and with it what they had not synced; then they get
/// it back, and their programs are started again.
///
/// # Errors
/// A disk cannot be taken as it was.
pub(crate) async fn cut_power(hosts: &[&Host]) -> Result<()> {
    for host in hosts {
        host.freeze()?;
    }
    for host in hosts {
        host.disk.cut_power()?;
    }
    for host in hosts {
        host.kill().await?;
        host.disk.restore_power()?;
        host.process.begin()?;
    }
    Ok(())
}

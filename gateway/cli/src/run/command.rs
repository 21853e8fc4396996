//! The command and its end, as the enforcer sees them: when to ask, when to kill, what is left.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::time::Duration;

use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use nix::sys::signal::killpg;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::cgroup::Cgroup;
use super::protocol::Order;
use super::protocol::Report;
use super::protocol::Start;
use super::protocol::Status;
use super::tree;

/// What the command leaves behind may end by itself first, as a `tee` does at the end of its input.
const LEFTOVERS_UNASKED: Duration = Duration::from_millis(500);

/// What the enforcer does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Waits for something to happen, at most until this time since boot.
    Until(Duration),
    /// Kills again soon: something is left.
    Killing,
    /// Nothing is left.
    Gone,
}

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Asked to end, or ended with something left behind.
    Ending,
    Killing,
}

/// The times before the lease's end.
#[derive(Debug, Clone, Copy)]
struct Margins {
    grace: Duration,
    kill: Duration,
    leftover: Duration,
}

/// The command, everything that it started, and the time that is left to it.
#[derive(Debug)]
pub(super) struct Command {
    group: Pid,
    cgroup: Option<Cgroup>,
    margins: Margins,
    phase: Phase,
    /// Whether the command itself has not ended yet.
    lives: bool,
    /// How often it was stopped.
    stops: u64,
    is_stopped: bool,
    /// When work must have stopped, since boot.
    ends: Duration,
    /// When the grace is over that does not depend on the lease.
    grace_over: Option<Duration>,
    /// When what the command has left behind is asked to end.
    ask_leftovers_at: Option<Duration>,
    has_reported_remaining: bool,
    is_left_alone: bool,
    reports: Vec<Report>,
}

impl Command {
    /// Starts it as the leader of a process group of its own, in a control group where possible.
    pub(super) fn start(start: &Start) -> Result<Self, String> {
        let mut words = start.words.iter().map(|word| OsStr::from_bytes(word));
        let program = words.next().ok_or("no command")?;
        let mut command = std::process::Command::new(program);
        command.args(words).process_group(0);
        let blocked = start
            .blocked
            .iter()
            .filter_map(|number| Signal::try_from(*number).ok());
        let blocked: SigSet = blocked.collect();
        let (spawned, cgroup) = Cgroup::with(|| {
            // The command has the signals of `run`'s caller; the enforcer blocks all.
            let own = blocked.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_SETMASK);
            let spawned = command.spawn();
            if let Ok(own) = own {
                let _ = own.thread_set_mask();
            }
            spawned
        });
        let child = spawned.map_err(|error| format!("{}: {error}", program.display()))?;
        let group = i32::try_from(child.id()).map_err(|error| error.to_string())?;
        Ok(Self {
            group: Pid::from_raw(group),
            cgroup,
            margins: Margins {
                grace: Duration::from_millis(start.grace_ms),
                kill: Duration::from_millis(start.kill_ms),
                leftover: Duration::from_millis(start.leftover_ms),
            },
            phase: Phase::Running,
            lives: true,
            stops: 0,
            is_stopped: false,
            ends: Duration::from_micros(start.ends_us),
            grace_over: None,
            ask_leftovers_at: None,
            has_reported_remaining: false,
            is_left_alone: false,
            reports: Vec::new(),
        })
    }

    pub(super) fn group(&self) -> Pid {
        self.group
    }

    pub(super) fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    pub(super) fn obey(&mut self, order: &Order, now: Duration) {
        match order {
            // Only once.
            Order::Start(_) => {}
            // Who was told that the lease is lost works no more, whatever comes.
            Order::Lease { .. } if self.phase != Phase::Running && self.lives => {}
            Order::Lease { ends_us } => self.ends = Duration::from_micros(*ends_us),
            Order::Drain { ends_us } => {
                self.ends = Duration::from_micros(*ends_us);
                self.ask();
            }
            Order::Signal { number } => {
                if let Ok(signal) = Signal::try_from(*number) {
                    self.send(signal);
                }
            }
            Order::Continue { stop } => {
                // What has happened since and was not collected yet counts, too.
                self.reap(now);
                if self.is_stopped && *stop == self.stops {
                    self.send(Signal::SIGCONT);
                }
            }
            Order::Kill => self.phase = Phase::Killing,
        }
    }

    /// `run` is gone, and nobody renews: the command has its grace, and no longer than the lease.
    pub(super) fn left_alone(&mut self, now: Duration) {
        if !std::mem::replace(&mut self.is_left_alone, true) {
            self.ask();
            let over = now + self.margins.grace;
            self.grace_over = Some(self.grace_over.map_or(over, |earlier| earlier.min(over)));
        }
    }

    /// Collects who has ended, and does what the time demands.
    pub(super) fn advance(&mut self, now: Duration) -> Progress {
        self.reap(now);
        let kill_at = self.kill_at();
        if self.phase == Phase::Running && now >= self.ask_at() {
            self.reports.push(Report::Late);
            self.ask();
        }
        if self.ask_leftovers_at.take_if(|at| now >= *at).is_some() {
            tree::signal_all(&[Signal::SIGTERM, Signal::SIGCONT]);
        }
        if now >= kill_at {
            self.phase = Phase::Killing;
        }
        if self.phase == Phase::Killing {
            self.kill();
            // What the kill has ended is a zombie of this process by now, or soon.
            self.reap(now);
        }
        match self.phase {
            _ if self.is_gone() => Progress::Gone,
            Phase::Killing => Progress::Killing,
            Phase::Ending => {
                let ask_at = self.ask_leftovers_at.unwrap_or(kill_at);
                Progress::Until(ask_at.min(kill_at))
            }
            Phase::Running => Progress::Until(self.ask_at()),
        }
    }

    /// Reports, once, who is still there although killed.
    pub(super) fn report_remaining(&mut self) {
        if !std::mem::replace(&mut self.has_reported_remaining, true) {
            let processes = tree::members().iter().map(tree::Member::told).collect();
            self.reports.push(Report::Remaining { processes });
        }
    }

    fn ask_at(&self) -> Duration {
        self.ends
            .saturating_sub(self.margins.kill + self.margins.grace)
    }

    fn kill_at(&self) -> Duration {
        let by_lease = self.ends.saturating_sub(self.margins.kill);
        self.grace_over.map_or(by_lease, |over| over.min(by_lease))
    }

    /// Asks everything to end.
    fn ask(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::Ending;
            self.send(Signal::SIGTERM);
            tree::signal_others(self.group, &[Signal::SIGTERM, Signal::SIGCONT]);
        }
    }

    /// Signals the command's group, and continues it: one that is stopped would not see the signal.
    fn send(&self, signal: Signal) {
        if !self.lives {
            return;
        }
        // The command has not been waited for, so the number is nobody else's.
        let _ = killpg(self.group, signal);
        if !matches!(signal, Signal::SIGTSTP | Signal::SIGWINCH) {
            let _ = killpg(self.group, Signal::SIGCONT);
        }
    }

    fn kill(&self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
        tree::kill_all();
    }

    fn reap(&mut self, now: Duration) {
        while let Some(status) = tree::reap() {
            let status = match status {
                WaitStatus::Stopped(pid, signal) if pid == self.group => {
                    self.stops += 1;
                    self.is_stopped = true;
                    if self.phase == Phase::Running {
                        let (signal, stop) = (signal as i32, self.stops);
                        self.reports.push(Report::Stopped { signal, stop });
                    }
                    continue;
                }
                WaitStatus::Continued(pid) if pid == self.group => {
                    self.is_stopped = false;
                    continue;
                }
                WaitStatus::Exited(pid, code) if pid == self.group => Status::Code(code),
                WaitStatus::Signaled(pid, signal, _) if pid == self.group => {
                    Status::Signal(signal as i32)
                }
                _ => continue,
            };
            self.lives = false;
            self.reports.push(Report::Ended { status });
            self.end_leftovers(now);
        }
    }

    /// What the command has left behind goes with it. While `run` renews, the lease is no limit.
    fn end_leftovers(&mut self, now: Duration) {
        let mut over = now + self.margins.leftover;
        if self.phase == Phase::Running {
            self.phase = Phase::Ending;
            self.ask_leftovers_at = Some(now + LEFTOVERS_UNASKED);
            over += LEFTOVERS_UNASKED;
        }
        self.grace_over = Some(self.grace_over.map_or(over, |earlier| earlier.min(over)));
    }

    fn is_gone(&self) -> bool {
        let is_populated = self.cgroup.as_ref().is_some_and(Cgroup::is_populated);
        !self.lives && !is_populated && tree::members().is_empty()
    }
}

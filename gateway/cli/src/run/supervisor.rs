//! Watches over a running command: its enforcer's reports, its lease, and the signals that come.

mod jobs;

use std::pin::Pin;
use std::time::Duration;

use leasehold_client::LockGuard;
use leasehold_client::Loss;
use leasehold_client::Moment;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::time::Sleep;

use super::super::exit::Failed;
use super::super::exit::SYSTEM;
use super::super::output::tell;
use super::handle::Handle;
use super::protocol::Order;
use super::protocol::Report;
use super::protocol::Status;
use super::protocol::micros;
use super::signals::Caught;
use super::signals::Signals;
use super::terminal;
use super::terminal::Terminal;
use super::tree;

/// How long the lock's watch may take to tell who has taken the lease away.
const EXPLAINED_WITHIN: Duration = Duration::from_millis(300);
/// How long the enforcer may take to kill and to report it.
const REPORTED_WITHIN: Duration = Duration::from_millis(100);
/// How long `run` waits after the lease for what cannot be killed.
const GIVES_UP_AFTER: Duration = Duration::from_secs(5);
/// The pause between two attempts to kill without an enforcer.
const KILL_PAUSE: Duration = Duration::from_millis(20);

/// How a command ended, when nothing is left of it.
#[derive(Debug)]
pub(super) struct Outcome {
    /// None if nobody collected it.
    pub(super) status: Option<Status>,
    pub(super) is_lost: bool,
    /// Whether the gateway has said that the lease is over: there is nothing to give back.
    pub(super) is_over: bool,
}

/// What happens to `run` while the command runs.
enum Happened {
    Reported(Option<Report>),
    LeaseChanged,
    Caught(Caught),
    GraceOver,
    TooLate,
}

/// Watches over one command.
#[derive(Debug)]
pub(super) struct Supervisor<'a> {
    handle: Handle,
    guard: &'a mut LockGuard,
    signals: &'a mut Signals,
    terminal: Option<Terminal>,
    /// The command's process group, once it runs.
    group: Option<Pid>,
    /// From the first signal that asks to end, to SIGKILL.
    grace: Duration,
    grace_over: Option<Pin<Box<Sleep>>>,
    asked_at: Option<Moment>,
    /// The enforcer kills so long before the lease's end.
    kill_margin: Duration,
    /// The end of the lease that the enforcer was told last.
    told_ends_us: u64,
    outcome: Outcome,
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(
        handle: Handle,
        guard: &'a mut LockGuard,
        signals: &'a mut Signals,
        grace: Duration,
        kill_margin: Duration,
    ) -> Self {
        Self {
            handle,
            guard,
            signals,
            terminal: Terminal::open(),
            group: None,
            grace,
            grace_over: None,
            asked_at: None,
            kill_margin,
            told_ends_us: 0,
            outcome: Outcome {
                status: None,
                is_lost: false,
                is_over: false,
            },
        }
    }

    /// Returns when nothing is left of the command, or when it could not be started.
    pub(super) async fn watch(mut self) -> Result<Outcome, Failed> {
        let result = loop {
            match self.next().await {
                Happened::Reported(Some(Report::Gone)) => break Ok(()),
                Happened::Reported(Some(Report::Refused { message })) => {
                    return Err(Failed::new(SYSTEM, message));
                }
                Happened::Reported(Some(report)) => self.reported(&report),
                Happened::Reported(None) => break self.without_enforcer().await,
                Happened::LeaseChanged => self.lease_changed().await,
                Happened::Caught(caught) => self.caught(caught),
                Happened::GraceOver => {
                    self.grace_over = None;
                    self.handle.order(&Order::Kill);
                }
                Happened::TooLate => {
                    self.kill_here().await;
                    self.late();
                    break Ok(());
                }
            }
        };
        if let (Some(terminal), Some(group)) = (&mut self.terminal, self.group) {
            terminal.take_back(group);
        }
        result.map(|()| self.outcome)
    }

    async fn next(&mut self) -> Happened {
        let grace_over = &mut self.grace_over;
        let grace_over = async {
            match grace_over {
                Some(sleep) => sleep.await,
                None => std::future::pending().await,
            }
        };
        // By then the enforcer has killed and reported. If it has not, it is itself stopped.
        let deadline = self.guard.deadline();
        let half = self.kill_margin / 2;
        let too_late = async {
            deadline.only_left(half).await;
            tokio::time::sleep(REPORTED_WITHIN).await;
        };
        tokio::select! {
            // What has been reported comes before conclusions from silence.
            biased;
            report = self.handle.next() => Happened::Reported(report),
            () = self.guard.changed(), if !self.outcome.is_over => Happened::LeaseChanged,
            caught = self.signals.next() => Happened::Caught(caught),
            () = grace_over => Happened::GraceOver,
            () = too_late => Happened::TooLate,
        }
    }

    fn reported(&mut self, report: &Report) {
        match report {
            Report::Started { group } => {
                let group = Pid::from_raw(*group);
                self.group = Some(group);
                if let Some(terminal) = &mut self.terminal
                    && !terminal::is_in_pipeline()
                {
                    // If it was stopped before, because it has read, that is reported.
                    terminal.give(group);
                }
            }
            Report::Stopped { signal, stop } => {
                if let Ok(signal) = Signal::try_from(*signal) {
                    self.stopped(signal, *stop);
                }
            }
            Report::Late => self.late(),
            Report::Ended { status } => {
                self.outcome.status = Some(*status);
                self.grace_over = None;
            }
            Report::Remaining { processes } => {
                let processes = processes.join(", ");
                tell(&format!("killed, but still there: {processes}"));
            }
            Report::Gone | Report::Refused { .. } => {}
        }
    }

    fn late(&mut self) {
        let stopped = "no renewal was confirmed in time: leasehold run was stopped, or the machine \
                       slept";
        let trouble = self.guard.status().trouble;
        self.lost(&trouble.unwrap_or_else(|| stopped.to_owned()));
    }

    /// Says once that the lock is lost.
    fn lost(&mut self, why: &str) {
        if !std::mem::replace(&mut self.outcome.is_lost, true) {
            tell(&format!("the lock is lost: {why}"));
        }
    }

    async fn lease_changed(&mut self) {
        let status = self.guard.status();
        let ends_us = micros(status.deadline.since_boot());
        match status.loss {
            None if self.told_ends_us != ends_us => {
                self.handle.order(&Order::Lease { ends_us });
            }
            Some(Loss::Draining(why)) if !self.outcome.is_lost => {
                self.handle.order(&Order::Drain { ends_us });
                self.outcome.is_lost = true;
                tell(&format!("the lock must be given back: {why}"));
            }
            Some(Loss::Ended(_)) => {
                self.handle.order(&Order::Kill);
                self.outcome.is_over = true;
                let loss = self.guard.explained(EXPLAINED_WITHIN).await;
                if let Some(Loss::Ended(why)) = loss {
                    self.lost(&why);
                }
            }
            None | Some(Loss::Draining(_) | Loss::NotRenewed(_)) => {}
        }
        self.told_ends_us = ends_us;
    }

    /// The enforcer has ended before the command: somebody has killed it.
    async fn without_enforcer(&mut self) -> Result<(), Failed> {
        self.kill_here().await;
        if self.outcome.status.is_some() || self.outcome.is_lost {
            return Ok(());
        }
        let message = "the process that ends the command in time was killed, so the command was \
                       killed, too";
        Err(Failed::new(SYSTEM, message))
    }

    /// Kills all descendants. This process is a subreaper, too: it has inherited them, or will.
    async fn kill_here(&mut self) {
        let begun = Moment::now();
        let cgroup = self.handle.cgroup();
        loop {
            if let Some(cgroup) = &cgroup {
                cgroup.kill();
            }
            tree::kill_all();
            while tree::reap().is_some() {}
            let members = tree::members();
            if members.is_empty() {
                return;
            }
            let in_time = self.guard.status().loss.is_none() && !self.outcome.is_lost;
            if !in_time && begun.elapsed() > GIVES_UP_AFTER {
                let told: Vec<String> = members.iter().map(tree::Member::told).collect();
                return tell(&format!("cannot be killed: {}", told.join(", ")));
            }
            tokio::time::sleep(KILL_PAUSE).await;
        }
    }
}

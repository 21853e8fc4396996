//! The process that ends the command in time: this program again, started by `run`.
//!
//! It is the command's parent and its subreaper, so whatever the command starts stays below it. It
//! lives in a process group of its own and blocks all signals, so it goes on when `run` is stopped
//! or killed. `run` tells it the lease's end at each renewal; when that comes near, it asks the
//! command to end, and then kills the whole tree, by a clock that counts suspension.

use std::fs::File;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::RawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use clap::Args;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SfdFlags;
use nix::sys::signalfd::SignalFd;

use super::super::exit::Failed;
use super::super::exit::SYSTEM;
use super::command::Command;
use super::command::Progress;
use super::protocol::Lines;
use super::protocol::Order;
use super::protocol::Report;
use super::protocol::line;
use super::timer::Timer;

/// The hidden command that makes this program an enforcer.
pub(crate) const ENFORCER: &str = "enforcer";

/// The pauses between two attempts to kill what is left: doubled from the first to the longest.
const KILL_PAUSE: Duration = Duration::from_millis(2);
const KILL_PAUSE_LONGEST: Duration = Duration::from_millis(100);
/// What is left so long after the first SIGKILL is reported.
const REMAINING_AFTER: Duration = Duration::from_secs(1);

/// The pipes to and from `run`, as inherited.
#[derive(Debug, Args)]
pub(crate) struct EnforcerArguments {
    orders: RawFd,
    reports: RawFd,
}

/// Starts the command, and ends it in time; returns when nothing is left of it.
pub(crate) fn enforce(arguments: &EnforcerArguments) -> Result<u8, Failed> {
    let failed = |what: &str, error: Errno| Failed::new(SYSTEM, format!("{what}: {error}"));
    SigSet::all()
        .thread_block()
        .map_err(|error| failed("cannot block signals", error))?;
    set_child_subreaper(true).map_err(|error| failed("cannot become a subreaper", error))?;
    let mut enforcer = Enforcer::open(arguments)?;
    enforcer.enforce()?;
    Ok(0)
}

#[derive(Debug)]
struct Enforcer {
    /// None when `run` is gone.
    orders: Option<File>,
    lines: Lines,
    reports: File,
    children: SignalFd,
    timer: Timer,
}

impl Enforcer {
    fn open(arguments: &EnforcerArguments) -> Result<Self, Failed> {
        let failed = |error: std::io::Error| Failed::new(SYSTEM, format!("/proc: {error}"));
        let system = |error: Errno| Failed::new(SYSTEM, error.to_string());
        let mut options = File::options();
        options.custom_flags(OFlag::O_NONBLOCK.bits());
        let inherited = |fd: RawFd| format!("/proc/self/fd/{fd}");
        let orders = options.clone().read(true).open(inherited(arguments.orders));
        let reports = options.write(true).open(inherited(arguments.reports));
        let (orders, reports) = (orders.map_err(failed)?, reports.map_err(failed)?);
        // Opened anew, they are closed for the command; as inherited, they would not be.
        for fd in [arguments.orders, arguments.reports] {
            nix::unistd::close(fd).map_err(system)?;
        }
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self {
            orders: Some(orders),
            lines: Lines::default(),
            reports,
            children: SignalFd::with_flags(&mask, flags).map_err(system)?,
            timer: Timer::new().map_err(system)?,
        })
    }

    fn enforce(&mut self) -> Result<(), Failed> {
        let Some(mut command) = self.start()? else {
            return Ok(());
        };
        let mut pause = KILL_PAUSE;
        let mut killing_since = None;
        loop {
            let now = self.timer.now();
            let progress = command.advance(now);
            if progress == Progress::Killing {
                let since = *killing_since.get_or_insert(now);
                if now >= since + REMAINING_AFTER {
                    command.report_remaining();
                }
            }
            for report in command.take_reports() {
                self.report(&report);
            }
            match progress {
                Progress::Gone => break,
                Progress::Until(at) => self.timer.set(at),
                Progress::Killing => {
                    self.timer.set(now + pause);
                    pause = (pause * 2).min(KILL_PAUSE_LONGEST);
                }
            }
            self.wait()?;
            self.hear(&mut command);
        }
        // Removes the control group before anybody can ask for it.
        drop(command);
        self.report(&Report::Gone);
        Ok(())
    }

    /// Waits for the first order, and starts the command. Nothing if `run` has gone before, or the
    /// command cannot be started.
    fn start(&mut self) -> Result<Option<Command>, Failed> {
        loop {
            if let Some(order) = self.lines.next() {
                let Order::Start(start) = order else { continue };
                return Ok(match Command::start(&start) {
                    Ok(command) => {
                        let group = command.group().as_raw();
                        self.report(&Report::Started { group });
                        Some(command)
                    }
                    Err(message) => {
                        self.report(&Report::Refused { message });
                        None
                    }
                });
            }
            if self.orders.is_none() {
                return Ok(None);
            }
            self.wait()?;
            self.read();
        }
    }

    /// Waits until an order arrives, a child changes, or the timer is due.
    fn wait(&self) -> Result<(), Failed> {
        let sources = [Some(self.children.as_fd()), Some(self.timer.as_fd())];
        let orders = self.orders.as_ref().map(AsFd::as_fd);
        let sources = sources.into_iter().chain([orders]).flatten();
        let mut polled: Vec<PollFd<'_>> = sources
            .map(|source| PollFd::new(source, PollFlags::POLLIN))
            .collect();
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Failed::new(SYSTEM, format!("poll: {error}"))),
        }
        while matches!(self.children.read_signal(), Ok(Some(_))) {}
        Ok(())
    }

    fn hear(&mut self, command: &mut Command) {
        self.read();
        while let Some(order) = self.lines.next() {
            command.obey(&order, self.timer.now());
        }
        if self.orders.is_none() {
            command.left_alone(self.timer.now());
        }
    }

    /// Reads what has arrived.
    fn read(&mut self) {
        let mut bytes = [0; 4_096];
        while let Some(orders) = &mut self.orders {
            match orders.read(&mut bytes) {
                Ok(0) => self.orders = None,
                Ok(length) => self.lines.feed(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.orders = None,
            }
        }
    }

    /// `run` may be stopped or gone: what it does not read is not waited for.
    fn report(&mut self, report: &Report) {
        let _ = self.reports.write_all(&line(report));
    }
}

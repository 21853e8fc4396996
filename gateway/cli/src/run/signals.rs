//! Signals to `run` itself. They are blocked and read, so none ends `run` before its command.

use nix::sys::resource::Resource;
use nix::sys::resource::setrlimit;
use nix::sys::signal::SigSet;
use nix::sys::signal::SigmaskHow;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::sys::signal::killpg;
use nix::sys::signal::raise;
use nix::sys::signalfd::SfdFlags;
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;
use nix::unistd::getpgrp;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::SignalKind;

use super::super::exit::Failed;
use super::super::exit::SYSTEM;
use super::tree;

/// What is read; SIGCHLD besides.
const READ: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// The kernel's own signals, such as those of a terminal's keys.
const SI_KERNEL: i32 = 0x80;

/// A signal that has arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caught {
    pub(super) signal: Signal,
    /// From a key of the terminal, or because the terminal is gone; else from a process.
    pub(super) is_of_terminal: bool,
}

impl Caught {
    /// Whether it asks to end.
    pub(super) fn ends(self) -> bool {
        let ends = [
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGTERM,
        ];
        ends.contains(&self.signal)
    }
}

/// The signals of this process, blocked before it has a second thread.
#[derive(Debug)]
pub(super) struct Blocked {
    read: SigSet,
    before: SigSet,
}

impl Blocked {
    /// Blocks what is read. What the caller has told this process to ignore stays ignored, by the
    /// command, too: that is how `nohup` works.
    pub(super) fn block() -> Result<Self, Failed> {
        let heard = READ.iter().copied().filter(|signal| !is_ignored(*signal));
        let mut read: SigSet = heard.collect();
        read.add(Signal::SIGCHLD);
        let before = read
            .thread_swap_mask(SigmaskHow::SIG_BLOCK)
            .map_err(|error| Failed::new(SYSTEM, format!("cannot block signals: {error}")))?;
        Ok(Self { read, before })
    }

    /// The signals that were blocked before.
    pub(super) fn before(&self) -> Vec<i32> {
        self.before.iter().map(|signal| signal as i32).collect()
    }

    /// Begins to read. Needs the runtime.
    pub(super) fn listen(&self) -> Result<Signals, Failed> {
        let failed = |error: String| Failed::new(SYSTEM, format!("cannot read signals: {error}"));
        // Where the caller ignores its children's ends, the kernel would not keep them for this
        // process and its enforcer either. A handler, even one that is never called, changes that.
        let handler = tokio::signal::unix::signal(SignalKind::child());
        drop(handler.map_err(|error| failed(error.to_string()))?);
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let signals = SignalFd::with_flags(&self.read, flags);
        let signals = signals.map_err(|error| failed(error.to_string()))?;
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe; a SignalFd keeps its descriptor open"
        )]
        let signals = AsyncFd::new(signals).map_err(|error| failed(error.to_string()))?;
        Ok(Signals(signals))
    }
}

/// Whether this process ignores a signal.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok());
    ignored.is_some_and(|bits| bits & (1 << (signal as u64 - 1)) != 0)
}

/// What is read.
#[derive(Debug)]
pub(super) struct Signals(AsyncFd<SignalFd>);

impl Signals {
    /// The next one. Children that have ended are collected meanwhile: as the first process of a
    /// container `run` inherits all orphans.
    pub(super) async fn next(&mut self) -> Caught {
        loop {
            if let Some(caught) = self.pending() {
                return caught;
            }
            match self.0.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                // The runtime is shutting down.
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// The next one, if it has arrived already.
    pub(super) fn pending(&mut self) -> Option<Caught> {
        loop {
            let info = self.0.get_ref().read_signal().ok()??;
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            match Signal::try_from(number) {
                Ok(Signal::SIGCHLD) => while tree::reap().is_some() {},
                Ok(signal) => {
                    return Some(Caught {
                        signal,
                        is_of_terminal: info.ssi_code == SI_KERNEL,
                    });
                }
                Err(_) => {}
            }
        }
    }

    /// The next one that asks to end.
    pub(super) async fn next_end(&mut self) -> Signal {
        loop {
            let caught = self.next().await;
            if caught.ends() {
                return caught.signal;
            }
        }
    }
}

/// Stops this process, as the terminal's Ctrl-Z does, and returns when it was continued.
pub(super) fn stop_alone() {
    let _ = kill(Pid::this(), Signal::SIGTSTP);
    obey_stop(Signal::SIGTSTP);
}

/// Stops the process group of this process by `signal`, and returns when it was continued. Nothing
/// stays stopped if `still_wanted`, which is asked after the signal was sent, says no.
pub(super) fn stop_group(signal: Signal, still_wanted: impl FnOnce() -> bool) {
    let _ = killpg(getpgrp(), signal);
    if still_wanted() {
        obey_stop(signal);
    } else {
        let _ = killpg(getpgrp(), Signal::SIGCONT);
    }
}

/// Lets a stop signal that was sent to this process, and is blocked, take effect.
///
/// The shell may continue this process before it has stopped. The kernel drops pending stop signals
/// when SIGCONT is sent, so a process that was continued does not stop here any more.
fn obey_stop(signal: Signal) {
    if is_ignored(signal) {
        let _ = raise(Signal::SIGSTOP);
        return;
    }
    let mut only = SigSet::empty();
    only.add(signal);
    let _ = only.thread_unblock();
    let _ = only.thread_block();
}

/// Ends this process by a signal, as its command ended: a shell stops its loop only then. Returns
/// if the signal is ignored, as by the first process of a container.
pub(super) fn die_by(signal: Signal) {
    // The core of this process is of no use to anybody.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let mut only = SigSet::empty();
    only.add(signal);
    let _ = only.thread_unblock();
    let _ = raise(signal);
}

//! `leasehold run`: a command under a lock.
//!
//! The child is gone before the lock can be granted to another: the deadline counts from the send
//! time of the last confirmed renewal, SIGTERM is sent `--grace` before it, and SIGKILL a little
//! before it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use clap::Args;
use leasehold_client::Client;
use leasehold_client::LockGuard;
use leasehold_client::LockOptions;
use leasehold_client::Loss;
use leasehold_client::Waiting;
use leasehold_wire::v1::locks as wire;
use nix::sys::signal::Signal;
use nix::sys::signal::killpg;
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::process::Command;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use super::connection::Connection;
use super::connection::block_on;
use super::connection::duration_ms;
use super::connection::label;
use super::connection::split;
use super::exit::Failed;
use super::exit::LOST;
use super::exit::SYSTEM;

/// SIGKILL is sent so long before the deadline: the kernel's own time to end a process.
const KILL_MARGIN: Duration = Duration::from_millis(250);

/// Run a command under a lock.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// NAMESPACE/LOCK
    #[arg(long)]
    lock: String,
    /// How long the lock stays taken if this machine dies.
    #[arg(long, default_value = "30s", value_parser = duration_ms)]
    ttl: u64,
    /// How long to wait for the lock; for ever if absent.
    #[arg(long, value_parser = duration_ms)]
    wait: Option<u64>,
    /// How long the command may take to end after SIGTERM, at most a third of the ttl.
    #[arg(long, default_value = "5s", value_parser = duration_ms)]
    grace: u64,
    /// Hold it together with others, with so many permits.
    #[arg(long, value_name = "PERMITS")]
    shared: Option<u32>,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
    /// KEY=VALUE
    #[arg(long, value_parser = label)]
    label: Vec<(String, String)>,
    #[command(flatten)]
    connection: Connection,
    /// The command.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Waits for the lock, runs the command, gives the lock back; answers the exit code.
pub(super) fn run(arguments: RunArguments) -> Result<u8, Failed> {
    let client = arguments.connection.client()?;
    block_on(under_lock(&client, arguments))
}

async fn under_lock(client: &Client, arguments: RunArguments) -> Result<u8, Failed> {
    let mut stop = Stop::listen()?;
    let (namespace, lock) = split(&arguments.lock)?;
    let options = LockOptions {
        namespace: namespace.to_owned(),
        lock: lock.to_owned(),
        request: wire::AcquireRequest {
            mode: super::lock::mode(arguments.shared),
            permits: arguments.shared,
            ttl_ms: arguments.ttl,
            labels: arguments.label.iter().cloned().collect(),
            reason: arguments.reason.clone(),
            ..wire::AcquireRequest::default()
        },
        wait: arguments.wait.map(Duration::from_millis),
    };
    let guard = tokio::select! {
        guard = client.hold(options, show) => guard?,
        signal = stop.next() => return Ok(128 + signal as u8),
    };
    let grace = Duration::from_millis(arguments.grace.min(arguments.ttl / 3));
    let mut child = spawn(&arguments, &guard)?;
    let (guard, result) = supervise(&mut child, guard, &mut stop, grace).await;
    let released = guard.release().await;
    if let (Ok(_), Err(error)) = (&result, released) {
        tell(&format!("the lock was not given back: {error}"));
    }
    result
}

/// Starts the command in a process group of its own, so that its children are ended with it.
fn spawn(arguments: &RunArguments, guard: &LockGuard) -> Result<Child, Failed> {
    let grant = guard.grant();
    let (program, rest) = arguments
        .command
        .split_first()
        .unwrap_or_else(|| unreachable!("required"));
    let mut command = Command::new(program);
    command
        .args(rest)
        .env("LEASEHOLD_LOCK", &arguments.lock)
        .env("LEASEHOLD_FENCING_TOKEN", grant.fencing_token.to_string())
        .env("LEASEHOLD_LEASE_ID", &grant.lease_id)
        .env_remove("LEASEHOLD_KEY")
        .process_group(0)
        .kill_on_drop(true);
    command
        .spawn()
        .map_err(|error| Failed::new(SYSTEM, format!("{program}: {error}")))
}

/// Waits for the child's end, the lock's loss, or a signal, whichever comes first.
async fn supervise(
    child: &mut Child,
    mut guard: LockGuard,
    stop: &mut Stop,
    grace: Duration,
) -> (LockGuard, Result<u8, Failed>) {
    loop {
        tokio::select! {
            ended = child.wait() => return (guard, code(ended)),
            loss = guard.lost(grace + KILL_MARGIN) => {
                let message = match &loss {
                    Loss::Ended(why) | Loss::NotRenewed(why) => format!("the lock is lost: {why}"),
                    Loss::Draining(cause) => format!("the lock must be given back: {cause}"),
                };
                tell(&message);
                end(child, &guard, grace).await;
                return (guard, Err(Failed::new(LOST, message)));
            }
            signal = stop.next() => send(child, signal),
        }
    }
}

/// SIGTERM, and SIGKILL when the grace is over or the deadline is near.
async fn end(child: &mut Child, guard: &LockGuard, grace: Duration) {
    send(child, Signal::SIGTERM);
    let kill_at = guard.deadline().minus(KILL_MARGIN);
    let ended = tokio::select! {
        ended = child.wait() => ended.is_ok(),
        () = tokio::time::sleep(grace) => false,
        () = tokio::time::sleep_until(kill_at.into()) => false,
    };
    if !ended {
        send(child, Signal::SIGKILL);
        if let Err(error) = child.wait().await {
            tell(&format!("the command cannot be waited for: {error}"));
        }
    }
}

/// Signals the child's whole process group. A group that is gone needs no signal.
fn send(child: &Child, signal: Signal) {
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(group) = group {
        let _ = killpg(Pid::from_raw(group), signal);
    }
}

fn code(ended: std::io::Result<ExitStatus>) -> Result<u8, Failed> {
    let status = ended.map_err(|error| Failed::new(SYSTEM, error.to_string()))?;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    Ok(u8::try_from(code).unwrap_or(1))
}

/// Signals to this process, passed on to the child.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> Result<Self, Failed> {
        let listen = |kind| signal(kind).map_err(|error| Failed::new(SYSTEM, error.to_string()));
        let (interrupt, terminate) = (
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
        );
        Ok(Self {
            interrupt,
            terminate,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.terminate.recv() => Signal::SIGTERM,
        }
    }
}

fn show(waiting: &Waiting) {
    let place = waiting
        .position
        .map(|place| format!(", {place} before us"))
        .unwrap_or_default();
    let holders = waiting.holders.join(", ");
    let holders = if holders.is_empty() {
        "nobody yet".to_owned()
    } else {
        holders
    };
    tell(&format!("waiting: held by {holders}{place}"));
}

#[expect(
    clippy::print_stderr,
    reason = "standard output belongs to the command"
)]
fn tell(message: &str) {
    eprintln!("leasehold: {message}");
}

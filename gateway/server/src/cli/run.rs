//! `leasehold run`: a command under a lock.
//!
//! The command is gone before the lock can be granted to another: the deadline counts from the send
//! time of the last confirmed renewal, SIGTERM is sent `--grace` before it, and SIGKILL a little
//! before it. Whatever the command has started goes with it, also when `run` itself is killed.

pub(super) mod group;
mod signals;

use std::time::Duration;

use clap::Args;
use leasehold_client::Client;
use leasehold_client::LockGuard;
use leasehold_client::LockOptions;
use leasehold_client::Loss;
use leasehold_client::Waiting;
use leasehold_wire::v1::locks as wire;
use nix::sys::signal::Signal;
use tokio::process::Command;

use self::group::Group;
use self::signals::Signals;
use super::connection::Connection;
use super::connection::block_on;
use super::connection::duration_ms;
use super::connection::label;
use super::connection::split;
use super::exit::Failed;
use super::exit::LOST;

/// SIGKILL is sent so long before the deadline, or a tenth of the ttl if that is less.
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
    /// How long the command may take to end after SIGTERM, at most a quarter of the ttl.
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
    let mut signals = Signals::listen()?;
    let options = options(&arguments)?;
    let mut guard = tokio::select! {
        guard = client.hold(options, show) => guard?,
        // Who gives up waiting leaves the queue: the connection closes.
        signal = signals.next() => return Ok(128 + signal as u8),
    };
    let result = match Group::start(command(&arguments, &guard)) {
        Ok(mut group) => {
            let margins = Margins::of(&arguments, guard.grant());
            let result = supervise(&mut group, &mut guard, &mut signals, margins).await;
            group.end().await;
            result
        }
        Err(failed) => Err(failed),
    };
    let released = guard.release().await;
    if let (Ok(_), Err(error)) = (&result, released) {
        tell(&format!("the lock was not given back: {error}"));
    }
    result
}

fn options(arguments: &RunArguments) -> Result<LockOptions, Failed> {
    let (namespace, lock) = split(&arguments.lock)?;
    Ok(LockOptions {
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
        watch: true,
    })
}

fn command(arguments: &RunArguments, guard: &LockGuard) -> Command {
    let grant = guard.grant();
    let mut words = arguments.command.iter();
    let mut command = Command::new(words.next().unwrap_or_else(|| unreachable!("required")));
    command
        .args(words)
        .env("LEASEHOLD_LOCK", &arguments.lock)
        .env("LEASEHOLD_FENCING_TOKEN", grant.fencing_token.to_string())
        .env("LEASEHOLD_LEASE_ID", &grant.lease_id)
        .env_remove("LEASEHOLD_KEY");
    command
}

/// How long before the deadline the command is told to end, and made to.
#[derive(Debug, Clone, Copy)]
struct Margins {
    /// From SIGTERM to SIGKILL.
    grace: Duration,
    /// From SIGKILL to the deadline: the kernel's own time to end processes.
    kill: Duration,
}

impl Margins {
    /// A lease is renewed after a third of its ttl. What is kept back together is less than half
    /// of it, so that a short ttl leaves time for a slow answer.
    fn of(arguments: &RunArguments, grant: &wire::Grant) -> Self {
        let ttl = Duration::from_millis(grant.ttl_ms);
        Self {
            grace: Duration::from_millis(arguments.grace).min(ttl / 4),
            kill: KILL_MARGIN.min(ttl / 10),
        }
    }
}

/// Waits for the command's end, the lock's loss, or a signal, whichever comes first.
async fn supervise(
    group: &mut Group,
    guard: &mut LockGuard,
    signals: &mut Signals,
    margins: Margins,
) -> Result<u8, Failed> {
    let loss = loop {
        tokio::select! {
            ended = group.ended() => return ended,
            loss = guard.lost(margins.grace + margins.kill) => break loss,
            signal = signals.next() => group.send(signal),
        }
    };
    let message = match &loss {
        Loss::Ended(why) | Loss::NotRenewed(why) => format!("the lock is lost: {why}"),
        Loss::Draining(cause) => format!("the lock must be given back: {cause}"),
    };
    tell(&message);
    if !matches!(loss, Loss::Ended(_)) {
        group.send(Signal::SIGTERM);
        // A drain lasts until its deadline, unless it is ended before it.
        tokio::select! {
            _ = group.ended() => {}
            () = guard.over(margins.kill) => {}
        }
    }
    Err(Failed::new(LOST, message))
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

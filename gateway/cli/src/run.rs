//! `leasehold run`: a command under a lock.
//!
//! The command and everything that it started are gone before the lock can be granted to another.
//! A process of its own, the enforcer, sees to that: it goes on when `run` is stopped or killed.
//! The deadline counts from the send time of the last confirmed renewal, SIGTERM is sent `--grace`
//! before it, and SIGKILL a little before it.

mod cgroup;
mod command;
pub(super) mod enforcer;
mod handle;
mod protocol;
mod signals;
mod supervisor;
mod terminal;
mod timer;
mod tree;

use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use clap::Args;
use leasehold_client::Client;
use leasehold_client::Error;
use leasehold_client::LockGuard;
use leasehold_client::LockOptions;
use leasehold_client::Moment;
use leasehold_client::Waiting;
use leasehold_domain::limits;
use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::locks as wire;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::Signal;

use self::handle::Handle;
use self::protocol::Start;
use self::protocol::Status;
use self::protocol::micros;
use self::signals::Blocked;
use self::signals::Signals;
use self::signals::die_by;
use self::signals::stop_alone;
use self::supervisor::Outcome;
use self::supervisor::Supervisor;
use super::connection::Connection;
use super::connection::block_on;
use super::connection::duration_ms;
use super::connection::label;
use super::connection::split;
use super::exit::Failed;
use super::exit::LOST;
use super::output::tell;

/// SIGKILL is sent so long before the deadline, or a tenth of the ttl if that is less.
const KILL_MARGIN: Duration = Duration::from_millis(250);
/// The gateway keeps a released lock from being granted for so long at most.
const COOLDOWN_MAX: Duration = Duration::from_millis(limits::COOLDOWN_MS_MAX);
/// How often is looked whether the lock has been held long enough, as the machine may sleep.
const HOLD_TICK: Duration = Duration::from_secs(1);

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
    /// Do not wait: if somebody else holds the lock, do not run the command, and exit with this
    /// code.
    #[arg(
        long,
        value_name = "EXIT_CODE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0",
        conflicts_with = "wait"
    )]
    skip_if_held: Option<u8>,
    /// Keep the lock taken for at least so long after it was granted, also if the command and `run`
    /// end sooner.
    #[arg(long, value_name = "DURATION", value_parser = duration_ms)]
    hold_at_least: Option<u64>,
    /// How long the command may take to end after a signal that asks it to; then it is killed. If
    /// the lock is being lost, at most a quarter of the ttl.
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
    command: Vec<std::ffi::OsString>,
}

/// How `run` itself ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Code(u8),
    /// As a command that was ended by this signal.
    Signal(i32),
}

/// Waits for the lock, runs the command, gives the lock back; returns the exit code.
pub(super) fn run(arguments: RunArguments) -> Result<u8, Failed> {
    let client = arguments.connection.client()?;
    // Before the runtime has threads of its own, which would get the signals else.
    let blocked = Blocked::block()?;
    match block_on(under_lock(&client, arguments, &blocked))? {
        End::Code(code) => Ok(code),
        End::Signal(number) => {
            if let Ok(signal @ (Signal::SIGINT | Signal::SIGQUIT)) = Signal::try_from(number) {
                die_by(signal);
            }
            Ok(u8::try_from(128 + number).unwrap_or(1))
        }
    }
}

async fn under_lock(
    client: &Client,
    arguments: RunArguments,
    blocked: &Blocked,
) -> Result<End, Failed> {
    let mut signals = blocked.listen()?;
    let options = options(&arguments)?;
    let skips = arguments.skip_if_held;
    let show = |waiting: &Waiting| {
        if skips.is_none() {
            show(waiting);
        }
    };
    let held = tokio::select! {
        held = client.hold(options, show) => held,
        // Who gives up waiting leaves the queue: the connection closes.
        signal = ended_while_waiting(&mut signals) => return Ok(End::Signal(signal as i32)),
    };
    let mut guard = match (held, skips) {
        (Ok(guard), _) => guard,
        (Err(error), skips) => {
            let (Some(code), Some(why)) = (skips, who_holds(&error)) else {
                return Err(error.into());
            };
            tell(&format!(
                "the command was skipped: {}: {why}",
                arguments.lock
            ));
            return Ok(End::Code(code));
        }
    };
    let granted = Moment::now();
    let outcome = supervise(&arguments, &mut guard, &mut signals, blocked).await;
    match &outcome {
        Ok(outcome) if outcome.is_over => {}
        // Whoever asks for the lock back gets it. If the lease is over by now, that has been told.
        Ok(outcome) if outcome.is_lost => {
            let _ = release(guard, &mut signals, Duration::ZERO).await;
        }
        // A command that did not run needs no time after it.
        Err(_) => give_back(guard, &mut signals, None).await,
        Ok(_) => {
            let least = arguments.hold_at_least.map(Duration::from_millis);
            let until = least.map(|least| Until { granted, least });
            give_back(guard, &mut signals, until).await;
        }
    }
    let outcome = outcome?;
    Ok(match outcome.status {
        _ if outcome.is_lost => End::Code(LOST),
        Some(Status::Code(code)) => End::Code(u8::try_from(code).unwrap_or(1)),
        Some(Status::Signal(number)) => End::Signal(number),
        None => End::Code(LOST),
    })
}

/// Starts the command, and returns when nothing is left of it.
async fn supervise(
    arguments: &RunArguments,
    guard: &mut LockGuard,
    signals: &mut Signals,
    blocked: &Blocked,
) -> Result<Outcome, Failed> {
    // If the enforcer is killed, its children become this process's, which kills them.
    let _ = set_child_subreaper(true);
    let grant = guard.grant();
    let ttl = Duration::from_millis(grant.ttl_ms);
    let grace = Duration::from_millis(arguments.grace);
    // A lease is renewed after a third of its ttl. What is kept back together is less than half of
    // it, so that a short ttl leaves time for a slow answer.
    let kill_margin = KILL_MARGIN.min(ttl / 10);
    let words = arguments.command.iter().cloned();
    let start = Start {
        words: words.map(OsStringExt::into_vec).collect(),
        blocked: blocked.before(),
        ends_us: micros(guard.deadline().since_boot()),
        grace_ms: whole_ms(grace.min(ttl / 4)),
        kill_ms: whole_ms(kill_margin),
        leftover_ms: arguments.grace,
    };
    let environment = [
        ("LEASEHOLD_LOCK", Some(arguments.lock.clone())),
        (
            "LEASEHOLD_FENCING_TOKEN",
            Some(grant.fencing_token.to_string()),
        ),
        ("LEASEHOLD_LEASE_ID", Some(grant.lease_id.clone())),
        ("LEASEHOLD_KEY", None),
    ];
    let handle = Handle::start(start, &environment).await?;
    let supervisor = Supervisor::new(handle, guard, signals, grace, kill_margin);
    supervisor.watch().await
}

/// The time up to which the lock stays taken.
#[derive(Debug, Clone, Copy)]
struct Until {
    granted: Moment,
    least: Duration,
}

impl Until {
    fn left(self) -> Duration {
        self.least.saturating_sub(self.granted.elapsed())
    }
}

/// Gives the lock back, to be granted again after a time; a signal ends the wait for the answer.
async fn give_back(mut guard: LockGuard, signals: &mut Signals, until: Option<Until>) {
    if let Some(until) = until {
        hold_on(&mut guard, signals, until).await;
    }
    let left = until.map_or(Duration::ZERO, Until::left).min(COOLDOWN_MAX);
    if let Err(failure) = release(guard, signals, left).await {
        tell(&format!(
            "the lock was not given back, and stays taken until its ttl is over: {failure}"
        ));
    }
}

async fn release(
    guard: LockGuard,
    signals: &mut Signals,
    cooldown: Duration,
) -> Result<(), String> {
    let released = async {
        match cooldown.is_zero() {
            true => guard.release().await,
            false => guard.release_with_cooldown(cooldown).await,
        }
    };
    tokio::select! {
        released = released => released.map_err(|error| error.to_string()),
        signal = signals.next_end() => Err(format!("interrupted by {signal}")),
    }
}

/// Goes on holding the lock as long as the gateway could not keep it taken by itself. A signal ends
/// that.
async fn hold_on(guard: &mut LockGuard, signals: &mut Signals, until: Until) {
    let too_long = || until.left().saturating_sub(COOLDOWN_MAX);
    if too_long().is_zero() {
        return;
    }
    let minutes = COOLDOWN_MAX.as_secs() / 60;
    tell(&format!(
        "the command has ended; the lock is held on until {minutes} minutes before the time of \
         --hold-at-least, which the gateway keeps by itself"
    ));
    while !too_long().is_zero() {
        tokio::select! {
            () = tokio::time::sleep(too_long().min(HOLD_TICK)) => {}
            _ = guard.lost(Duration::ZERO) => return,
            _ = signals.next_end() => return,
        }
    }
}

/// Resolves when a signal ends the wait for the lock.
async fn ended_while_waiting(signals: &mut Signals) -> Signal {
    loop {
        let signal = signals.next().await.signal;
        match signal {
            Signal::SIGWINCH | Signal::SIGTTIN | Signal::SIGTTOU => {}
            Signal::SIGTSTP => {
                if tree::has_job_control() {
                    stop_alone();
                }
            }
            signal => return signal,
        }
    }
}

/// Who holds the lock, if that is why it was not granted.
fn who_holds(error: &Error) -> Option<&str> {
    let problem = error.problem()?;
    (problem.code == ErrorCode::Held).then_some(&problem.detail)
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn options(arguments: &RunArguments) -> Result<LockOptions, Failed> {
    let (namespace, lock) = split(&arguments.lock)?;
    let wait = match arguments.skip_if_held {
        Some(_) => Some(Duration::ZERO),
        None => arguments.wait.map(Duration::from_millis),
    };
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
        wait,
        watch: true,
    })
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

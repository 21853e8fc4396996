//! `leasehold serve`: opens the house, serves until told to stop, and closes it in order.

use std::fs::File;
use std::io::ErrorKind;
use std::io::IsTerminal;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::app;
use crate::app::AppError;
use crate::app::Running;
use crate::authentication::NewKey;
use crate::bootstrap;
use crate::config::Config;
use crate::config::ConfigError;
use crate::greeting;
use crate::greeting::FirstKey;
use crate::http;
use crate::listener::Listener;

/// `EX_UNAVAILABLE`: a part cannot be opened.
const EXIT_UNAVAILABLE: u8 = 69;
/// `EX_SOFTWARE`: the store has stopped for good in this process, after an I/O error or because one
/// of its background tasks is gone; what it holds must be read again.
const EXIT_STOPPED: u8 = 70;
/// Longest time from the stop of the store to the end of the process. The other members of its group
/// elect a leader meanwhile.
const STOPPED_MAX: Duration = Duration::from_secs(2);

/// The file in the data directory that gets the first key if standard output is no terminal.
const KEY_FILE: &str = "administrator.key";

/// `EX_USAGE`: the configuration is wrong.
const EXIT_USAGE: u8 = 64;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    App(#[from] AppError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("first start: {0}")]
    FirstStart(String),
    #[error(transparent)]
    Listen(#[from] crate::listener::ListenError),
    #[error("the first key cannot be written to {0}: {1}")]
    Key(PathBuf, std::io::Error),
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

impl StartError {
    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Config(_) => EXIT_USAGE,
            Self::App(_)
            | Self::FirstStart(_)
            | Self::Key(..)
            | Self::Listen(_)
            | Self::Output(_) => EXIT_UNAVAILABLE,
        })
    }
}

/// The signals that end the gateway.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Serves until SIGTERM or SIGINT; a second one cuts the drain short.
pub async fn serve(config: Arc<Config>) -> ExitCode {
    let mut stop = match Stop::listen() {
        Ok(stop) => stop,
        Err(error) => {
            tracing::error!(%error, "signals cannot be heard");
            return ExitCode::from(EXIT_UNAVAILABLE);
        }
    };
    let started = tokio::select! {
        started = start(config) => started,
        // It may wait for its cluster. Nobody was answered yet, so there is nothing to close.
        () = stop.asked() => return ExitCode::SUCCESS,
    };
    let (running, listeners) = match started {
        Ok(running) => running,
        Err(error) => {
            let problem = crate::input::plain(&error.to_string());
            tracing::error!(error = problem, "leasehold cannot start");
            return error.exit_code();
        }
    };
    let stopped = tokio::select! {
        () = stop.asked() => None,
        reason = running.stopped() => Some(reason),
    };
    running.begin_drain();
    let closing = async {
        drain(listeners, &mut stop).await;
        running.close().await;
    };
    let Some(reason) = stopped else {
        closing.await;
        return ExitCode::SUCCESS;
    };
    tracing::error!(
        reason,
        "the store has stopped; after an I/O error check the disk before you restart"
    );
    let mut closing = std::pin::pin!(closing);
    let closed = tokio::time::timeout(STOPPED_MAX, &mut closing).await;
    if closed.is_err() {
        tracing::warn!("requests in flight were cut off");
        // Nothing can become durable any more, so a clean end gains nothing over a crash, and
        // dropping the store would wait for a thread that may hang in a system call.
        std::process::exit(EXIT_STOPPED.into());
    }
    ExitCode::from(EXIT_STOPPED)
}

/// Lets requests under way finish, until their deadline or the next signal. Listeners that are
/// dropped close their connections.
async fn drain(listeners: Vec<Listener>, stop: &mut Stop) {
    let drained = futures_util::future::join_all(listeners.into_iter().map(Listener::drain));
    tokio::select! {
        _ = drained => {}
        () = stop.asked() => tracing::warn!("a second signal: connections are cut off"),
    }
}

type Started = (Running, Vec<Listener>);

/// Opens the house, prepares an empty store, and listens.
async fn start(config: Arc<Config>) -> Result<Started, StartError> {
    let running = app::open(config.clone()).await?;
    let given = match config.bootstrap.first_key()? {
        Some((source, text)) => {
            let key = NewKey::given(&text, "admin", "given to the first start");
            Some(key.map_err(|error| ConfigError::at(&source, error))?)
        }
        None => None,
    };
    let created = crate::telemetry::rfc3339(running.app.clock.wall());
    let demo = config.bootstrap.demo;
    let key = bootstrap::first_start(&running.app.governance, given, demo, &created)
        .await
        .map_err(|failure| {
            StartError::FirstStart(format!("{} ({:?})", failure.message, failure.detail))
        })?;
    let listeners = http::listen(&running.app).await?;
    for address in config.listen.unprotected() {
        tracing::warn!(
            %address,
            "listening beyond loopback without TLS: keys and leases can be read on the way; set \
             listen.tls"
        );
    }
    greet(&config, &listeners, key.as_deref())?;
    Ok((running, listeners))
}

/// Says where it listens. A reader that left after the line it wanted is no reason to stop.
fn greet(config: &Config, listeners: &[Listener], key: Option<&str>) -> Result<(), StartError> {
    let Some(main) = listeners.first() else {
        return Ok(());
    };
    let mut text = Vec::new();
    // First, because programs read no further than the line with the main address.
    for admin in &listeners[1..] {
        greeting::administration(&mut text, admin.scheme(), admin.address())?;
    }
    greeting::listening(&mut text, main.scheme(), main.address())?;
    let mut out = std::io::stdout().lock();
    if let Some(key) = key {
        let url = format!("{}://{}", main.scheme(), main.address());
        let demo = config.bootstrap.demo;
        if out.is_terminal() {
            greeting::first_start(&mut text, &url, FirstKey::Shown(key), demo)?;
        } else {
            // What is not a terminal is often kept: a container's log, a journal.
            let file = std::path::absolute(&config.storage.data_dir)?.join(KEY_FILE);
            write_key(&file, key).map_err(|error| StartError::Key(file.clone(), error))?;
            greeting::first_start(&mut text, &url, FirstKey::Written(&file), demo)?;
        }
    }
    match out.write_all(&text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            tracing::warn!("nobody reads standard output; where to listen was said in vain");
            Ok(())
        }
        written => Ok(written?),
    }
}

/// Writes the first administrator's key to a file that only this user can read.
fn write_key(file: &Path, key: &str) -> std::io::Result<()> {
    // One that was left there may have other permissions.
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    let mut written = options.open(file)?;
    written.write_all(key.as_bytes())?;
    written.sync_all()
}

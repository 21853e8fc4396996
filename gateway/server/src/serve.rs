//! `leasehold serve`: opens the house, serves until told to stop, and closes it in order.

use std::io::ErrorKind;
use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::authentication::NewKey;
use leasehold_core::config::Config;
use leasehold_core::config::ConfigError;
use leasehold_core::data_dir::first_key_file;
use leasehold_http::listener::Listener;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::app;
use crate::app::AppError;
use crate::app::Running;
use crate::bootstrap;
use crate::bootstrap::FirstStart;
use crate::greeting;
use crate::greeting::FirstKey;

/// `EX_UNAVAILABLE`: a part cannot be opened.
const EXIT_UNAVAILABLE: u8 = 69;
/// `EX_SOFTWARE`: the store has stopped for good in this process, after an I/O error or because one
/// of its background tasks is gone; what it holds must be read again.
const EXIT_STOPPED: u8 = 70;
/// Longest time from the stop of the store to the end of the process. The other members of its group
/// elect a leader meanwhile.
const STOPPED_MAX: Duration = Duration::from_secs(2);

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
    Listen(#[from] leasehold_http::listener::ListenError),
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

impl StartError {
    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Config(_) => EXIT_USAGE,
            Self::App(_) | Self::FirstStart(_) | Self::Listen(_) | Self::Output(_) => {
                EXIT_UNAVAILABLE
            }
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
            let problem = leasehold_core::input::plain(&error.to_string());
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
    let created = leasehold_core::telemetry::rfc3339(running.app.clock.wall());
    // What is not a terminal is often kept: a container's log, a journal.
    let key_file = match std::io::stdout().is_terminal() {
        true => None,
        false => Some(first_key_file(&std::path::absolute(
            &config.storage.data_dir,
        )?)),
    };
    let how = FirstStart {
        given,
        key_file: key_file.as_deref(),
        demo: config.bootstrap.demo,
        created: &created,
    };
    let key = bootstrap::first_start(&running.app.governance, how).await;
    let key = key.map_err(|failure| {
        StartError::FirstStart(format!("{} ({:?})", failure.message, failure.detail))
    })?;
    let listeners = leasehold_http::listen(&running.app).await?;
    for address in config.listen.unprotected() {
        tracing::warn!(
            %address,
            "listening beyond loopback without TLS: keys and leases can be read on the way; set \
             listen.tls"
        );
    }
    let key = key.as_deref().map(|key| match &key_file {
        Some(file) => FirstKey::Written(file),
        None => FirstKey::Shown(key),
    });
    greet(&listeners, key, config.bootstrap.demo)?;
    Ok((running, listeners))
}

/// Says where it listens. A reader that left after the line it wanted is no reason to stop.
fn greet(listeners: &[Listener], key: Option<FirstKey<'_>>, demo: bool) -> std::io::Result<()> {
    let Some(main) = listeners.first() else {
        return Ok(());
    };
    let mut text = Vec::new();
    // First, because programs read no further than the line with the main address.
    for admin in &listeners[1..] {
        greeting::administration(&mut text, admin.scheme(), admin.address())?;
    }
    greeting::listening(&mut text, main.scheme(), main.address())?;
    if let Some(key) = key {
        let url = format!("{}://{}", main.scheme(), main.address());
        greeting::first_start(&mut text, &url, key, demo)?;
    }
    let mut out = std::io::stdout().lock();
    match out.write_all(&text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            tracing::warn!("nobody reads standard output; where to listen was said in vain");
            Ok(())
        }
        written => written,
    }
}

//! A home store on other machines that does not answer yet, or refuses us: asked until it does. A
//! gateway that is started before its store, or while that elects a leader, waits for it as one
//! without a quorum waits for its cluster.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::config::Config;
use leasehold_core::failure::FailureKind;
use leasehold_core::telemetry::Metrics;
use leasehold_domain::Clock;
use leasehold_http::waiting;
use leasehold_http::waiting::Waiting;
use tokio::sync::watch;

use super::AppError;
use super::backends;
use super::backends::Opened;

const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// What the gateway says that it does.
const WAITS: &str = "waits for its store";

/// Opens the home store as soon as it answers. Says meanwhile that the gateway lives.
///
/// # Errors
/// What no waiting mends: the configuration, what is stored, or a taken address.
pub(super) async fn open_when_there(
    config: &Config,
    clock: Arc<dyn Clock>,
    metrics: &Metrics,
) -> Result<Opened, AppError> {
    let (mut pause, mut listening) = (PAUSE_MIN, None);
    let says = watch::Sender::new(Waiting::unavailable(WAITS));
    let folder = &config.storage.data_dir;
    let opened = loop {
        let opening = backends::open_shared(config.storage.chosen(), folder, clock.clone());
        let (kind, problem) = match opening.await {
            Err(AppError::StoreAway(problem)) => (FailureKind::Unavailable, problem),
            Err(AppError::StoreFenced(problem)) => (FailureKind::Fenced, problem),
            settled => break settled?,
        };
        tracing::warn!(problem, "storage.open failed; again in {pause:?}");
        says.send_replace(Waiting {
            kind,
            does: format!("{WAITS}: {problem}"),
        });
        if listening.is_none() {
            listening = Some(waiting::listen(config, metrics, says.subscribe()).await?);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    };
    if let Some(listening) = listening {
        listening.drain().await;
    }
    Ok(opened)
}

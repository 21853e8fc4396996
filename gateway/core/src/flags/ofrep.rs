//! A flag service that speaks `OpenFeature`'s remote evaluation protocol (OFREP).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;

use leasehold_domain::Clock;
use reqwest::header::HeaderValue;

use super::FlagSnapshot;
use super::FlagSource;
use super::client::FlagClientError;
use super::client::OfrepClient;
use super::client::PollFailure;
use super::client::Polled;
use super::parse::evaluations;
use crate::config::FlagService;
use crate::telemetry::Metrics;

/// The flags of a service, polled while an open rollout names one.
#[derive(Debug)]
pub struct OfrepSource {
    client: OfrepClient,
    every: Duration,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    snapshot: RwLock<Arc<FlagSnapshot>>,
    /// One poll at a time.
    polling: tokio::sync::Mutex<Polling>,
}

/// What is kept between two polls.
#[derive(Debug, Default)]
struct Polling {
    wanted: BTreeSet<String>,
    /// The entity tag of the last answer, if that answer was read for the wanted flags.
    tag: Option<HeaderValue>,
    /// When the service is polled next.
    due: Duration,
    /// Until when the service has asked not to be polled.
    paused_until: Duration,
    /// When the service last answered.
    answered: Option<Duration>,
}

impl FlagSource for OfrepSource {
    fn snapshot(&self) -> Arc<FlagSnapshot> {
        self.snapshot
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl OfrepSource {
    /// Makes the source, which polls nothing yet.
    ///
    /// # Errors
    /// The key of the service cannot be read or used.
    pub fn new(
        settings: &FlagService,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, FlagClientError> {
        let empty = FlagSnapshot::empty(Duration::from_millis(settings.stale_after_ms));
        Ok(Self {
            client: OfrepClient::new(settings)?,
            every: Duration::from_millis(settings.poll_interval_ms),
            clock,
            metrics,
            snapshot: RwLock::new(Arc::new(empty)),
            polling: tokio::sync::Mutex::default(),
        })
    }

    /// Polls the service if that is due, and at once if other flags are wanted than before.
    pub async fn look(&self, wanted: &BTreeSet<String>) {
        let now = self.clock.monotonic();
        let mut polling = self.polling.lock().await;
        if polling.wanted != *wanted {
            self.replace(|snapshot| snapshot.with_flags(wanted));
            polling.wanted.clone_from(wanted);
            polling.tag = None;
            polling.due = polling.paused_until;
        }
        if !wanted.is_empty() && now >= polling.due {
            polling.due = now + self.every;
            self.poll(&mut polling, now).await;
        }
        let answered = polling.answered.filter(|_| !wanted.is_empty());
        let age = answered.map_or(Duration::ZERO, |answered| {
            self.clock.monotonic().saturating_sub(answered)
        });
        self.metrics.flag_answer_age(age);
    }

    async fn poll(&self, polling: &mut Polling, now: Duration) {
        let polled = self.client.poll(polling.tag.as_ref(), self.clock.wall());
        let outcome = match polled.await {
            Ok(Polled::Unchanged) => {
                self.replace(|snapshot| snapshot.confirmed(now));
                Ok("unchanged")
            }
            Ok(Polled::Answer(body, tag)) => match evaluations(&body, &polling.wanted) {
                Ok(evaluations) => {
                    polling.tag = tag;
                    self.replace(|snapshot| snapshot.answered(evaluations, now));
                    Ok("answered")
                }
                Err(problem) => Err(PollFailure::new("malformed", problem)),
            },
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(outcome) => {
                polling.answered = Some(now);
                self.metrics.flag_poll(outcome);
            }
            Err(failure) => {
                self.metrics.flag_poll(failure.outcome);
                // Once for each problem, not at each poll.
                if self.snapshot().problem() != Some(&failure.problem) {
                    tracing::warn!(problem = %failure.problem, "flags.poll failed; the last answers hold");
                }
                if let Some(pause) = failure.retry_after {
                    polling.paused_until = now + pause;
                    polling.due = polling.due.max(polling.paused_until);
                }
                self.replace(|snapshot| snapshot.failed(failure.problem));
            }
        }
    }

    fn replace(&self, with: impl FnOnce(FlagSnapshot) -> FlagSnapshot) {
        let new = Arc::new(with(FlagSnapshot::clone(&self.snapshot())));
        *self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner) = new;
    }
}

#[cfg(test)]
mod tests;

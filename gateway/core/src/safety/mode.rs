//! Safe mode of one store: what the way of a request sees of it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use leasehold_domain::Operation;
use leasehold_domain::StoreName;
use rand::RngExt;
use tokio::sync::watch;

use super::agreement::Rules;
use super::evidence::Evidence;
use super::incidents::Incidents;
use crate::config::Config;
use crate::config::SafeModeEnd;
use crate::failure::Failure;
use crate::telemetry::SafeModeMetrics;

/// What safe mode goes by on this gateway, the same for all its stores.
#[derive(Debug, Clone)]
pub struct Safety {
    pub(crate) rules: Rules,
    pub(crate) end: SafeModeEnd,
    /// When stores were in safe mode.
    pub incidents: Arc<Incidents>,
    /// Above how many events that the ledger does not have nothing is granted.
    pub(crate) unwritten_events_max: u64,
}

impl Safety {
    /// As configured, with the incidents of earlier starts.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn open(config: &Config) -> Result<Self, String> {
        let path = config.storage.data_dir.join("incidents.json");
        let failed = |error| format!("{}: {error}", path.display());
        let incidents = Incidents::open(path.clone(), config.safe_mode.gateway());
        Ok(Self {
            rules: Rules::configured(&config.safe_mode),
            end: config.safe_mode.end,
            incidents: Arc::new(incidents.map_err(failed)?),
            unwritten_events_max: config.audit.unwritten_events_max,
        })
    }
}

/// Safe mode of one store. Each request that would begin an ownership asks it with one relaxed
/// load; the task [`super::Watchman`] turns it on and off.
#[derive(Debug)]
pub struct SafeMode {
    pub(crate) store: StoreName,
    pub(crate) rules: Rules,
    pub(crate) end: SafeModeEnd,
    pub(crate) incidents: Arc<Incidents>,
    pub(crate) metrics: SafeModeMetrics,
    evidence: Evidence,
    on: AtomicBool,
    refused: AtomicU64,
    /// The incident that lasts.
    incident: watch::Sender<Option<Arc<str>>>,
}

impl SafeMode {
    /// Of a store that has just been opened. An incident that lasted when the gateway ended lasts
    /// on.
    pub(crate) fn new(store: &StoreName, safety: &Safety, metrics: SafeModeMetrics) -> Self {
        let open = safety.incidents.open_of(store.as_str());
        let this = Self {
            store: store.clone(),
            rules: safety.rules,
            end: safety.end,
            incidents: safety.incidents.clone(),
            evidence: Evidence::default(),
            on: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            incident: watch::Sender::new(None),
            metrics,
        };
        if let Some(open) = open {
            this.evidence.count_from(open.failed);
            this.refused.store(open.refused, Relaxed);
            this.begin(open.id.into());
        }
        this
    }

    /// Whether a request may go on: not if it would begin an ownership while the store is in safe
    /// mode.
    ///
    /// # Errors
    /// `safe_mode`, without effect, with the incident's id.
    pub(crate) fn admit(&self, operation: Operation) -> Result<(), Failure> {
        if !self.on.load(Relaxed) || !begins_ownership(operation) {
            return Ok(());
        }
        match self.incident() {
            Some(incident) => Err(self.refuse(incident)),
            None => Ok(()),
        }
    }

    /// Resolves with the refusal of who waits for a grant, once the store is in safe mode.
    pub(crate) async fn refuses(&self) -> Failure {
        let mut incident = self.incident.subscribe();
        let began = incident.wait_for(Option::is_some).await;
        match began.ok().and_then(|incident| incident.clone()) {
            Some(incident) => self.refuse(incident),
            // The sender lives in `self`.
            None => std::future::pending().await,
        }
    }

    /// The incident that lasts; none outside of safe mode.
    pub fn incident(&self) -> Option<Arc<str>> {
        self.incident.borrow().clone()
    }

    /// What commands have left behind.
    pub(crate) fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// How many requests were refused in this incident.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    pub(crate) fn begin(&self, incident: Arc<str>) {
        self.incident.send_replace(Some(incident));
        self.on.store(true, Relaxed);
        self.metrics.on(true);
    }

    pub(crate) fn end(&self) {
        self.on.store(false, Relaxed);
        self.incident.send_replace(None);
        self.refused.store(0, Relaxed);
        self.metrics.on(false);
    }

    fn refuse(&self, incident: Arc<str>) -> Failure {
        self.refused.fetch_add(1, Relaxed);
        self.metrics.refused();
        let retry_after_ms = millis(self.come_again());
        if self.evidence.is_fenced() {
            return Failure::fenced(incident, retry_after_ms);
        }
        if self.evidence.is_outdated() {
            return Failure::outdated(incident, retry_after_ms);
        }
        Failure::safe_mode(self.store.as_str(), incident, retry_after_ms)
    }

    /// When it may be worth asking again: spread, so that not all who were refused come at once.
    fn come_again(&self) -> Duration {
        let soonest = match self.end {
            SafeModeEnd::Recovered => self.rules.probe_every * self.rules.recover_probes,
            SafeModeEnd::Acknowledged => self.rules.window,
        };
        soonest.mul_f64(rand::rng().random_range(1.0..=2.0))
    }
}

/// What begins an ownership, and so is refused. A transfer does, too: it ends the holder's lease in
/// favour of somebody who could not be granted the lock, and asked of a store that does not agree
/// it would leave the holder without knowing whether it still is one. What ends or keeps an
/// ownership, and what reads, is tried whatever the state.
pub(crate) fn begins_ownership(operation: Operation) -> bool {
    match operation {
        Operation::Acquire | Operation::Transfer => true,
        Operation::Renew
        | Operation::Release
        | Operation::Revoke
        | Operation::CancelWait
        | Operation::Configure => false,
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

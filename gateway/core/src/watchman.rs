//! The task that turns safe mode of one store on and off: looks, probes, and keeps the record. What
//! it goes by is in [`crate::safety::agreement`].

mod notes;

use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::Clock;
use leasehold_domain::WallMillis;
use rand::RngExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::config::SafeModeEnd;
use crate::safety::agreement::Agreement;
use crate::safety::agreement::Probe;
use crate::safety::incident::Ended;
use crate::safety::incident::EndedBy;
use crate::safety::incident::Incident;
use crate::safety::incident::LastGood;
use crate::safety::mode::SafeMode;
use crate::safety::mode::millis;
use crate::store_client::StoreClient;
use crate::telemetry::rfc3339;

/// How often the counts of an incident that lasts are kept over a restart.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// A probe, and what became of it.
type Probed = (Probe, Result<(), BackendError>);

/// The task of one store.
#[derive(Debug)]
pub(crate) struct Watchman {
    store: Arc<StoreClient>,
    mode: Arc<SafeMode>,
    clock: Arc<dyn Clock>,
    agreement: Agreement,
    /// When the incidents were last saved.
    saved: Duration,
    /// When the ledger was last asked to take what it lacks.
    recorded: Duration,
}

impl Watchman {
    pub(crate) fn new(store: Arc<StoreClient>, clock: Arc<dyn Clock>) -> Self {
        let mode = store.safe_mode().clone();
        let now = clock.monotonic();
        let agreement = match mode.incident() {
            None => Agreement::new(mode.rules, now),
            Some(_) => Agreement::resumed(mode.rules, now),
        };
        Self {
            store,
            mode,
            clock,
            agreement,
            saved: now,
            recorded: now,
        }
    }

    /// Watches until the store is closed.
    pub(crate) async fn watch(mut self, mut stopped: watch::Receiver<bool>) {
        let mut every = tokio::time::interval(self.mode.rules.look_every());
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut probes: JoinSet<Probed> = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => break,
                Some(probed) = probes.join_next() => {
                    let (probe, answer) = probed.unwrap_or_else(broken);
                    self.answered(probe, answer.as_ref().err());
                }
                _ = every.tick() => {}
            }
            self.look().await;
            if let Some(probe) = self.agreement.due() {
                let (store, patience) = (self.store.clone(), self.mode.rules.window);
                probes.spawn(async move { (probe, ask(&store, probe, patience).await) });
            }
        }
        if let Some(id) = self.mode.incident() {
            self.count(&id);
            self.save().await;
        }
    }

    fn answered(&mut self, probe: Probe, error: Option<&BackendError>) {
        if let Some(error) = error {
            self.mode.evidence().failed(error);
        }
        let now = self.clock.monotonic();
        let spread = rand::rng().random_range(0.75..=1.25);
        let rest = self.mode.rules.probe_every.mul_f64(spread);
        self.agreement.answered(now, probe, error.is_none(), rest);
    }

    async fn look(&mut self) {
        let now = self.clock.monotonic();
        if self.agreement.look(now, self.mode.evidence().seen()) {
            self.begin(now).await;
        }
        match self.mode.incident() {
            Some(id) => {
                if let Some(incident) = self.count(&id) {
                    self.watch_over(now, incident).await;
                }
            }
            None => {
                if self.agreement.newly_proven() {
                    self.mode.evidence().count_from(0);
                }
                self.catch_up(now).await;
            }
        }
    }

    /// Safe mode begins: first nothing is granted any more, then it is told.
    async fn begin(&mut self, now: Duration) {
        let wall = self.clock.wall();
        let evidence = self.mode.evidence();
        let (failed, last_error) = evidence.failures();
        let ago = |at: Duration| WallMillis(wall.0.saturating_sub(millis(now.saturating_sub(at))));
        let gateway = self.mode.incidents.gateway();
        let incident = Incident {
            window_ms: millis(self.mode.rules.window),
            last_success: evidence.newest().map(|good| LastGood {
                at: ago(good.at),
                operation: good.operation.as_str().to_owned(),
            }),
            failed,
            last_error,
            ..Incident::open(self.mode.store.as_str(), gateway, wall)
        };
        self.mode.begin(incident.id.as_str().into());
        self.mode.metrics.opened();
        tracing::error!(
            store = %self.mode.store,
            incident.id,
            window_ms = incident.window_ms,
            failed,
            error = incident.last_error.as_deref().unwrap_or_default(),
            "safe_mode.began: the store has not agreed for its window, nothing is granted"
        );
        self.mode.incidents.add(incident);
        self.save().await;
    }

    /// Brings the counts of the incident up to date.
    fn count(&self, id: &str) -> Option<Incident> {
        let (failed, last_error) = self.mode.evidence().failures();
        let refused = self.mode.refused();
        self.mode.incidents.change(id, |incident| {
            incident.refused = refused;
            incident.failed = failed;
            if last_error.is_some() {
                incident.last_error = last_error;
            }
        })
    }

    /// An incident that lasts: ends if it may, and is recorded as soon as the store works.
    async fn watch_over(&mut self, now: Duration, incident: Incident) {
        if now.saturating_sub(self.saved) >= SAVE_EVERY {
            self.save().await;
        }
        if !self.agreement.works() {
            return;
        }
        match (self.mode.end, &incident.acknowledged) {
            (SafeModeEnd::Recovered, _) => self.end(incident, EndedBy::Recovery).await,
            (SafeModeEnd::Acknowledged, Some(_)) => {
                self.end(incident, EndedBy::Acknowledgement).await;
            }
            (SafeModeEnd::Acknowledged, None) => {
                if incident.is_unrecorded() {
                    self.record(&incident).await;
                }
            }
        }
    }

    /// Ends safe mode once the ledger is certain to tell of it: nothing is granted before.
    async fn end(&mut self, mut incident: Incident, by: EndedBy) {
        let at = self.clock.wall();
        incident.ended = Some(Ended { at, by });
        if !self.record(&incident).await {
            self.agreement.failed();
            return;
        }
        self.agreement.end(self.clock.monotonic());
        self.mode.end();
        self.mode.evidence().count_from(0);
        tracing::warn!(
            store = %self.mode.store,
            incident.id,
            by = by.as_str(),
            began = rfc3339(incident.began),
            refused = incident.refused,
            "safe_mode.ended"
        );
    }

    /// Outside of safe mode: what the ledger lacks of incidents that have ended, such as an
    /// acknowledgement that came later.
    async fn catch_up(&mut self, now: Duration) {
        if now.saturating_sub(self.recorded) < self.mode.rules.probe_every {
            return;
        }
        self.recorded = now;
        if let Some(incident) = self.mode.incidents.unrecorded_of(self.mode.store.as_str()) {
            self.record(&incident).await;
        }
    }

    /// Has the ledger told what it lacks of an incident, which is then known as it is here. Answers
    /// whether it is durable. A gateway that ends before it has kept that, or that got no answer,
    /// tells the ledger again, under the same request id.
    async fn record(&mut self, incident: &Incident) -> bool {
        let missing = match notes::missing(incident) {
            Ok(missing) => missing,
            Err(error) => {
                tracing::error!(%error, incident.id, "incident.record: it cannot be named");
                return false;
            }
        };
        let patience = self.mode.rules.window;
        let recording = self.store.record(missing);
        let answer = within(patience, recording).await;
        if let Err(error) = answer {
            tracing::debug!(%error, incident.id, "incident.record failed; tried again");
            self.mode.evidence().failed(&error);
            return false;
        }
        let (id, ended) = (incident.id.clone(), incident.ended.clone());
        // What has come meanwhile follows.
        let recorded = notes::recorded(incident);
        self.saved = self.clock.monotonic();
        let settled = self.mode.incidents.settle(move |known| {
            if let Some(known) = known.iter_mut().find(|known| known.id == id) {
                known.ended.clone_from(&ended);
                known.recorded = recorded;
            }
        });
        kept(settled.await);
        true
    }

    async fn save(&mut self) {
        self.saved = self.clock.monotonic();
        kept(self.mode.incidents.save().await);
    }
}

fn kept(saved: std::io::Result<()>) {
    if let Err(error) = saved {
        tracing::error!(%error, "incidents cannot be kept over a restart");
    }
}

async fn ask(store: &StoreClient, probe: Probe, patience: Duration) -> Result<(), BackendError> {
    match probe {
        Probe::Read => within(patience, store.probe_by_read()).await,
        Probe::Write => within(patience, store.probe_by_write()).await,
    }
}

fn broken(error: tokio::task::JoinError) -> Probed {
    let detail = format!("the probe failed: {error}");
    let error = BackendError::unknown(ErrorKind::Unavailable, detail);
    (Probe::Read, Err(error))
}

/// Gives up on what takes longer. It may still take effect, which is harmless.
async fn within(
    patience: Duration,
    asking: impl Future<Output = Result<(), BackendError>>,
) -> Result<(), BackendError> {
    let answered = tokio::time::timeout(patience, asking).await;
    answered.unwrap_or_else(|_| {
        let detail = format!("no answer within {patience:?}");
        Err(BackendError::unknown(ErrorKind::Deadline, detail))
    })
}

#[cfg(test)]
mod tests;

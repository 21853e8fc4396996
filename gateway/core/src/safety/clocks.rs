//! Compares the wall clocks of gateways. Times in the ledger and the windows of rollouts go by them;
//! leases never do.
//!
//! A report that has come from another gateway was made before it was heard. So if it tells a later time
//! than the clock here, that clock is ahead by at least the difference, however long the report took.
//! Each gateway notices the clocks that are ahead of its own, and of two gateways one always is.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use leasehold_domain::StoreName;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::CLOCK_DIFFERENCE_MS_MAX;

use super::Incidents;
use super::incident::ClockAhead;
use super::incident::Ended;
use super::incident::EndedBy;
use super::incident::Incident;
use crate::telemetry::Metrics;

/// So many reports in a row must tell a smaller difference before an incident ends.
const CALM_REPORTS: u32 = 2;

/// Watches over the clocks of other gateways.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    incidents: Arc<Incidents>,
    metrics: Arc<Metrics>,
    /// The open incidents, by gateway, each with the number of calm reports since.
    open: Mutex<HashMap<String, (String, u32)>>,
}

impl ClockWatch {
    /// Goes on with the incidents that are open.
    pub(crate) fn new(incidents: Arc<Incidents>, metrics: Arc<Metrics>) -> Self {
        let open = incidents.open_clocks();
        let open = open.into_iter().map(|(gateway, id)| (gateway, (id, 0)));
        Self {
            open: Mutex::new(open.collect()),
            incidents,
            metrics,
        }
    }

    /// Takes note of a report of another gateway, just heard, by the clocks of both.
    pub(crate) async fn heard(&self, gateway: &str, told: WallMillis, now: WallMillis) {
        let ahead_ms = told.0.saturating_sub(now.0);
        self.metrics.clock_ahead(gateway, ahead_ms);
        if self.note(gateway, ahead_ms, now)
            && let Err(error) = self.incidents.save().await
        {
            tracing::error!(%error, "incidents cannot be kept over a restart");
        }
    }

    /// Begins, goes on with, or ends the incident of a gateway's clock. Returns whether there is
    /// something to save.
    fn note(&self, gateway: &str, ahead_ms: u64, now: WallMillis) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_far = ahead_ms >= CLOCK_DIFFERENCE_MS_MAX;
        match open.get_mut(gateway) {
            None if !is_far => false,
            None => {
                let id = self.begin(gateway, ahead_ms, now);
                open.insert(gateway.to_owned(), (id, 0));
                true
            }
            Some((id, calm)) if is_far => {
                *calm = 0;
                self.incidents.change(id, |incident| {
                    if let Some(clock) = &mut incident.clock {
                        clock.ahead_ms = clock.ahead_ms.max(ahead_ms);
                    }
                });
                true
            }
            Some((id, calm)) => {
                *calm += 1;
                if *calm < CALM_REPORTS {
                    return false;
                }
                let by = EndedBy::Recovery;
                self.incidents.change(id, |incident| {
                    incident.ended = Some(Ended { at: now, by });
                });
                tracing::warn!(gateway, "clocks.agree again");
                open.remove(gateway);
                true
            }
        }
    }

    fn begin(&self, gateway: &str, ahead_ms: u64, now: WallMillis) -> String {
        let store = StoreName::home();
        let incident = Incident {
            clock: Some(ClockAhead {
                gateway: gateway.to_owned(),
                ahead_ms,
            }),
            ..Incident::open(store.as_str(), self.incidents.gateway(), now)
        };
        let id = incident.id.clone();
        tracing::error!(
            gateway,
            ahead_ms,
            incident.id = id,
            "clocks.differ: the wall clock of another gateway is ahead of this one's"
        );
        self.incidents.add(incident);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::IncidentQuery;

    const NOW: WallMillis = WallMillis(1_800_000_000_000);

    fn told(ahead_ms: u64) -> WallMillis {
        WallMillis(NOW.0 + ahead_ms)
    }

    fn listed(incidents: &Incidents, open: bool) -> Vec<Incident> {
        let query = IncidentQuery {
            open: Some(open),
            limit: 10,
            ..IncidentQuery::default()
        };
        incidents.list(&query).unwrap().incidents
    }

    #[tokio::test]
    async fn a_clock_that_is_two_seconds_ahead_is_an_incident_until_it_is_not() {
        let incidents = Arc::new(Incidents::in_memory("here".to_owned()));
        let watch = ClockWatch::new(incidents.clone(), Arc::new(Metrics::new()));
        // However late a report is heard, it proves nothing of a clock that is behind.
        for calm in [WallMillis(0), NOW, told(CLOCK_DIFFERENCE_MS_MAX - 1)] {
            watch.heard("there", calm, NOW).await;
            assert_eq!(listed(&incidents, true), []);
        }
        watch.heard("there", told(2_000), NOW).await;
        watch.heard("there", told(7_000), NOW).await;
        watch.heard("there", told(3_000), NOW).await;
        let all = listed(&incidents, true);
        let [incident] = &all[..] else {
            panic!("{all:?}");
        };
        let clock = incident.clock.clone().unwrap();
        assert_eq!((&*clock.gateway, clock.ahead_ms), ("there", 7_000));
        // It is no safe mode of a store, and the ledger is told of it all the same.
        assert_eq!(incidents.open_of("home"), None);
        assert!(incidents.unrecorded_of("home").is_some());
        // A start goes on with it.
        let watch = ClockWatch::new(incidents.clone(), Arc::new(Metrics::new()));
        watch.heard("there", told(5_000), NOW).await;
        watch.heard("other", told(100), NOW).await;
        assert_eq!(listed(&incidents, true).len(), 1);
        watch.heard("there", told(10), NOW).await;
        assert_eq!(listed(&incidents, true).len(), 1);
        watch.heard("there", told(10), NOW).await;
        assert_eq!(listed(&incidents, true), []);
        assert_eq!(listed(&incidents, false).len(), 1);
    }
}

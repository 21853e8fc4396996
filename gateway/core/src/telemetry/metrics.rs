//! What Prometheus reads. Labels are bounded: routes, operations, policies, verdicts; never the
//! names of locks or subjects.

use std::fmt;
use std::time::Duration;

use leasehold_domain::Cap;
use leasehold_domain::DenialKind;
use leasehold_domain::EndCause;
use leasehold_domain::Enforcement;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::Operation;
use leasehold_domain::StoreName;
use leasehold_domain::Transition;
use leasehold_policy_host::VerdictCacheStats;
use prometheus::Encoder;
use prometheus::Gauge;
use prometheus::GaugeVec;
use prometheus::HistogramVec;
use prometheus::IntCounter;
use prometheus::IntCounterVec;
use prometheus::IntGauge;
use prometheus::IntGaugeVec;
use prometheus::Opts;
use prometheus::Registry;
use prometheus::TextEncoder;

use super::commits;
use super::decisions::DecisionFamilies;
use super::decisions::DecisionMetrics;
use super::decisions::SelfCheckOutcome;
use super::maker::Maker;
use super::safe_mode::SafeModeFamilies;
use super::safe_mode::SafeModeMetrics;
use super::stores::Scraped;
use super::stores::StoreGauges;
use super::stores::StoreMetrics;
use super::witnesses::WitnessMetrics;
use crate::tasks::TaskMetrics;

/// All metrics of one gateway.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    unauthenticated: IntCounterVec,
    decisions: DecisionFamilies,
    denials: IntCounterVec,
    cap_refusals: IntCounterVec,
    overrides: IntCounter,
    backend_seconds: HistogramVec,
    transitions: IntCounterVec,
    hand_offs: IntCounter,
    expiries: IntCounter,
    revocations: IntCounter,
    stores: StoreGauges,
    safe_mode: SafeModeFamilies,
    connections: ConnectionMetrics,
    limited: IntCounterVec,
    held_back: IntCounter,
    watches: IntGauge,
    waits: IntGauge,
    tasks: TaskMetrics,
    governance: GovernanceMetrics,
    rollouts: RolloutMetrics,
    witnesses: WitnessMetrics,
}

/// What is counted of rollouts.
struct RolloutMetrics {
    comparisons: IntCounterVec,
    rollbacks: IntCounterVec,
    flag_polls: IntCounterVec,
    flag_answer_age: Gauge,
}

impl RolloutMetrics {
    fn new(make: &Maker) -> Self {
        Self {
            comparisons: make.counters(
                "leasehold_rollout_comparisons_total",
                "Requests of which both versions of a rollout were asked, by what came of it.",
                &["result"],
            ),
            rollbacks: make.counters(
                "leasehold_rollout_rollbacks_total",
                "Rollouts that a guardrail has rolled back, by guardrail.",
                &["reason"],
            ),
            flag_polls: make.counters(
                "leasehold_flag_polls_total",
                "Requests to the flag service, by what came of them.",
                &["outcome"],
            ),
            flag_answer_age: make.put(Gauge::new(
                "leasehold_flag_answer_age_seconds",
                "Time since the flag service last answered; 0 while no rollout names a flag.",
            )),
        }
    }
}

/// What is measured of governance.
#[derive(Debug)]
struct GovernanceMetrics {
    age: Gauge,
    missing_modules: IntGauge,
    open_reviews: IntGauge,
    overdue_reviews: IntGauge,
    unusable_versions: IntGaugeVec,
    clocks_ahead: GaugeVec,
}

impl GovernanceMetrics {
    fn new(make: &Maker) -> Self {
        Self {
            age: make.put(Gauge::new(
                "leasehold_governance_age_seconds",
                "Time since the home store confirmed policies and keys.",
            )),
            missing_modules: make.gauge(
                "leasehold_policy_modules_missing",
                "Modules of bindings that this gateway cannot read: what they judge fails.",
            ),
            open_reviews: make.gauge(
                "leasehold_reviews_open",
                "Reviews of what somebody did alone that nobody has closed.",
            ),
            overdue_reviews: make.gauge(
                "leasehold_reviews_overdue",
                "Open reviews that should have been closed by now.",
            ),
            unusable_versions: make.gauges(
                "leasehold_policy_versions_unusable",
                "Policy versions in use that could not be put to new use, by reason; they go on judging, and killed ones fail.",
                &["reason"],
            ),
            clocks_ahead: make.put(GaugeVec::new(
                Opts::new(
                    "leasehold_gateway_clock_ahead_seconds",
                    "By how much the wall clock of another gateway is ahead of this one's, at the least.",
                ),
                &["gateway"],
            )),
        }
    }
}

/// What is counted of connections.
#[derive(Debug, Clone)]
pub struct ConnectionMetrics {
    /// Those that are open.
    pub open: IntGauge,
    /// Those that were closed idle, to make room for others.
    pub evicted: IntCounter,
    /// Those that got no place, because their address has too many.
    pub refused: IntCounter,
    /// Those that were closed because the client of a watch read too slowly.
    pub slow_watches: IntCounter,
}

impl ConnectionMetrics {
    fn new(make: &Maker) -> Self {
        Self {
            open: make.gauge("leasehold_connections", "Open connections."),
            evicted: make.counter(
                "leasehold_connections_evicted_total",
                "Idle connections that were closed to make room for others.",
            ),
            refused: make.counter(
                "leasehold_connections_refused_total",
                "Connections beyond the limit of their address.",
            ),
            slow_watches: make.counter(
                "leasehold_slow_watches_total",
                "Watches that were disconnected because their client read too slowly.",
            ),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers everything.
    #[must_use]
    pub fn new() -> Self {
        let make = Maker(Registry::new());
        let tasks = TaskMetrics::default();
        make.put(Ok(tasks.counters()));
        Self {
            tasks,
            governance: GovernanceMetrics::new(&make),
            requests: make.counters(
                "leasehold_http_requests_total",
                "Requests by route, method and status.",
                &["route", "method", "status"],
            ),
            request_seconds: make.histograms(
                "leasehold_http_request_seconds",
                "Time of a request by route; waits included.",
                &["route"],
            ),
            unauthenticated: make.counters(
                "leasehold_unauthenticated_total",
                "Requests without a valid key or token.",
                &["reason"],
            ),
            decisions: DecisionFamilies::new(&make),
            denials: make.counters("leasehold_denials_total", "Denied requests.", &["kind"]),
            cap_refusals: make.counters(
                "leasehold_cap_refusals_total",
                "Acquires that a cap of their namespace refused, by cap.",
                &["cap"],
            ),
            overrides: make.counter(
                "leasehold_overrides_total",
                "Denials that a break-glass principal passed.",
            ),
            backend_seconds: make.histograms(
                "leasehold_backend_seconds",
                "Time of a durable command in a store's backend.",
                &["operation", "store"],
            ),
            transitions: make.counters(
                "leasehold_transitions_total",
                "Transitions of locks.",
                &["transition"],
            ),
            hand_offs: make.counter("leasehold_handoffs_total", "Grants to a waiter."),
            expiries: make.counter("leasehold_expiries_total", "Leases that ended by time."),
            revocations: make.counter("leasehold_revocations_total", "Leases that were revoked."),
            stores: StoreGauges::new(&make),
            safe_mode: SafeModeFamilies::new(&make),
            connections: ConnectionMetrics::new(&make),
            limited: make.counters(
                "leasehold_rate_limited_total",
                "Requests that were answered 429, by the limit that they passed.",
                &["limit"],
            ),
            held_back: make.counter(
                "leasehold_requests_queued_total",
                "Requests that waited because their client had as many under way as it may.",
            ),
            watches: make.gauge("leasehold_watches", "Open watches."),
            waits: make.gauge(
                "leasehold_waiting_requests",
                "Acquires that wait on this gateway.",
            ),
            rollouts: RolloutMetrics::new(&make),
            witnesses: WitnessMetrics::new(&make),
            registry: make.0,
        }
    }

    /// A request was answered. `route` and `method` are of a fixed set, never as the client wrote
    /// them.
    pub fn served(&self, route: &str, method: &str, status: u16, took: Duration) {
        let mut digits = [b'0' + (status / 100 % 10) as u8, b'0', b'0'];
        digits[1] += (status / 10 % 10) as u8;
        digits[2] += (status % 10) as u8;
        let status = std::str::from_utf8(&digits).unwrap_or("000");
        self.requests
            .with_label_values(&[route, method, status])
            .inc();
        self.request_seconds
            .with_label_values(&[route])
            .observe(took.as_secs_f64());
    }

    /// A request had no valid key or token.
    pub fn unauthenticated(&self, reason: &str) {
        self.unauthenticated.with_label_values(&[reason]).inc();
    }

    /// Returns the metrics of one version of a policy at one enforcement level. Keep them: finding
    /// them by their labels costs more than counting.
    pub(crate) fn of_policy(
        &self,
        policy: (&str, &str),
        enforcement: Enforcement,
    ) -> DecisionMetrics {
        self.decisions.of(policy, enforcement)
    }

    /// A request was denied.
    pub fn denied(&self, kind: DenialKind) {
        self.denials.with_label_values(&[kind.as_str()]).inc();
    }

    /// An acquire was refused because of a cap of its namespace.
    pub(crate) fn refused_by_cap(&self, cap: Cap) {
        self.cap_refusals.with_label_values(&[cap.as_str()]).inc();
    }

    /// Both versions of a rollout were asked, or the second could not be.
    pub(crate) fn rollout_comparison(&self, result: &str) {
        self.rollouts.comparisons.with_label_values(&[result]).inc();
    }

    /// A guardrail has rolled a rollout back.
    pub(crate) fn rolled_back(&self, reason: &str) {
        self.rollouts.rollbacks.with_label_values(&[reason]).inc();
    }

    /// The flag service was asked.
    pub(crate) fn flag_poll(&self, outcome: &str) {
        self.rollouts.flag_polls.with_label_values(&[outcome]).inc();
    }

    /// A witness was asked to cosign a checkpoint.
    pub(crate) fn witness_asked(&self, outcome: &str) {
        self.witnesses.asked(outcome);
    }

    /// The age of the newest answer of the flag service.
    pub(crate) fn flag_answer_age(&self, age: Duration) {
        self.rollouts.flag_answer_age.set(age.as_secs_f64());
    }

    /// A break-glass principal passed a denial.
    pub fn overridden(&self) {
        self.overrides.inc();
    }

    /// What is counted of one store's safe mode.
    pub(crate) fn of_safe_mode(&self, store: &StoreName) -> SafeModeMetrics {
        self.safe_mode.of(store)
    }

    /// What is measured of one store.
    pub(crate) fn of_store(&self, store: &StoreName) -> StoreMetrics {
        let seconds = |operation: Operation| {
            let labels = [operation.as_str(), store.as_str()];
            self.backend_seconds.with_label_values(&labels)
        };
        StoreMetrics {
            backend_seconds: Operation::ALL.map(seconds),
        }
    }

    /// An event came from the backend.
    pub fn observe(&self, event: &Event) {
        let EventKind::Lock { transitions, .. } = &event.kind else {
            return;
        };
        for transition in transitions {
            self.transitions
                .with_label_values(&[transition.as_str()])
                .inc();
            match transition {
                Transition::Granted {
                    waited_ms: Some(_), ..
                } => self.hand_offs.inc(),
                Transition::Ended {
                    cause: EndCause::Expired | EndCause::HeldTooLong,
                    ..
                } => {
                    self.expiries.inc();
                }
                Transition::Ended {
                    cause: EndCause::Revoked,
                    ..
                } => self.revocations.inc(),
                _ => {}
            }
        }
    }

    /// What is counted of connections.
    pub fn connections(&self) -> &ConnectionMetrics {
        &self.connections
    }

    /// A request waits until another of its client has been answered.
    pub fn held_back(&self) {
        self.held_back.inc();
    }

    /// A request exceeded a limit and was refused.
    pub fn limited(&self, limit: &str) {
        self.limited.with_label_values(&[limit]).inc();
    }

    /// Open watches.
    pub fn watches(&self) -> &IntGauge {
        &self.watches
    }

    /// Acquires that wait.
    pub fn waits(&self) -> &IntGauge {
        &self.waits
    }

    /// How long ago the home store confirmed policies and keys.
    pub fn governance_age(&self, age: Duration) {
        self.governance.age.set(age.as_secs_f64());
    }

    /// How many modules of bindings this gateway cannot read.
    pub fn missing_modules(&self, count: usize) {
        self.governance
            .missing_modules
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// How many reviews are open, and how many of them are overdue.
    pub fn reviews(&self, open: u64, overdue: u64) {
        let set = |gauge: &IntGauge, count| gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        set(&self.governance.open_reviews, open);
        set(&self.governance.overdue_reviews, overdue);
    }

    /// By how much the clock of another gateway is ahead of this one's.
    pub(crate) fn clock_ahead(&self, gateway: &str, ahead_ms: u64) {
        let gauge = self.governance.clocks_ahead.with_label_values(&[gateway]);
        gauge.set(Duration::from_millis(ahead_ms).as_secs_f64());
    }

    /// The versions in use that could not be put to new use: how many, for each reason.
    pub fn unusable_versions(&self, reasons: &[(&str, usize)]) {
        for (reason, count) in reasons {
            let gauge = self
                .governance
                .unusable_versions
                .with_label_values(&[*reason]);
            gauge.set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
    }

    /// Updates the counts of the verdict caches.
    pub fn verdicts(&self, counts: VerdictCacheStats) {
        self.decisions.verdicts(counts);
    }

    /// Counts what the self-check found of one verdict.
    pub(crate) fn self_checked(&self, outcome: SelfCheckOutcome) {
        self.decisions.self_checked(outcome);
    }

    /// What is counted of supervised tasks.
    pub fn tasks(&self) -> &TaskMetrics {
        &self.tasks
    }

    /// The text that Prometheus scrapes, with the stores as they are now; those that are not open
    /// are `closed`.
    pub fn encode(&self, stores: &[(&StoreName, Scraped)], closed: &[&StoreName]) -> Vec<u8> {
        self.stores.set(stores, closed);
        let mut text = Vec::new();
        let mut families = self.registry.gather();
        let writes = stores.iter().map(|(name, s)| (*name, &s.health.writes));
        families.push(commits::family(writes));
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "metrics.encode failed");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_registers_and_statuses_are_written_out() {
        let metrics = Metrics::new();
        metrics.served("/healthz", "GET", 201, Duration::from_millis(1));
        let counter = metrics
            .requests
            .with_label_values(&["/healthz", "GET", "201"]);
        assert_eq!(counter.get(), 1);
    }
}

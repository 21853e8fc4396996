//! Metrics of the answers of policies.

use std::fmt;
use std::time::Duration;

use leasehold_domain::Enforcement;
use leasehold_domain::PolicyAnswer;
use leasehold_policy_host::VerdictCacheStats;
use prometheus::Histogram;
use prometheus::HistogramOpts;
use prometheus::IntCounter;
use prometheus::IntCounterVec;

use super::maker::BUCKETS;
use super::maker::Maker;
use super::policy_labels::PolicyLabels;

/// What the self-check found of one verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SelfCheckOutcome {
    /// The same answer and the same fuel.
    Reproduced,
    /// Another answer, or other fuel.
    NotReproduced,
    /// It cannot be said.
    Unknown,
}

impl SelfCheckOutcome {
    /// All of them. Each has its series from the start: an alert sees the first increase, and a
    /// check that happens late makes no new series.
    const ALL: [Self; 3] = [Self::Reproduced, Self::NotReproduced, Self::Unknown];

    fn as_str(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::NotReproduced => "not_reproduced",
            Self::Unknown => "unknown",
        }
    }
}

/// The metrics of all policies.
pub(super) struct DecisionFamilies {
    answers: IntCounterVec,
    seconds: Histogram,
    lookups: IntCounterVec,
    evictions: IntCounter,
    contradictions: IntCounter,
    self_checks: IntCounterVec,
    labels: PolicyLabels,
}

impl DecisionFamilies {
    pub(super) fn new(make: &Maker) -> Self {
        let seconds = HistogramOpts::new(
            "leasehold_policy_decision_seconds",
            "Time of one policy's decision.",
        );
        let self_checks = make.counters(
            "leasehold_policy_self_checks_total",
            "Verdicts of sampled decisions that were evaluated again from the ledger, by outcome (reproduced, not_reproduced, or unknown: not in the ledger, or it failed). The expected value of not_reproduced is 0.",
            &["outcome"],
        );
        for outcome in SelfCheckOutcome::ALL {
            self_checks.with_label_values(&[outcome.as_str()]);
        }
        Self {
            answers: make.counters(
                "leasehold_policy_decisions_total",
                "Decisions by policy, version, enforcement and verdict; `other` beyond a limit of versions.",
                &["policy", "version", "enforcement", "verdict"],
            ),
            seconds: make.put(Histogram::with_opts(seconds.buckets(BUCKETS.to_vec()))),
            lookups: make.counters(
                "leasehold_policy_verdict_cache_total",
                "Lookups in the verdict caches of policies that declare their inputs, by policy, version and outcome (hit or miss).",
                &["policy", "version", "outcome"],
            ),
            evictions: make.counter(
                "leasehold_policy_verdict_cache_evictions_total",
                "Cached verdicts that were evicted.",
            ),
            contradictions: make.counter(
                "leasehold_policy_verdict_cache_contradictions_total",
                "Cached verdicts that differed from a new evaluation of the same inputs. The expected value is 0.",
            ),
            self_checks,
            labels: PolicyLabels::default(),
        }
    }

    /// Counts what the self-check found.
    pub(super) fn self_checked(&self, outcome: SelfCheckOutcome) {
        self.self_checks
            .with_label_values(&[outcome.as_str()])
            .inc();
    }

    /// Returns the metrics of one version of a policy at one enforcement level.
    pub(super) fn of(
        &self,
        (policy, version): (&str, &str),
        enforcement: Enforcement,
    ) -> DecisionMetrics {
        let (policy, version) = self.labels.of(policy, version);
        let answers = PolicyAnswer::KINDS.map(|kind| {
            let labels = [policy, version, enforcement.as_str(), kind];
            self.answers.with_label_values(&labels)
        });
        let lookups = ["hit", "miss"]
            .map(|outcome| self.lookups.with_label_values(&[policy, version, outcome]));
        let seconds = self.seconds.clone();
        DecisionMetrics {
            answers,
            seconds,
            lookups,
        }
    }

    /// Adds what the counts of the engine have grown by.
    pub(super) fn verdicts(&self, counts: VerdictCacheStats) {
        for (counter, count) in [
            (&self.evictions, counts.evictions),
            (&self.contradictions, counts.contradictions),
        ] {
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }
}

/// The metrics of one version of a policy at one enforcement level.
pub(crate) struct DecisionMetrics {
    /// In the order of [`PolicyAnswer::KINDS`].
    answers: [IntCounter; PolicyAnswer::KINDS.len()],
    seconds: Histogram,
    /// Hits, then misses.
    lookups: [IntCounter; 2],
}

impl DecisionMetrics {
    /// Counts an answer of the policy. `cache_hit`: whether its verdict was cached; `None` if the policy
    /// has no cache.
    pub(crate) fn decided(&self, answer: &PolicyAnswer, took: Duration, cache_hit: Option<bool>) {
        self.answers[answer.kind()].inc();
        self.seconds.observe(took.as_secs_f64());
        let [hits, misses] = &self.lookups;
        match cache_hit {
            Some(true) => hits.inc(),
            Some(false) => misses.inc(),
            None => {}
        }
    }
}

impl fmt::Debug for DecisionMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionMetrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use leasehold_domain::PolicyLimits;
    use prometheus::Registry;

    use super::*;

    #[test]
    fn policies_beyond_the_limit_are_counted_together() {
        let families = DecisionFamilies::new(&Maker(Registry::new()));
        let most = leasehold_domain::limits::POLICY_LABEL_SETS_MAX;
        for patch in 0..most + 3 {
            let version = format!("1.0.{patch}");
            let policy = families.of(("quota", &version), Enforcement::Advisory);
            policy.decided(
                &PolicyAnswer::Allow(PolicyLimits::default()),
                Duration::ZERO,
                None,
            );
        }
        let counted = |labels: &[&str]| families.answers.with_label_values(labels).get();
        assert_eq!(counted(&["quota", "1.0.0", "advisory", "allow"]), 1);
        assert_eq!(counted(&["other", "other", "advisory", "allow"]), 3);
    }
}

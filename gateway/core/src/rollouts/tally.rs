//! Counts the comparisons of one step of a rollout on this gateway, and judges each window by the
//! guardrails.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use leasehold_domain::LockRef;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::ROLLOUT_DIFFERENCES_MAX;
use leasehold_domain::limits::ROLLOUT_PAIRS_MAX;

use super::difference::Difference;
use crate::governance::document::Guardrails;

/// How many of a hundred thousand.
const WHOLE: u64 = 100_000;

/// Counted comparisons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that both versions evaluated.
    pub compared: u64,
    /// Requests that were not compared, because too many waited.
    pub shed: u64,
    /// Number of differences by kind.
    pub differences: BTreeMap<Difference, u64>,
    /// Fuel that the current version spent on them.
    pub current_fuel: u64,
    /// Fuel that the candidate spent on them.
    pub candidate_fuel: u64,
}

/// Such as `40 requests, 38 alike, 2 newly-denied`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests, {} alike", self.compared, self.agreed())?;
        for (kind, count) in &self.differences {
            write!(f, ", {count} {}", kind.as_str())?;
        }
        match self.shed {
            0 => Ok(()),
            shed => write!(f, "; {shed} not compared"),
        }
    }
}

impl Counts {
    /// Returns the number of requests on which both versions agree.
    #[must_use]
    pub fn agreed(&self) -> u64 {
        let differences: u64 = self.differences.values().sum();
        self.compared.saturating_sub(differences)
    }

    fn failures(&self) -> u64 {
        let failures = self
            .differences
            .iter()
            .filter(|(kind, _)| kind.is_failure());
        failures.map(|(_, count)| count).sum()
    }

    fn add(&mut self, sample: &Sample) {
        self.compared += 1;
        self.current_fuel = self.current_fuel.saturating_add(sample.current_fuel);
        self.candidate_fuel = self.candidate_fuel.saturating_add(sample.candidate_fuel);
        if let Some(difference) = &sample.difference {
            *self.differences.entry(difference.kind).or_default() += 1;
        }
    }
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    /// The hash of subject and lock.
    pub(super) pair: u64,
    /// Fuel that the current version spent.
    pub(super) current_fuel: u64,
    /// Fuel that the candidate spent.
    pub(super) candidate_fuel: u64,
    /// How the answers differ.
    pub(super) difference: Option<SampleDifference>,
}

/// A request on which the two versions differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleDifference {
    /// The kind of difference.
    pub kind: Difference,
    /// When the request was decided.
    pub at: WallMillis,
    /// The subject that sent the request.
    pub subject: String,
    /// The team of the subject.
    pub team: Option<String>,
    /// The operation.
    pub operation: &'static str,
    /// The lock.
    pub lock: LockRef,
    /// The answer of the current version, in words.
    pub current: String,
    /// The answer of the candidate, in words.
    pub candidate: String,
}

/// Why a window is bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Which guardrail says so: `newly-denied`, `failed`, `failures-burst` or `fuel`.
    pub reason: &'static str,
    /// The counts and the limit that they exceed, in words.
    pub text: String,
}

/// The verdict of the guardrails on one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowVerdict {
    /// Every count is within its limit.
    Good,
    /// The window has too few pairs of subject and lock.
    NotEnoughData,
    /// A count exceeds its limit.
    Bad(Evidence),
}

impl WindowVerdict {
    /// Returns its name in the API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::NotEnoughData => "not-enough-data",
            Self::Bad(_) => "bad",
        }
    }
}

impl fmt::Display for WindowVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good | Self::NotEnoughData => f.write_str(self.as_str()),
            Self::Bad(evidence) => write!(f, "bad: {}", evidence.text),
        }
    }
}

/// The comparisons of one step of a rollout on this gateway.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Counts since the step was entered.
    pub counts: Counts,
    /// The verdict on the newest complete window.
    pub verdict: Option<WindowVerdict>,
    /// The newest differences, oldest first.
    pub differences: Vec<SampleDifference>,
}

/// The counts of one step of a rollout.
#[derive(Debug)]
pub(super) struct Tally {
    counts: Counts,
    differences: VecDeque<SampleDifference>,
    window: Window,
    verdict: Option<WindowVerdict>,
    /// Number of bad windows since the last good one.
    bad: u32,
    /// Set once the candidate must be rolled back.
    evidence: Option<Evidence>,
}

/// The counts of the current window.
#[derive(Debug, Default)]
struct Window {
    began: Duration,
    counts: Counts,
    /// Pairs of subject and lock, by their hash. A pair counts once, however often it is retried.
    pairs: HashMap<u64, Pair>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Pair {
    newly_denied: bool,
    failed: bool,
}

impl Tally {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            counts: Counts::default(),
            differences: VecDeque::new(),
            window: Window {
                began: now,
                ..Window::default()
            },
            verdict: None,
            bad: 0,
            evidence: None,
        }
    }

    /// Counts a comparison.
    pub(super) fn add(&mut self, sample: Sample) {
        self.counts.add(&sample);
        self.window.counts.add(&sample);
        let kind = sample.difference.as_ref().map(|difference| difference.kind);
        let pairs = &mut self.window.pairs;
        if pairs.len() < ROLLOUT_PAIRS_MAX || pairs.contains_key(&sample.pair) {
            let pair = pairs.entry(sample.pair).or_default();
            pair.newly_denied |= kind == Some(Difference::NewlyDenied);
            pair.failed |= kind.is_some_and(Difference::is_failure);
        }
        if let Some(difference) = sample.difference {
            if self.differences.len() >= ROLLOUT_DIFFERENCES_MAX {
                self.differences.pop_front();
            }
            self.differences.push_back(difference);
        }
    }

    /// Counts a comparison that was not made.
    pub(super) fn shed(&mut self) {
        self.counts.shed += 1;
        self.window.counts.shed += 1;
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            counts: self.counts.clone(),
            verdict: self.verdict.clone(),
            differences: self.differences.iter().cloned().collect(),
        }
    }

    /// Ends the window if its length has passed, or if the candidate failed too often for waiting. Once
    /// the candidate must be rolled back, every call returns the evidence, so that a rollback that
    /// could not be written is retried.
    pub(super) fn look(&mut self, now: Duration, rails: &Guardrails) -> Option<Evidence> {
        if let Some(evidence) = self.window.burst(rails) {
            self.evidence.get_or_insert_with(|| evidence.clone());
            self.end_window(now, WindowVerdict::Bad(evidence));
            return self.evidence.clone();
        }
        let length = Duration::from_millis(rails.window_ms);
        if now.saturating_sub(self.window.began) >= length {
            let verdict = self.window.judge(rails);
            self.end_window(now, verdict);
        }
        self.evidence.clone()
    }

    fn end_window(&mut self, now: Duration, verdict: WindowVerdict) {
        match &verdict {
            WindowVerdict::Bad(evidence) => {
                self.bad += 1;
                if self.bad >= 2 {
                    self.evidence.get_or_insert_with(|| Evidence {
                        reason: evidence.reason,
                        text: format!("two windows in a row: {}", evidence.text),
                    });
                }
            }
            WindowVerdict::Good => self.bad = 0,
            // It neither clears a bad window nor adds to it.
            WindowVerdict::NotEnoughData => {}
        }
        self.verdict = Some(verdict);
        self.window = Window {
            began: now,
            ..Window::default()
        };
    }
}

impl Window {
    /// Returns the evidence if the candidate failed `failures_burst` times before the window's end.
    fn burst(&self, rails: &Guardrails) -> Option<Evidence> {
        let (failures, compared) = (self.counts.failures(), self.counts.compared);
        (failures >= rails.failures_burst).then(|| Evidence {
            reason: "failures-burst",
            text: format!(
                "the candidate failed {failures} times in {compared} requests of one window"
            ),
        })
    }

    fn judge(&self, rails: &Guardrails) -> WindowVerdict {
        let pairs = self.pairs.len() as u64;
        if pairs < rails.least_samples.max(1) {
            return WindowVerdict::NotEnoughData;
        }
        let share = |of: fn(&Pair) -> bool| {
            let count = self.pairs.values().filter(|pair| of(pair)).count() as u64;
            (count, count * WHOLE / pairs)
        };
        for (reason, what, (count, share), most) in [
            (
                "newly-denied",
                "only the candidate denies",
                share(|pair| pair.newly_denied),
                rails.newly_denied_max,
            ),
            (
                "failed",
                "the candidate fails",
                share(|pair| pair.failed),
                rails.failed_max,
            ),
        ] {
            if share > u64::from(most) {
                let text = format!(
                    "{what} for {count} of {pairs} pairs of subject and lock ({} %, at most {} %)",
                    percent(share),
                    percent(u64::from(most))
                );
                return WindowVerdict::Bad(Evidence { reason, text });
            }
        }
        let Counts {
            current_fuel,
            candidate_fuel,
            ..
        } = self.counts;
        let most = u64::from(rails.fuel_ratio_max_percent);
        if current_fuel > 0 && candidate_fuel / current_fuel.div_ceil(100) > most {
            let text = format!(
                "the candidate spends {candidate_fuel} fuel where the current version spends \
                 {current_fuel} (at most {most} %)"
            );
            return WindowVerdict::Bad(Evidence {
                reason: "fuel",
                text,
            });
        }
        WindowVerdict::Good
    }
}

/// Returns thousandths of a percent as percent with one digit.
fn percent(share: u64) -> String {
    format!("{}.{}", share / 1_000, share % 1_000 / 100)
}

#[cfg(test)]
mod tests;

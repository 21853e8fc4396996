//! Judges one window of a step by the guardrails, whether one gateway has counted it or several.

use std::fmt;

use crate::governance::document::Guardrails;
use crate::governance::document::WindowReport;

/// How many of a hundred thousand.
const WHOLE: u64 = 100_000;

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

/// Judges a window.
pub(super) fn judge(window: &WindowReport, rails: &Guardrails) -> WindowVerdict {
    let pairs = window.pairs;
    if pairs < rails.least_samples.max(1) {
        return WindowVerdict::NotEnoughData;
    }
    for (reason, what, count, most) in [
        (
            "newly-denied",
            "only the candidate denies",
            window.newly_denied,
            rails.newly_denied_max,
        ),
        (
            "failed",
            "the candidate fails",
            window.failed,
            rails.failed_max,
        ),
    ] {
        let share = count.saturating_mul(WHOLE) / pairs;
        if share > u64::from(most) {
            let text = format!(
                "{what} for {count} of {pairs} pairs of subject and lock ({} %, at most {} %)",
                percent(share),
                percent(u64::from(most))
            );
            return WindowVerdict::Bad(Evidence { reason, text });
        }
    }
    let WindowReport {
        current_fuel,
        candidate_fuel,
        ..
    } = window;
    let most = u64::from(rails.fuel_ratio_max_percent);
    if *current_fuel > 0 && candidate_fuel / current_fuel.div_ceil(100) > most {
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

/// Adds the counts of the same window of another gateway.
pub(super) fn add(sum: &mut WindowReport, window: &WindowReport) {
    sum.pairs = sum.pairs.saturating_add(window.pairs);
    sum.newly_denied = sum.newly_denied.saturating_add(window.newly_denied);
    sum.failed = sum.failed.saturating_add(window.failed);
    sum.current_fuel = sum.current_fuel.saturating_add(window.current_fuel);
    sum.candidate_fuel = sum.candidate_fuel.saturating_add(window.candidate_fuel);
}

/// Returns thousandths of a percent as percent with one digit.
fn percent(share: u64) -> String {
    format!("{}.{}", share / 1_000, share % 1_000 / 100)
}

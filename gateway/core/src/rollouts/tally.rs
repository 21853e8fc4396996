//! Counts the comparisons of one step of a rollout on this gateway, and judges each window by the
//! guardrails.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;

use leasehold_domain::LockRef;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::ROLLOUT_BATCH_GROUPS_MAX;
use leasehold_domain::limits::ROLLOUT_BATCH_ROWS_MAX;
use leasehold_domain::limits::ROLLOUT_DIFFERENCES_MAX;
use leasehold_domain::limits::ROLLOUT_PAIRS_MAX;
use leasehold_domain::limits::ROLLOUT_WINDOWS_KEPT_MAX;

use super::difference::Difference;
use super::window::Evidence;
use super::window::WindowVerdict;
use super::window::judge;
use crate::governance::document::Guardrails;
use crate::governance::document::WindowReport;

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

    /// Adds the counts of another gateway.
    pub(super) fn merge(&mut self, other: &Self) {
        self.compared = self.compared.saturating_add(other.compared);
        self.shed = self.shed.saturating_add(other.shed);
        self.current_fuel = self.current_fuel.saturating_add(other.current_fuel);
        self.candidate_fuel = self.candidate_fuel.saturating_add(other.candidate_fuel);
        for (kind, count) in &other.differences {
            let sum = self.differences.entry(*kind).or_default();
            *sum = sum.saturating_add(*count);
        }
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
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Counts,
    differences: VecDeque<SampleDifference>,
    window: Window,
    /// The newest windows in which something was counted, oldest first.
    closed: VecDeque<WindowReport>,
    verdict: Option<WindowVerdict>,
    /// Set once the candidate has failed too often within one window.
    burst: Option<Evidence>,
    /// The differences of windows that are over, which nobody has taken yet.
    batches: Vec<WindowBatch>,
}

/// How the two versions differed in one window on this gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WindowBatch {
    index: u64,
    compared: u64,
    shed: u64,
    /// The most frequent differences, by kind, team and lock.
    rows: Vec<(Group, u64)>,
    /// How many differences the rows do not tell of.
    more: u64,
}

/// A kind of difference for one team and one lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Group {
    kind: Difference,
    team: Option<String>,
    lock: LockRef,
}

impl fmt::Display for WindowBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.compared + self.shed;
        let share = self.compared * 1_000 / all.max(1);
        write!(
            f,
            "window {}: {} of {all} requests compared ({}.{} %)",
            self.index,
            self.compared,
            share / 10,
            share % 10
        )?;
        for (Group { kind, team, lock }, count) in &self.rows {
            let team = team.as_deref().unwrap_or("no team");
            write!(f, "; {count} {} for {lock} of {team}", kind.as_str())?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "; {more} more differences"),
        }
    }
}

/// The counts of the current window.
#[derive(Debug, Default)]
struct Window {
    /// Its number in the step; `None` until the tally is looked at for the first time.
    index: Option<u64>,
    counts: Counts,
    /// Pairs of subject and lock, by their hash. A pair counts once, however often it is retried.
    pairs: HashMap<u64, Pair>,
    /// How many differences of each kind there were, by team and lock.
    groups: HashMap<Group, u64>,
    /// Differences beyond those that are told apart.
    ungrouped: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Pair {
    newly_denied: bool,
    failed: bool,
}

impl Tally {
    /// Goes on from what this gateway had counted before it was started again.
    pub(super) fn resumed(counts: Counts, windows: &[WindowReport]) -> Self {
        Self {
            counts,
            closed: windows.iter().cloned().collect(),
            ..Self::default()
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
            self.window.group(&difference);
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

    /// Returns the counts since the step was entered, and the newest windows.
    pub(super) fn counted(&self) -> (Counts, Vec<WindowReport>) {
        (self.counts.clone(), self.closed.iter().cloned().collect())
    }

    /// Ends the window if `over` windows of the step are over and it is one of them. Returns the
    /// evidence if the candidate has failed too often for waiting; every later call returns it, too, so
    /// that a rollback that could not be written is retried.
    pub(super) fn look(&mut self, over: u64, rails: &Guardrails) -> Option<Evidence> {
        if let Some(evidence) = self.window.burst(rails) {
            self.verdict = Some(WindowVerdict::Bad(evidence.clone()));
            self.burst.get_or_insert(evidence);
        }
        match self.window.index {
            None => self.window.index = Some(over),
            // Clocks may be set back; the window goes on then.
            Some(index) if over <= index => {}
            Some(index) => self.end_window(index, over, rails),
        }
        self.burst.clone()
    }

    /// Takes the differences of the windows that are over.
    pub(super) fn take_batches(&mut self) -> Vec<WindowBatch> {
        std::mem::take(&mut self.batches)
    }

    /// Ends the last window of a step that was left. Returns the differences that nobody has taken.
    pub(super) fn left(mut self) -> Vec<WindowBatch> {
        let index = self.window.index.unwrap_or(0);
        self.batches.extend(self.window.batch(index));
        self.batches
    }

    fn end_window(&mut self, index: u64, next: u64, rails: &Guardrails) {
        let ended = std::mem::take(&mut self.window);
        self.window.index = Some(next);
        self.batches.extend(ended.batch(index));
        let report = ended.report(index);
        self.verdict = Some(judge(&report, rails));
        if report.pairs > 0 {
            if self.closed.len() >= ROLLOUT_WINDOWS_KEPT_MAX {
                self.closed.pop_front();
            }
            self.closed.push_back(report);
        }
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

    fn group(&mut self, difference: &SampleDifference) {
        let group = Group {
            kind: difference.kind,
            team: difference.team.clone(),
            lock: difference.lock.clone(),
        };
        if self.groups.len() >= ROLLOUT_BATCH_GROUPS_MAX && !self.groups.contains_key(&group) {
            self.ungrouped += 1;
            return;
        }
        *self.groups.entry(group).or_default() += 1;
    }

    /// Returns the differences; `None` if there are none.
    fn batch(&self, index: u64) -> Option<WindowBatch> {
        let mut rows: Vec<(Group, u64)> = self.groups.clone().into_iter().collect();
        if rows.is_empty() {
            return None;
        }
        rows.sort_by(|(one, few), (other, many)| many.cmp(few).then_with(|| one.cmp(other)));
        let beyond = rows.split_off(rows.len().min(ROLLOUT_BATCH_ROWS_MAX));
        let beyond: u64 = beyond.iter().map(|(_, count)| count).sum();
        Some(WindowBatch {
            index,
            compared: self.counts.compared,
            shed: self.counts.shed,
            rows,
            more: beyond + self.ungrouped,
        })
    }

    fn report(&self, index: u64) -> WindowReport {
        let count = |of: fn(&Pair) -> bool| self.pairs.values().filter(|pair| of(pair)).count();
        WindowReport {
            index,
            pairs: self.pairs.len() as u64,
            newly_denied: count(|pair| pair.newly_denied) as u64,
            failed: count(|pair| pair.failed) as u64,
            current_fuel: self.counts.current_fuel,
            candidate_fuel: self.counts.candidate_fuel,
        }
    }
}

#[cfg(test)]
mod tests;

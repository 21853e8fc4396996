//! One step of a rollout over all gateways: which of them run it, and what they have counted together.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use leasehold_domain::WallMillis;
use leasehold_domain::limits::ROLLOUT_REPORT_GRACE_MS;
use leasehold_domain::limits::ROLLOUT_REPORT_SILENT_MS;
use leasehold_domain::limits::ROLLOUT_WINDOWS_KEPT_MAX;

use super::difference::Difference;
use super::tally::Counts;
use super::window;
use super::window::WindowVerdict;
use crate::governance::OpenRollout;
use crate::governance::RolloutId;
use crate::governance::document::CountsReport;
use crate::governance::document::GatewayReport;
use crate::governance::document::StepReport;
use crate::governance::document::WindowReport;
use crate::stores::Roster;

/// How a gateway stands to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayState {
    /// It runs the step.
    Running,
    /// It has reported another step, or not this rollout.
    Behind,
    /// Its last report is old.
    Silent,
    /// It has never reported: it is of an older build, or does not run.
    Unreported,
    /// It has stopped, and is not waited for.
    Stopped,
}

impl GatewayState {
    /// Returns its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Behind => "behind",
            Self::Silent => "silent",
            Self::Unreported => "unreported",
            Self::Stopped => "stopped",
        }
    }
}

/// One gateway, and how it stands to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayStanding {
    /// Its id among the gateways of the store.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// How it stands.
    pub state: GatewayState,
    /// When it last reported, by its own clock.
    pub reported: Option<WallMillis>,
    /// How many requests it has compared in the step.
    pub compared: u64,
    step: Option<StepReport>,
}

/// One window over all gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummedWindow {
    /// The number of windows of the step before it.
    pub index: u64,
    /// The verdict on the sums. Counts that are missing are not enough data.
    pub verdict: WindowVerdict,
    /// The gateways whose counts are missing, each with its name.
    pub missing: Vec<String>,
}

/// One step over all gateways.
#[derive(Debug, Clone, PartialEq)]
pub struct StepSum {
    /// Counts since the step was entered.
    pub counts: Counts,
    /// The gateways, by id.
    pub gateways: Vec<GatewayStanding>,
    open: OpenRollout,
}

impl StepSum {
    /// Sums the reports of the gateways of a roster.
    pub(super) fn of(
        open: &OpenRollout,
        roster: &Roster,
        reports: &BTreeMap<String, GatewayReport>,
        now: WallMillis,
    ) -> Self {
        let gateways = roster.all.iter();
        let gateways = gateways.map(|(id, name)| standing(open, (id, name), reports.get(id), now));
        let gateways: Vec<_> = gateways.collect();
        let mut counts = Counts::default();
        for step in gateways.iter().filter_map(|gateway| gateway.step.as_ref()) {
            counts.merge(&read_counts(&step.counts));
        }
        Self {
            counts,
            gateways,
            open: open.clone(),
        }
    }

    /// Returns the gateways that do not run the step, each with its name and state.
    #[must_use]
    pub fn not_reached(&self) -> Vec<String> {
        let waited_for = |gateway: &&GatewayStanding| {
            !matches!(gateway.state, GatewayState::Running | GatewayState::Stopped)
        };
        let behind = self.gateways.iter().filter(waited_for);
        behind
            .map(|gateway| {
                let GatewayStanding {
                    id, name, state, ..
                } = gateway;
                format!("{id} ({name}, {})", state.as_str())
            })
            .collect()
    }

    /// Returns how many windows are over on all gateways that are waited for; 0 if one does not tell.
    pub(super) fn complete(&self) -> u64 {
        let waited_for = self.gateways.iter();
        let waited_for = waited_for.filter(|gateway| gateway.state != GatewayState::Stopped);
        let over = waited_for.map(|gateway| match (gateway.state, &gateway.step) {
            (GatewayState::Running, Some(step)) => step.windows_over,
            _ => 0,
        });
        over.min().unwrap_or(0)
    }

    /// Returns how many windows can be judged: those that are complete, and those that were over long
    /// enough ago for gateways that have not reported them to be left out.
    pub(super) fn judged(&self, now: WallMillis) -> u64 {
        let late = now.0.saturating_sub(ROLLOUT_REPORT_GRACE_MS);
        self.complete().max(self.open.windows_over(late))
    }

    /// Judges one window.
    pub(super) fn window(&self, index: u64) -> SummedWindow {
        let mut sum = WindowReport {
            index,
            ..WindowReport::default()
        };
        let mut missing = Vec::new();
        for gateway in &self.gateways {
            let step = gateway.step.as_ref();
            let own = step.and_then(|step| step.windows.iter().find(|own| own.index == index));
            if let Some(own) = own {
                window::add(&mut sum, own);
                continue;
            }
            if !step.is_some_and(|step| was_empty(step, index))
                && gateway.state != GatewayState::Stopped
            {
                missing.push(format!("{} ({})", gateway.id, gateway.name));
            }
        }
        let verdict = match window::judge(&sum, &self.open.rails) {
            WindowVerdict::Good if !missing.is_empty() => WindowVerdict::NotEnoughData,
            verdict => verdict,
        };
        SummedWindow {
            index,
            verdict,
            missing,
        }
    }

    /// Judges the newest window with enough data; `None` if no window can be judged yet. Windows
    /// without enough data do not clear a bad one.
    #[must_use]
    pub fn newest(&self, now: WallMillis) -> Option<SummedWindow> {
        let judged = self.judged(now);
        let newest = judged.checked_sub(1)?;
        let steps = self
            .gateways
            .iter()
            .filter_map(|gateway| gateway.step.as_ref());
        let counted = steps.flat_map(|step| step.windows.iter().map(|window| window.index));
        let counted: BTreeSet<u64> = counted.filter(|index| *index < judged).collect();
        let mut windows = counted.into_iter().rev().map(|index| self.window(index));
        let with_data = windows.find(|window| window.verdict != WindowVerdict::NotEnoughData);
        Some(with_data.unwrap_or_else(|| self.window(newest)))
    }

    /// Says why the step cannot be left automatically yet; `None` if, but for approvals, it can.
    #[must_use]
    pub fn waits(&self, now: WallMillis) -> Option<String> {
        let open = &self.open;
        if !open.has_next {
            return Some("its plan has no further step".to_owned());
        }
        if open.state.held {
            return Some("it is held".to_owned());
        }
        let due = open.state.since_ms.saturating_add(open.least_ms);
        if due > now.0 {
            return Some(format!("the step lasts {} ms more", due - now.0));
        }
        let not_reached = self.not_reached();
        if !not_reached.is_empty() {
            let names = not_reached.join(", ");
            return Some(format!("not every gateway runs the step: {names}"));
        }
        let complete = self.complete();
        let Some(last) = complete.checked_sub(1) else {
            return Some("no window of the step is over yet".to_owned());
        };
        match self.window(last) {
            SummedWindow {
                verdict: WindowVerdict::Good,
                ..
            } => None,
            SummedWindow {
                verdict, missing, ..
            } => {
                let mut told = format!("the last window is {verdict}");
                if !missing.is_empty() {
                    told += &format!("; counts are missing of {}", missing.join(", "));
                }
                Some(told)
            }
        }
    }
}

fn standing(
    open: &OpenRollout,
    (id, name): (&str, &str),
    report: Option<&GatewayReport>,
    now: WallMillis,
) -> GatewayStanding {
    let step = report.and_then(|report| report.rollouts.get(&*open.id.name));
    let step = step.filter(|step| is_of(step, &open.id)).cloned();
    let state = match (report, &step) {
        (None, _) => GatewayState::Unreported,
        (Some(report), _) if report.stopped => GatewayState::Stopped,
        (Some(report), _) if now.0.saturating_sub(report.wall_ms) > ROLLOUT_REPORT_SILENT_MS => {
            GatewayState::Silent
        }
        (_, Some(_)) => GatewayState::Running,
        (_, None) => GatewayState::Behind,
    };
    let called = report.map(|report| report.name.clone());
    GatewayStanding {
        id: id.to_owned(),
        name: called
            .filter(|called| !called.is_empty())
            .unwrap_or_else(|| name.to_owned()),
        state,
        reported: report.map(|report| WallMillis(report.wall_ms)),
        compared: step.as_ref().map_or(0, |step| step.counts.compared),
        step,
    }
}

/// Whether a gateway has told that nothing was counted in a window: it is over, and is not older than
/// the windows that the report has.
fn was_empty(step: &StepReport, index: u64) -> bool {
    let oldest = step.windows.first().map_or(0, |oldest| oldest.index);
    let has_all = step.windows.len() < ROLLOUT_WINDOWS_KEPT_MAX;
    step.windows_over > index && (has_all || oldest < index)
}

/// Whether a report is of this very step.
pub(super) fn is_of(step: &StepReport, id: &RolloutId) -> bool {
    step.salt == *id.salt && step.epoch == id.epoch
}

/// Reads reported counts.
pub(super) fn read_counts(report: &CountsReport) -> Counts {
    let kind = |name: &str| {
        Difference::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
    };
    let differences = report.differences.iter();
    Counts {
        compared: report.compared,
        shed: report.shed,
        differences: differences
            .filter_map(|(name, count)| Some((kind(name)?, *count)))
            .collect(),
        current_fuel: report.current_fuel,
        candidate_fuel: report.candidate_fuel,
    }
}

/// Returns counts as they are reported.
pub(super) fn told_counts(counts: &Counts) -> CountsReport {
    let differences = counts.differences.iter();
    CountsReport {
        compared: counts.compared,
        shed: counts.shed,
        differences: differences
            .map(|(kind, count)| (kind.as_str().to_owned(), *count))
            .collect(),
        current_fuel: counts.current_fuel,
        candidate_fuel: counts.candidate_fuel,
    }
}

#[cfg(test)]
pub(super) mod tests;

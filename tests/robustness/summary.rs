//! What a run came to, for people.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::Answer;
use super::History;
use super::Options;
use super::Shown;
use super::check::CHECKS;
use super::check::Violation;

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The command that repeats it.
    pub repeat: String,
    /// Calls by outcome: done, failed, unknown.
    pub outcomes: [usize; 3],
    /// Faults by kind.
    pub faults: BTreeMap<String, usize>,
    /// How often another node led.
    pub leader_changes: u64,
    /// The longest recovery, in milliseconds.
    pub recovery_ms_max: u64,
    /// Watches that were opened, and how often one was told that it missed events.
    pub watches: [usize; 2],
    /// Events in the longest ledger.
    pub events: usize,
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// Where history, plan, logs and data are, if they were kept.
    pub folder: Option<PathBuf>,
}

impl Summary {
    pub(crate) fn of(options: &Options, history: &History, violations: Vec<Violation>) -> Self {
        let mut outcomes = [0; 3];
        for call in &history.calls {
            outcomes[match call.answer {
                Answer::Ok(_) => 0,
                Answer::Failed { .. } => 1,
                Answer::Unknown { .. } => 2,
            }] += 1;
        }
        let mut faults = BTreeMap::new();
        for fault in &history.faults {
            *faults.entry(fault.kind.clone()).or_default() += 1;
        }
        let count = |is: &dyn Fn(&Shown) -> bool| {
            let shown = history.sights.iter().map(|sight| &sight.shown);
            shown.filter(|shown| is(shown)).count()
        };
        let took = |r: &super::Recovery| r.granted_us.map(|at| at.saturating_sub(r.healed_us));
        let recoveries = history.recoveries.iter().filter_map(took);
        Self {
            repeat: options.command(),
            outcomes,
            faults,
            leader_changes: history.leader_changes,
            recovery_ms_max: recoveries.max().unwrap_or_default() / 1_000,
            events: history
                .ledgers
                .iter()
                .map(|l| l.rows.len())
                .max()
                .unwrap_or_default(),
            watches: [
                count(&|shown| matches!(shown, Shown::Begun { .. })),
                count(&|shown| matches!(shown, Shown::Resync { .. })),
            ],
            violations,
            folder: None,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [done, failed, unknown] = self.outcomes;
        writeln!(f, "calls: {done} done, {failed} failed, {unknown} unknown")?;
        let faults: Vec<String> = self
            .faults
            .iter()
            .map(|(kind, times)| format!("{kind} {times}"))
            .collect();
        writeln!(f, "faults: {}", faults.join(", "))?;
        writeln!(f, "leader changes: {}", self.leader_changes)?;
        writeln!(f, "longest recovery: {} ms", self.recovery_ms_max)?;
        let [begun, resyncs] = self.watches;
        writeln!(f, "watches: {begun} begun, {resyncs} told to read again")?;
        writeln!(f, "events in the ledger: {}", self.events)?;
        for (name, _) in CHECKS {
            let broken = self.violations.iter().filter(|v| v.check == *name).count();
            match broken {
                0 => writeln!(f, "holds: {name}")?,
                times => writeln!(f, "BROKEN, {times} times: {name}")?,
            }
        }
        for violation in self.violations.iter().take(20) {
            writeln!(f, "- {}: {}", violation.check, violation.what)?;
        }
        if let Some(folder) = &self.folder {
            writeln!(f, "history, plan, logs and data: {}", folder.display())?;
        }
        writeln!(f, "to repeat: {}", self.repeat)
    }
}

//! Reports to the other gateways which steps this one runs, and what it has counted in them.
//!
//! A report is written when the steps have changed, when a window of one of them is over, and now and
//! then so that silence can be told from idleness. A gateway that has its store for itself writes none.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::Backend;
use leasehold_backend_api::Batch;
use leasehold_domain::Change;
use leasehold_domain::Clock;
use leasehold_domain::Digest;
use leasehold_domain::Note;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::ROLLOUT_REPORT_EVERY_MS;
use leasehold_domain::limits::ROLLOUT_REPORT_IDLE_EVERY_MS;
use leasehold_domain::limits::ROLLOUT_REPORT_PAUSE_MS;
use leasehold_domain::limits::ROLLOUT_REPORT_ROLLOUTS_MAX;

use super::Comparer;
use super::sum::StepSum;
use super::sum::is_of;
use super::sum::read_counts;
use super::sum::told_counts;
use super::tally::WindowBatch;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::flags::FlagStatus;
use crate::governance::Governance;
use crate::governance::OpenRollout;
use crate::governance::RolloutId;
use crate::governance::document::GatewayReport;
use crate::governance::document::ROLLOUTS;
use crate::governance::document::StepReport;
use crate::safety::Incidents;
use crate::stores::OpenStore;
use crate::stores::Roster;
use crate::stores::StoreMembers;

/// How long the roster of the gateways is used before it is asked for again.
const ROSTER_FOR: Duration = Duration::from_secs(5);

/// What one gateway has to tell of rollouts, and hears of the others.
#[derive(Debug)]
pub struct Reporter {
    governance: Arc<Governance>,
    comparer: Arc<Comparer>,
    members: StoreMembers,
    /// The store of governance, for its ledger.
    backend: Arc<dyn Backend>,
    incidents: Arc<Incidents>,
    clock: Arc<dyn Clock>,
    /// The gateways, and when they were asked for. Not with the rest: whoever asks for a status does
    /// not wait for the write of a report.
    roster: tokio::sync::Mutex<Option<(Duration, Roster)>>,
    kept: tokio::sync::Mutex<Kept>,
}

/// What is kept between two looks.
#[derive(Debug, Default)]
struct Kept {
    /// The last report of this gateway, and when it was written.
    written: Option<(Duration, GatewayReport)>,
    /// Whether the counts before the start were taken up.
    resumed: bool,
    /// The time that each gateway's newest report tells.
    heard: HashMap<String, u64>,
}

impl Reporter {
    /// Reports for a gateway whose governance is in this store.
    pub(crate) fn new(
        governance: Arc<Governance>,
        comparer: Arc<Comparer>,
        home: &OpenStore,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            governance,
            comparer,
            members: home.members.clone(),
            backend: home.parts.backend.clone(),
            incidents: home.door.safe_mode().incidents.clone(),
            clock,
            roster: tokio::sync::Mutex::default(),
            kept: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the incidents of this gateway.
    pub(super) fn incidents(&self) -> &Arc<Incidents> {
        &self.incidents
    }

    /// Returns what this gateway is called.
    fn name(&self) -> String {
        self.incidents.gateway().to_owned()
    }

    /// Returns what others have reported since this was asked last: who, and the time that they tell.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn heard(&self) -> Result<Vec<(String, WallMillis)>, Failure> {
        let me = self.roster().await?.me;
        let reports = self.governance.reports().into_iter();
        let mut kept = self.kept.lock().await;
        let mut new = Vec::new();
        for (id, report) in reports.filter(|(id, _)| *id != me) {
            let called = format!("{id} ({})", report.name);
            if kept.heard.insert(id, report.wall_ms) != Some(report.wall_ms) {
                new.push((called, WallMillis(report.wall_ms)));
            }
        }
        Ok(new)
    }

    /// Tells the ledger how the two versions differed in a window on this gateway.
    ///
    /// # Errors
    /// The store cannot write.
    pub(super) async fn record(&self, id: &RolloutId, batch: &WindowBatch) -> Result<(), Failure> {
        self.note(&id.name, &batch.to_string()).await
    }

    /// Tells the ledger what the flag of a rollout says on this gateway.
    ///
    /// # Errors
    /// The store cannot write.
    pub(super) async fn record_flag(
        &self,
        id: &RolloutId,
        status: &FlagStatus,
    ) -> Result<(), Failure> {
        self.note(&id.name, &status.to_string()).await
    }

    async fn note(&self, rollout: &str, text: &str) -> Result<(), Failure> {
        let caller = Caller::gateway("rollouts")?;
        let summary = format!("rollout {rollout} on {}: {text}", self.name());
        let change = Change {
            request_id: caller.request_id,
            principal: caller.principal,
            collection: ROLLOUTS.into(),
            id: rollout.into(),
            digest: Some(Digest::of(summary.as_bytes())),
            summary: summary.into(),
        };
        let note = Batch::note(Note::Governance(Box::new(change)));
        self.backend.execute(note).await?;
        Ok(())
    }

    /// Returns the wall clock.
    pub(super) fn wall(&self) -> WallMillis {
        self.clock.wall()
    }

    /// Returns the gateways that share the store of governance, as of a few seconds ago.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn roster(&self) -> Result<Roster, Failure> {
        if matches!(self.members, StoreMembers::Group(_) | StoreMembers::Process) {
            // They are known without asking.
            return self.ask_roster().await;
        }
        let now = self.clock.monotonic();
        let mut kept = self.roster.lock().await;
        if let Some((asked, roster)) = &*kept
            && now.saturating_sub(*asked) < ROSTER_FOR
        {
            return Ok(roster.clone());
        }
        let roster = self.ask_roster().await?;
        *kept = Some((now, roster.clone()));
        Ok(roster)
    }

    async fn ask_roster(&self) -> Result<Roster, Failure> {
        let mut roster = self.members.roster().await?;
        for (id, name) in &mut roster.all {
            if *id == roster.me {
                *name = self.name();
            }
        }
        Ok(roster)
    }

    /// Sums the steps of these rollouts over all gateways, by what this gateway has heard.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn sums(&self, open: &[OpenRollout]) -> Result<Vec<StepSum>, Failure> {
        let (roster, now) = (self.roster().await?, self.clock.wall());
        let mut reports = self.governance.reports();
        // Of itself a gateway knows more than it has reported.
        reports.insert(roster.me.clone(), self.report(now));
        let of = |open: &OpenRollout| StepSum::of(open, &roster, &reports, now);
        Ok(open.iter().map(of).collect())
    }

    /// Makes the report of this gateway.
    fn report(&self, now: WallMillis) -> GatewayReport {
        let open = self.governance.open_rollouts().into_iter();
        let step = |open: OpenRollout| {
            let (counts, windows) = self.comparer.counted(&open, now);
            let step = StepReport {
                salt: open.id.salt.to_string(),
                epoch: open.id.epoch,
                windows_over: open.windows_over(now.0),
                counts: told_counts(&counts),
                windows,
            };
            (open.id.name.to_string(), step)
        };
        GatewayReport {
            name: self.name(),
            wall_ms: now.0,
            plan: self.governance.plan().revision,
            stopped: false,
            rollouts: open.take(ROLLOUT_REPORT_ROLLOUTS_MAX).map(step).collect(),
        }
    }

    /// Takes up what this gateway had counted before it was started again.
    async fn resume(&self, roster: &Roster) {
        let mut kept = self.kept.lock().await;
        if std::mem::replace(&mut kept.resumed, true) {
            return;
        }
        let Some(before) = self.governance.reports().remove(&roster.me) else {
            return;
        };
        for open in self.governance.open_rollouts() {
            let step = before.rollouts.get(&*open.id.name);
            if let Some(step) = step.filter(|step| is_of(step, &open.id)) {
                let counts = read_counts(&step.counts);
                self.comparer.resume(&open.id, counts, &step.windows);
            }
        }
    }

    /// Writes the report of this gateway if there is something new to tell.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(super) async fn tell(&self) -> Result<(), Failure> {
        let roster = self.roster().await?;
        self.resume(&roster).await;
        let heard = self.governance.reports();
        let is_alone = roster.all.len() < 2;
        // One that was the last to stop still has to say that it runs again.
        if is_alone && !heard.contains_key(&roster.me) {
            return Ok(());
        }
        let (report, now) = (self.report(self.clock.wall()), self.clock.monotonic());
        let mut kept = self.kept.lock().await;
        if !is_due(&report, kept.written.as_ref(), now) {
            return Ok(());
        }
        let is_gone = |id: &&String| !roster.all.iter().any(|(known, _)| known == *id);
        let gone: Vec<String> = heard.keys().filter(is_gone).cloned().collect();
        let writing = self.governance.put_report(&roster.me, &report, &gone);
        writing.await?;
        kept.written = Some((now, report));
        Ok(())
    }

    /// Says that this gateway stops, so that nothing is waited for from it.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn stop(&self) -> Result<(), Failure> {
        let roster = self.roster().await?;
        if !self.governance.reports().contains_key(&roster.me) {
            return Ok(());
        }
        let report = GatewayReport {
            stopped: true,
            ..self.report(self.clock.wall())
        };
        self.governance.put_report(&roster.me, &report, &[]).await
    }
}

/// Whether a report is to be written.
fn is_due(
    report: &GatewayReport,
    written: Option<&(Duration, GatewayReport)>,
    now: Duration,
) -> bool {
    let Some((at, before)) = written else {
        return true;
    };
    let steps = |report: &GatewayReport| -> BTreeMap<String, (String, u64)> {
        let rollouts = report.rollouts.iter();
        rollouts
            .map(|(name, step)| (name.clone(), (step.salt.clone(), step.epoch)))
            .collect()
    };
    let over = |report: &GatewayReport| -> Vec<u64> {
        let rollouts = report.rollouts.values();
        rollouts.map(|step| step.windows_over).collect()
    };
    if steps(report) != steps(before) {
        return true;
    }
    let age = now.saturating_sub(*at).as_millis();
    let most = match report.rollouts.is_empty() {
        true => ROLLOUT_REPORT_IDLE_EVERY_MS,
        false => ROLLOUT_REPORT_EVERY_MS,
    };
    age >= u128::from(most)
        || (age >= u128::from(ROLLOUT_REPORT_PAUSE_MS) && over(report) != over(before))
}

#[cfg(test)]
mod tests;

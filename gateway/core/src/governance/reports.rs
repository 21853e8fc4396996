//! The reports of gateways on open rollouts, as documents of the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_domain::Edit;
use leasehold_domain::Feature;
use leasehold_domain::Precondition;
use leasehold_policy_evaluate::BUCKETS;
use tokio::sync::watch;

use super::Governance;
use super::RolloutId;
use super::bound::BoundPolicies;
use super::document::GatewayReport;
use super::document::Guardrails;
use super::document::ROLLOUT_REPORTS;
use super::document::RolloutDocument;
use super::document::RolloutStage;
use super::document::RolloutState;
use crate::failure::Failure;
use crate::flags::FlagSource;
use crate::flags::FlagStatus;

/// What is needed of an open rollout that is in force on this gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenRollout {
    /// Its current step.
    pub id: RolloutId,
    /// Its guardrails.
    pub rails: Guardrails,
    /// Its state.
    pub state: RolloutState,
    /// The minimum time in the step, in milliseconds.
    pub least_ms: u64,
    /// Whether it advances by itself.
    pub automatic: bool,
    /// Whether its plan has a further step.
    pub has_next: bool,
    /// The flag that may narrow or hold it.
    pub flag: Option<OpenFlag>,
}

/// The flag of an open rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFlag {
    /// Its key.
    pub key: String,
    /// The share of a canary that the next step needs, in thousandths of a percent: all, to be full.
    pub next_share: u32,
}

impl OpenRollout {
    /// Returns what is needed of a rollout.
    #[must_use]
    pub fn of(rollout: &RolloutDocument) -> Self {
        let step = rollout.steps.get(rollout.state.step);
        Self {
            id: RolloutId::of(rollout),
            rails: rollout.guardrails,
            state: rollout.state,
            least_ms: step.map_or(0, |step| step.least_ms),
            automatic: rollout.automatic,
            has_next: rollout.state.step + 1 < rollout.steps.len(),
            flag: rollout.flag.as_ref().map(|key| OpenFlag {
                key: key.clone(),
                next_share: match rollout.steps.get(rollout.state.step + 1) {
                    Some(step) if step.stage == RolloutStage::Canary => step.share,
                    _ => BUCKETS,
                },
            }),
        }
    }

    /// Returns how many windows of the step are over at a moment, in milliseconds since 1970.
    #[must_use]
    pub fn windows_over(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.state.since_ms) / self.rails.window_ms.max(1)
    }
}

impl Governance {
    /// Returns the open rollouts in force on this gateway.
    #[must_use]
    pub fn open_rollouts(&self) -> Vec<OpenRollout> {
        let replica = self.replica();
        let all = replica.rollouts.iter();
        let open = all.filter(|rollout| rollout.state.stage.is_open());
        open.map(OpenRollout::of).collect()
    }

    /// Returns where the limits of rollouts come from.
    #[must_use]
    pub fn flags(&self) -> &Arc<dyn FlagSource> {
        &self.flags
    }

    /// Returns what this gateway knows of the flag of an open rollout; `None` if it names none.
    #[must_use]
    pub fn flag_status(&self, open: &OpenRollout) -> Option<FlagStatus> {
        let flag = open.flag.as_ref()?;
        let (snapshot, now) = (self.flags.snapshot(), self.clock.monotonic());
        Some(snapshot.status(&flag.key, now))
    }

    /// Says why the flag of an open rollout keeps it in its step; `None` if it does not.
    #[must_use]
    pub fn held_by_flag(&self, open: &OpenRollout) -> Option<String> {
        let next_share = open.flag.as_ref()?.next_share;
        self.flag_status(open)?.refuses(next_share)
    }

    /// Tells when other documents have come into force.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Returns the reports that this gateway has heard of, by the ids of the gateways.
    pub(crate) fn reports(&self) -> BTreeMap<String, GatewayReport> {
        let replica = self.replica();
        let all = replica.collection(ROLLOUT_REPORTS);
        // One that cannot be read is as good as none: its gateway has not reported.
        all.filter_map(|row| {
            let report = serde_json::from_slice(&row.body).ok()?;
            Some((row.id.to_string(), report))
        })
        .collect()
    }

    /// Writes the report of this gateway, and deletes those of gateways that are gone. Does nothing
    /// below the feature level of rollouts.
    ///
    /// # Errors
    /// The store cannot write.
    pub(crate) async fn put_report(
        &self,
        id: &str,
        report: &GatewayReport,
        gone: &[String],
    ) -> Result<(), Failure> {
        if !self.documents.level().has(Feature::Rollouts) {
            return Ok(());
        }
        let body = serde_json::to_vec(report);
        let body = body.map_err(|error| Failure::internal(error.to_string()))?;
        let of = |id: &str, body: Option<Vec<u8>>| Edit {
            collection: ROLLOUT_REPORTS.into(),
            id: id.into(),
            body: body.map(Into::into),
            precondition: Precondition::Any,
            change: None,
        };
        let mut edits = vec![of(id, Some(body))];
        edits.extend(gone.iter().map(|id| of(id, None)));
        let written = self.try_commit(edits, BoundPolicies::default()).await?;
        written.map(drop).map_err(|conflict| conflict.failure)
    }

    /// Returns whether the next step of a rollout may be entered without asking anybody: none needs to
    /// approve it, or enough have.
    ///
    /// # Errors
    /// There is no such rollout, or the store cannot be read.
    pub(crate) async fn next_step_is_approved(&self, name: &str) -> Result<bool, Failure> {
        if !self.needs_approval().await? {
            return Ok(true);
        }
        let rollout = self.rollout(name).await?.document;
        let next = rollout.state.step + 1;
        let proposals = self.proposals_of_rollout(&rollout, next).await?;
        self.is_approved(&proposals).await
    }
}

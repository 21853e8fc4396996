//! Starts, advances, holds, resumes and rolls back rollouts. Each change is one write, together with
//! the binding where it changes, too.

mod check;
mod draft;
mod edit_plan;
mod entry;
mod state;

use leasehold_domain::Edit;
use leasehold_domain::Feature;
use leasehold_domain::Precondition;
use leasehold_domain::limits::ROLLOUT_CHANGES_MAX;
use leasehold_domain::limits::ROLLOUT_REASON_BYTES_MAX;

pub use self::draft::RolloutDraft;
pub use self::edit_plan::FlagEdit;
pub use self::edit_plan::RolloutEdit;
pub use self::state::RolloutAction;
pub(super) use self::state::next_state;

use self::entry::entry;
use self::entry::version_of;
use self::entry::with_entry;

use super::Governance;
use super::OpenRollout;
use super::Stored;
use super::binding::taken_into_use;
use super::bound::BoundPolicies;
use super::checking::Checked;
use super::document::BINDINGS;
use super::document::BindingDocument;
use super::document::ROLLOUTS;
use super::document::RevisionOrigin;
use super::document::RolloutChange;
use super::document::RolloutDocument;
use super::document::RolloutStage;
use super::document::RolloutState;
use super::document::RolloutVersion;
use super::edit;
use super::revision::RevisedWrite;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::feature_gate;
use crate::field_limits::prose;

/// How often a change is tried against others that write, too.
const WRITES_MAX: usize = 4;

/// Why a rollout is changed.
#[derive(Debug, Clone, Copy, Default)]
pub struct RolloutReason<'r> {
    /// The reason that the caller gave, or the evidence of a guardrail.
    pub reason: Option<&'r str>,
    /// The comparisons of the step on this gateway.
    pub compared: Option<&'r str>,
}

impl Governance {
    /// Starts a rollout in its first step.
    ///
    /// # Errors
    /// A part of the draft is invalid, the feature level of the default store is too low, the candidate cannot be bound, another rollout changes the same
    /// policy of the binding, there is a rollout of that name, or the store cannot write.
    pub async fn start_rollout(
        &self,
        caller: &Caller,
        draft: &RolloutDraft,
    ) -> Result<Stored<RolloutDocument>, Failure> {
        draft.check()?;
        let level = self.documents.level();
        feature_gate::require(Feature::Rollouts, level, "the default store")?;
        self.check_flag_service(draft.flag.as_deref())?;
        for _ in 0..WRITES_MAX {
            if let Some(started) = self.try_start(caller, draft).await? {
                return Ok(started);
            }
        }
        Err(changed_each_time())
    }

    async fn try_start(
        &self,
        caller: &Caller,
        draft: &RolloutDraft,
    ) -> Result<Option<Stored<RolloutDocument>>, Failure> {
        let binding: Stored<BindingDocument> = self.binding(&draft.binding).await?;
        let entry = entry(&binding.document, &draft.policy)?;
        let current = version_of(&binding.document, entry);
        let candidate = draft.candidate(&current)?;
        let superseded = self.superseded_by(draft).await?;
        let with_candidate = with_entry(&binding.document, entry, &candidate);
        let before = Some(&binding.document);
        let checked = self.check(&with_candidate, before).await?;
        self.check_standing(&with_candidate, before, &checked.versions)
            .await?;
        let rollout = draft.document(caller, current, candidate, self.clock.wall());
        self.check_first_stage(&rollout).await?;
        let summary = format!(
            "rollout {}: {} of binding {}, {} -> {}, {}",
            rollout.name,
            rollout.policy,
            rollout.binding,
            rollout.current.version,
            rollout.candidate.version,
            rollout.state.describe()
        );
        let (id, body) = (&rollout.name, Some(&rollout));
        let mut edits = vec![edit(
            caller,
            ROLLOUTS,
            id,
            body,
            Precondition::Absent,
            summary,
        )?];
        edits.push(unchanged_binding(caller, &binding)?);
        edits.extend(taken_into_use(
            caller,
            &with_candidate,
            before,
            &checked.versions,
        )?);
        for full in superseded {
            edits.push(self.supersede(caller, full, &rollout.name)?);
        }
        match self.try_commit(edits, checked.bound).await? {
            Ok(revision) => Ok(Some(Stored {
                document: rollout,
                revision,
            })),
            Err(conflict) if conflict.index == 0 => {
                let message = format!("rollout {} exists", rollout.name);
                Err(Failure::new(FailureKind::Conflict, message))
            }
            Err(_) => Ok(None),
        }
    }

    /// Returns the full rollouts that a new one supersedes.
    ///
    /// # Errors
    /// `conflict`: a rollout of the same policy of the binding is open.
    async fn superseded_by(
        &self,
        draft: &RolloutDraft,
    ) -> Result<Vec<Stored<RolloutDocument>>, Failure> {
        let mut all = self.rollouts().await?;
        all.retain(|stored| {
            let rollout = &stored.document;
            rollout.binding == draft.binding && rollout.policy == draft.policy
        });
        if let Some(open) = all
            .iter()
            .find(|stored| stored.document.state.stage.is_open())
        {
            return Err(Failure::new(
                FailureKind::Conflict,
                format!(
                    "rollout {} of policy {} in binding {} is open: roll it back, or let it become \
                     full, first",
                    open.document.name, draft.policy, draft.binding
                ),
            ));
        }
        all.retain(|stored| stored.document.state.stage == RolloutStage::Full);
        Ok(all)
    }

    fn supersede(
        &self,
        caller: &Caller,
        full: Stored<RolloutDocument>,
        by: &str,
    ) -> Result<Edit, Failure> {
        let Stored {
            mut document,
            revision,
        } = full;
        document.state = RolloutState {
            stage: RolloutStage::Superseded,
            epoch: document.state.epoch + 1,
            since_ms: self.clock.wall().0,
            ..document.state
        };
        let why = RolloutReason {
            reason: Some(&format!("rollout {by} has begun")),
            compared: None,
        };
        self.record(caller, &mut document, "superseded", why);
        let (id, same) = (document.name.clone(), Precondition::Revision(revision));
        let summary = format!("rollout {id}: superseded by {by}");
        edit(caller, ROLLOUTS, &id, Some(&document), same, summary)
    }

    /// Changes a rollout. `seen`: the epoch of the state that the change was decided on; `None` for
    /// whichever it is in.
    ///
    /// # Errors
    /// There is no such rollout, its stage does not allow the change, it has left the step that was
    /// seen, its binding says something else by now, its flag holds it, others must approve its plan
    /// first, or the store cannot write.
    pub async fn change_rollout(
        &self,
        caller: &Caller,
        name: &str,
        action: RolloutAction,
        why: RolloutReason<'_>,
        seen: Option<u64>,
    ) -> Result<Stored<RolloutDocument>, Failure> {
        prose("reason", why.reason, ROLLOUT_REASON_BYTES_MAX)?;
        for _ in 0..WRITES_MAX {
            let stored = self.seen_rollout(name, seen).await?;
            let changing = self.try_change(caller, stored, action, why);
            if let Some(changed) = changing.await? {
                return Ok(changed);
            }
        }
        Err(changed_each_time())
    }

    /// Returns a rollout in the epoch that was seen, if one was.
    async fn seen_rollout(
        &self,
        name: &str,
        seen: Option<u64>,
    ) -> Result<Stored<RolloutDocument>, Failure> {
        let stored = self.rollout(name).await?;
        if seen.is_some_and(|seen| seen != stored.document.state.epoch) {
            let message = format!("rollout {name} is in another epoch than the request names");
            return Err(Failure::new(FailureKind::PreconditionFailed, message));
        }
        Ok(stored)
    }

    async fn try_change(
        &self,
        caller: &Caller,
        stored: Stored<RolloutDocument>,
        action: RolloutAction,
        why: RolloutReason<'_>,
    ) -> Result<Option<Stored<RolloutDocument>>, Failure> {
        let now = self.clock.wall().0;
        let before = stored.document;
        let mut rollout = before.clone();
        rollout.state = next_state(&before, action, now)?;
        if action == RolloutAction::Advance {
            if let Some(problem) = self.held_by_flag(&OpenRollout::of(&before)) {
                let message = format!("rollout {}: {problem}", before.name);
                return Err(Failure::new(FailureKind::Conflict, message));
            }
            self.check_candidate(&before).await?;
        }
        self.record(caller, &mut rollout, action.done(), why);
        let mut summary = format!("rollout {}: {}", rollout.name, action.done());
        summary += &format!(", {}", rollout.state.describe());
        if let Some(reason) = why.reason {
            summary += &format!(": {reason}");
        }
        if let Some(compared) = why.compared {
            summary += &format!("; {} compared {compared}", before.state.describe());
        }
        let (id, same) = (&rollout.name, Precondition::Revision(stored.revision));
        let mut edits = vec![edit(caller, ROLLOUTS, id, Some(&rollout), same, summary)?];
        if action == RolloutAction::Advance && rollout.state.stage != RolloutStage::Shadow {
            let step = rollout.state.step;
            let proposals = self.proposals_of_rollout(&rollout, step).await?;
            edits.extend(Box::pin(self.approved(caller, &proposals)).await?);
        }
        let mut bound = BoundPolicies::default();
        if (before.bound(), before.state.stage) != (rollout.bound(), rollout.state.stage)
            && (rollout.state.stage == RolloutStage::Full
                || before.state.stage == RolloutStage::Full)
        {
            let rebind = self.rebind(caller, &before, rollout.bound(), why.reason);
            let (binding, checked) = Box::pin(rebind).await?;
            edits.extend(binding);
            bound = checked.bound;
        }
        match self.try_commit(edits, bound).await? {
            Ok(revision) => Ok(Some(Stored {
                document: rollout,
                revision,
            })),
            Err(_) => Ok(None),
        }
    }

    /// Checks that the candidate of a rollout may be promoted. A rollout of another configuration
    /// alone promotes no version.
    async fn check_candidate(&self, rollout: &RolloutDocument) -> Result<(), Failure> {
        let (policy, candidate) = (&rollout.policy, &rollout.candidate.version);
        if *candidate == rollout.current.version {
            return Ok(());
        }
        match self.version(policy, candidate).await? {
            Some(version) => self.usable(&version.document, "promoted").await.map(drop),
            None => Err(Failure::invalid(format!(
                "there is no policy {policy}@{candidate}"
            ))),
        }
    }

    /// Returns the edits that replace the version that the binding names in the stage of `before` by
    /// `to`, and keep a revision of the binding.
    async fn rebind(
        &self,
        caller: &Caller,
        before: &RolloutDocument,
        to: &RolloutVersion,
        reason: Option<&str>,
    ) -> Result<(Vec<Edit>, Checked), Failure> {
        let binding: Stored<BindingDocument> = self.binding(&before.binding).await?;
        let entry = entry(&binding.document, &before.policy)?;
        if version_of(&binding.document, entry) != *before.bound() {
            let message = format!(
                "binding {} names another version or configuration than rollout {} expects; change the binding directly",
                before.binding, before.name
            );
            return Err(Failure::new(FailureKind::Conflict, message));
        }
        let changed = with_entry(&binding.document, entry, to);
        let checked = self.check(&changed, Some(&binding.document)).await?;
        let summary = format!(
            "binding {}: {}@{} by rollout {}",
            changed.name, before.policy, to.version, before.name
        );
        let write = RevisedWrite::<BindingDocument> {
            name: &changed.name,
            before: Some(&binding.document),
            after: Some(&changed),
            precondition: Precondition::Revision(binding.revision),
            origin: RevisionOrigin::Rollout(before.name.clone()),
            reason,
            summary,
        };
        let written = self.revised_edits(caller, write).await?;
        Ok((written.edits, checked))
    }

    /// Appends a change to the rollout's history.
    pub(super) fn record(
        &self,
        caller: &Caller,
        rollout: &mut RolloutDocument,
        action: &str,
        why: RolloutReason<'_>,
    ) {
        rollout.changes.push(RolloutChange {
            at: crate::telemetry::rfc3339(self.clock.wall()),
            by: caller.principal.subject.to_string(),
            action: action.to_owned(),
            to: rollout.state.describe(),
            reason: why.reason.map(str::to_owned),
            compared: why.compared.map(str::to_owned),
        });
        let beyond = rollout.changes.len().saturating_sub(ROLLOUT_CHANGES_MAX);
        rollout.changes.drain(..beyond);
    }

    /// Deletes a rollout that is not open. The ledger keeps what became of it.
    ///
    /// # Errors
    /// `conflict`: it is open. There is no such rollout, or the store cannot write.
    pub async fn delete_rollout(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Stored<RolloutDocument>, Failure> {
        let stored = self.rollout(name).await?;
        if stored.document.state.stage.is_open() {
            let message = format!("rollout {name} is open: roll it back first");
            return Err(Failure::new(FailureKind::Conflict, message));
        }
        let same = Precondition::Revision(stored.revision);
        let (nothing, summary) = (None::<&RolloutDocument>, format!("rollout {name} deleted"));
        self.write(caller, ROLLOUTS, name, nothing, same, summary)
            .await?;
        Ok(stored)
    }

    /// One rollout.
    ///
    /// # Errors
    /// There is none of that name, or the store cannot be read.
    pub async fn rollout(&self, name: &str) -> Result<Stored<RolloutDocument>, Failure> {
        self.read(ROLLOUTS, name).await
    }

    /// All rollouts, by name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn rollouts(&self) -> Result<Vec<Stored<RolloutDocument>>, Failure> {
        self.list(ROLLOUTS).await
    }

    /// Checks that a changed binding, or `None` if it is to be deleted, keeps the entries that open
    /// rollouts need.
    ///
    /// # Errors
    /// `conflict`: a rollout does. The store cannot be read.
    pub(super) async fn check_rollouts(
        &self,
        name: &str,
        binding: Option<&BindingDocument>,
    ) -> Result<(), Failure> {
        for stored in self.rollouts().await? {
            let rollout = stored.document;
            if rollout.binding != name || !rollout.state.stage.is_open() {
                continue;
            }
            let kept = binding.and_then(|binding| {
                let entry = entry(binding, &rollout.policy).ok()?;
                Some(version_of(binding, entry))
            });
            if kept.as_ref() != Some(&rollout.current) {
                let message = format!(
                    "rollout {} of policy {} in this binding is open: roll it back, or let it become \
                     full, first",
                    rollout.name, rollout.policy
                );
                return Err(Failure::new(FailureKind::Conflict, message));
            }
        }
        Ok(())
    }
}

/// Returns an edit that rewrites a binding unchanged. If the binding is changed between the check of a
/// rollout and its write, the write fails.
fn unchanged_binding(caller: &Caller, binding: &Stored<BindingDocument>) -> Result<Edit, Failure> {
    let (document, same) = (&binding.document, Precondition::Revision(binding.revision));
    let summary = format!("binding {} taken into a rollout", document.name);
    edit(
        caller,
        BINDINGS,
        &document.name,
        Some(document),
        same,
        summary,
    )
}

fn changed_each_time() -> Failure {
    let message = "other writes changed the rollout or its binding each time; try again";
    Failure::new(FailureKind::Conflict, message)
}

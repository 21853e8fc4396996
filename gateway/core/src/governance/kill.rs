//! Kills of policy versions: from then on a version fails wherever it would judge. It is never just
//! left out, so that a kill admits nothing that the bindings do not let pass on a failure.

use leasehold_domain::Edit;
use leasehold_domain::Feature;
use leasehold_domain::Precondition;
use serde_json::json;

use super::Governance;
use super::RolloutAction;
use super::RolloutReason;
use super::Stored;
use super::approval::Proposal;
use super::bound::BoundPolicies;
use super::document::PolicyDocument;
use super::document::ROLLOUTS;
use super::document::STANDINGS;
use super::document::StandingDocument;
use super::edit;
use super::rollout::next_state;
use super::standing::assess;
use super::standing::unusable;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::feature_gate;

impl Governance {
    /// Returns the edits that roll back the open rollouts whose candidate is killed, so that its
    /// leases pass to the version that rules. They are one write with the kill.
    ///
    /// # Errors
    /// The feature level of the default store is too low, or the store cannot be read.
    pub(super) async fn rollbacks_by_kill(
        &self,
        caller: &Caller,
        (policy, version): (&str, &str),
        reason: &str,
    ) -> Result<Vec<Edit>, Failure> {
        let level = self.documents.level();
        feature_gate::require(Feature::Kills, level, "the default store")?;
        let (id, now) = (PolicyDocument::id(policy, version), self.clock.wall().0);
        let reason = format!("{id} was killed: {reason}");
        let why = RolloutReason {
            reason: Some(&reason),
            compared: None,
        };
        let mut edits = Vec::new();
        for stored in self.rollouts().await? {
            let before = &stored.document;
            let is_candidate = before.policy == policy && before.candidate.version == version;
            if !before.state.stage.is_open() || !is_candidate {
                continue;
            }
            let mut rollout = before.clone();
            rollout.state = next_state(before, RolloutAction::RollBack, now)?;
            self.record(caller, &mut rollout, RolloutAction::RollBack.done(), why);
            let summary = format!("rollout {}: rolled-back: {reason}", rollout.name);
            let same = Precondition::Revision(stored.revision);
            let (name, body) = (&rollout.name, Some(&rollout));
            edits.push(edit(caller, ROLLOUTS, name, body, same, summary)?);
        }
        Ok(edits)
    }

    /// Returns the edit that uses the approval of a revival. Reviving a version does what binding it
    /// does, so it needs the same: signatures that suffice now, and the approvals of the rule.
    ///
    /// # Errors
    /// `policy_version_unusable`: it could not be bound either. `approval_required`: others must
    /// approve the revival first. Or the store cannot be read.
    pub(super) async fn approval_of_revival(
        &self,
        caller: &Caller,
        version: &PolicyDocument,
        (before, after): (&StandingDocument, &StandingDocument),
    ) -> Result<Option<Edit>, Failure> {
        let trust = self.trust().await?.document;
        let standing = assess(version, after, &trust, self.clock.wall());
        if let Some(problem) = &standing.problem {
            return Err(unusable(version, "revived", problem));
        }
        let id = PolicyDocument::id(&version.policy, &version.version);
        let in_use = self
            .uses_of_version(&version.policy, &version.version)
            .await?;
        let mut bindings = Vec::new();
        for name in in_use.bindings {
            bindings.push(self.binding(&name).await?.document);
        }
        let uploader = Some(version.uploaded_by.clone());
        let proposal = Proposal {
            kind: STANDINGS,
            summary: format!("policy {id} revived after its kill"),
            subject: json!({
                "revived": id,
                "module": version.digest,
                "killed": before.killed,
                "bindings": bindings,
                "rollouts": in_use.rollouts,
            }),
            name: id,
            uploaders: uploader.filter(|by| !by.is_empty()).into_iter().collect(),
            lasts: false,
        };
        self.approved(caller, &[proposal]).await
    }

    /// Binds what these edits touch, away from the thread on which they come into force. What cannot
    /// be bound now is no reason to wait with a kill.
    pub(super) async fn prepared_for(&self, edits: &[Edit]) -> BoundPolicies {
        let mut target = self.replica().target(None);
        let next = target.revision().saturating_add(1);
        for edit in edits {
            target.apply(edit, next);
        }
        let prepared = self.prepare(&target).await;
        prepared.map(|prepared| prepared.bound).unwrap_or_default()
    }

    /// Returns a version with its signatures and marks.
    pub(super) async fn marked_version(
        &self,
        policy: &str,
        version: &str,
    ) -> Result<Option<(Stored<PolicyDocument>, Option<Stored<StandingDocument>>)>, Failure> {
        let Some(stored) = self.version(policy, version).await? else {
            return Ok(None);
        };
        let id = PolicyDocument::id(policy, version);
        Ok(Some((stored, self.standing_document(&id).await?)))
    }
}

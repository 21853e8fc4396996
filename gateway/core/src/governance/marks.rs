//! Marks of policy versions: deprecated, withdrawn, restored. A mark changes nothing for what judges
//! already.

use leasehold_domain::Precondition;

use super::Governance;
use super::Stored;
use super::document::BindingDocument;
use super::document::MarkDocument;
use super::document::POLICIES;
use super::document::PolicyDocument;
use super::document::RolloutDocument;
use super::document::RolloutStage;
use super::document::STANDINGS;
use super::document::StandingDocument;
use super::edit;
use super::trust::check_reason;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::telemetry::rfc3339;

/// How often a mark is tried against others that write at the same time.
const WRITES_MAX: usize = 4;

/// A mark of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyMark {
    /// It should not be put to new use. Who binds it is warned.
    Deprecate,
    /// It cannot be put to new use.
    Withdraw,
    /// Neither any more.
    Restore,
}

impl PolicyMark {
    /// Returns what was done, for the ledger.
    fn done(self) -> &'static str {
        match self {
            Self::Deprecate => "deprecated",
            Self::Withdraw => "withdrawn",
            Self::Restore => "restored",
        }
    }
}

/// What a version judges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyUse {
    /// The bindings that name it.
    pub bindings: Vec<String>,
    /// The rollouts that may choose it: open ones, and full ones, which can be rolled back to it.
    pub rollouts: Vec<String>,
}

impl Governance {
    /// Marks a version. What it judges already goes on.
    ///
    /// # Errors
    /// There is no such version, the reason is missing, or the store cannot write.
    pub async fn mark_version(
        &self,
        caller: &Caller,
        (policy, version): (&str, &str),
        mark: PolicyMark,
        reason: &str,
    ) -> Result<Stored<PolicyDocument>, Failure> {
        check_reason(reason)?;
        let id = PolicyDocument::id(policy, version);
        let made = MarkDocument {
            by: caller.principal.subject.to_string(),
            at: rfc3339(self.clock.wall()),
            reason: reason.to_owned(),
        };
        for _ in 0..WRITES_MAX {
            let missing =
                || Failure::new(FailureKind::NotFound, format!("there is no policy {id}"));
            let stored = self.version(policy, version).await?.ok_or_else(missing)?;
            let before = self.standing_document(&id).await?;
            let same = before.as_ref().map_or(Precondition::Absent, |before| {
                Precondition::Revision(before.revision)
            });
            let before = before.map(|before| before.document).unwrap_or_default();
            let Some(after) = marked(&before, mark, &made) else {
                return Ok(stored);
            };
            let summary = format!("policy {id} {}: {reason}", mark.done());
            let mut edits = vec![edit(caller, STANDINGS, &id, Some(&after), same, summary)?];
            if mark == PolicyMark::Withdraw {
                // A binding that was checked before and is written after this fails, and is checked
                // again: it rewrites the version, too.
                let (unchanged, summary) = (
                    &stored.document,
                    format!("policy {id} kept from bindings that are being written"),
                );
                let same = Precondition::Revision(stored.revision);
                let edit = edit(caller, POLICIES, &id, Some(unchanged), same, summary)?;
                edits.push(edit);
            }
            if self.try_commit(edits, Default::default()).await?.is_ok() {
                return Ok(stored);
            }
        }
        let message = format!("others changed policy {id} each time; try again");
        Err(Failure::new(FailureKind::Conflict, message))
    }

    /// Returns what a version judges.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn uses_of_version(&self, policy: &str, version: &str) -> Result<PolicyUse, Failure> {
        let names = |binding: &BindingDocument| {
            let mut policies = binding.policies.iter();
            policies.any(|bound| bound.policy == policy && bound.version == version)
        };
        let bindings = self.bindings().await?.into_iter();
        let bindings = bindings.map(|stored| stored.document).filter(names);
        let needs = |rollout: &RolloutDocument| {
            let applies =
                rollout.state.stage.is_open() || rollout.state.stage == RolloutStage::Full;
            applies && rollout.policy == policy && rollout.other().version == version
        };
        let rollouts = self.rollouts().await?.into_iter();
        let rollouts = rollouts.map(|stored| stored.document).filter(needs);
        Ok(PolicyUse {
            bindings: bindings.map(|binding| binding.name).collect(),
            rollouts: rollouts.map(|rollout| rollout.name).collect(),
        })
    }
}

/// Returns the document with a mark; `None` if it has it already.
fn marked(
    before: &StandingDocument,
    mark: PolicyMark,
    made: &MarkDocument,
) -> Option<StandingDocument> {
    let mut after = before.clone();
    match mark {
        PolicyMark::Deprecate => {
            after.deprecated.get_or_insert_with(|| made.clone());
        }
        PolicyMark::Withdraw => {
            after.withdrawn.get_or_insert_with(|| made.clone());
        }
        PolicyMark::Restore => (after.deprecated, after.withdrawn) = (None, None),
    }
    (after != *before).then_some(after)
}

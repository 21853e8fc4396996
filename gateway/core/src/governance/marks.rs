//! Marks of policy versions: deprecated, withdrawn, restored, which change nothing for what judges
//! already; and killed and revived, which do ([`super::kill`]).

use leasehold_domain::Edit;
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
    /// It fails wherever it would judge, at once.
    Kill,
    /// It judges again where it is bound.
    Revive,
}

impl PolicyMark {
    /// Returns what was done, for the ledger.
    fn done(self) -> &'static str {
        match self {
            Self::Deprecate => "deprecated",
            Self::Withdraw => "withdrawn",
            Self::Restore => "restored",
            Self::Kill => "killed",
            Self::Revive => "revived",
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
    /// Marks a version. What it judges already goes on, unless it is killed.
    ///
    /// # Errors
    /// There is no such version, the reason is missing, the feature level is too low for a kill, others
    /// must approve a revival first, or the store cannot write.
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
            let found = self.marked_version(policy, version).await?;
            let (stored, before) = found.ok_or_else(missing)?;
            let same = before.as_ref().map_or(Precondition::Absent, |before| {
                Precondition::Revision(before.revision)
            });
            let before = before.map(|before| before.document).unwrap_or_default();
            let Some(after) = marked(&before, mark, &made) else {
                return Ok(stored);
            };
            let summary = format!("policy {id} {}: {reason}", mark.done());
            let mut edits = vec![edit(caller, STANDINGS, &id, Some(&after), same, summary)?];
            if matches!(mark, PolicyMark::Withdraw | PolicyMark::Kill) {
                edits.push(kept_from_bindings(caller, &id, &stored)?);
            }
            if mark == PolicyMark::Kill {
                let rollbacks = self.rollbacks_by_kill(caller, (policy, version), reason);
                edits.extend(Box::pin(rollbacks).await?);
            }
            if mark == PolicyMark::Revive {
                let marks = (&before, &after);
                let approval = self.approval_of_revival(caller, &stored.document, marks);
                edits.extend(Box::pin(approval).await?);
            }
            let bound = match mark {
                PolicyMark::Kill | PolicyMark::Revive => Box::pin(self.prepared_for(&edits)).await,
                _ => Default::default(),
            };
            if self.try_commit(edits, bound).await?.is_ok() {
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

/// Returns the edit that rewrites a version unchanged. A binding that was checked before the mark and
/// is written after it fails, and is checked again: it rewrites the version, too.
fn kept_from_bindings(
    caller: &Caller,
    id: &str,
    version: &Stored<PolicyDocument>,
) -> Result<Edit, Failure> {
    let (unchanged, summary) = (
        &version.document,
        format!("policy {id} kept from bindings that are being written"),
    );
    let same = Precondition::Revision(version.revision);
    edit(caller, POLICIES, id, Some(unchanged), same, summary)
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
        PolicyMark::Kill => {
            after.killed.get_or_insert_with(|| made.clone());
        }
        PolicyMark::Revive => after.killed = None,
    }
    (after != *before).then_some(after)
}

//! The rule that says how many people must approve a change.

use leasehold_domain::Edit;
use leasehold_domain::Precondition;
use leasehold_domain::limits::APPROVALS_REQUIRED_MAX;
use serde_json::json;

use super::Proposal;
use super::descent::possible_approvers;
use crate::authentication::KeyDocument;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::governance::Governance;
use crate::governance::Stored;
use crate::governance::document::APPROVAL_RULE;
use crate::governance::document::APPROVAL_RULES;
use crate::governance::document::ApprovalRuleDocument;
use crate::governance::document::KEYS;
use crate::governance::edit;

/// The rule, and who could approve now.
#[derive(Debug, Clone)]
pub struct ApprovalRule {
    /// The rule; with 0 required approvals if none was set.
    pub document: ApprovalRuleDocument,
    /// The subjects of keys that could approve a stranger's change together.
    pub approvers: Vec<String>,
}

/// The rule as it is stored, if it is.
#[derive(Debug)]
pub(super) struct StoredRule(Option<Stored<ApprovalRuleDocument>>);

impl StoredRule {
    pub(super) fn required(&self) -> u32 {
        self.0.as_ref().map_or(0, |stored| stored.document.required)
    }

    fn precondition(&self) -> Precondition {
        match &self.0 {
            Some(stored) => Precondition::Revision(stored.revision),
            None => Precondition::Absent,
        }
    }
}

impl Governance {
    /// Returns the rule, and who could approve now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn approval_rule(&self) -> Result<ApprovalRule, Failure> {
        let rule = self.approval_rule_document().await?.0;
        let keys = self.keys().await?;
        let approvers = possible_approvers(&keys, None, self.clock.wall());
        let subject = |key: &Stored<KeyDocument>| key.document.subject.to_string();
        Ok(ApprovalRule {
            document: rule.map(|stored| stored.document).unwrap_or_default(),
            approvers: approvers.into_iter().map(subject).collect(),
        })
    }

    /// Sets how many people must approve a change; 0 for none.
    ///
    /// # Errors
    /// `conflict`: fewer than that could approve the caller's changes. `approval_required`: it lowers
    /// the number, which needs as many approvals as before. The store cannot write.
    pub async fn set_approval_rule(
        &self,
        caller: &Caller,
        required: u32,
    ) -> Result<ApprovalRule, Failure> {
        if required > APPROVALS_REQUIRED_MAX {
            let message = format!("required: at most {APPROVALS_REQUIRED_MAX}");
            return Err(Failure::invalid(message));
        }
        let before = self.approval_rule_document().await?;
        if before.required() == required {
            return self.approval_rule().await;
        }
        let document = ApprovalRuleDocument {
            required,
            set_by: caller.principal.subject.to_string(),
            set_at: crate::telemetry::rfc3339(self.clock.wall()),
        };
        let from = before.required();
        let summary = format!("approvals required: {from} -> {required}");
        let (id, same) = (APPROVAL_RULE, before.precondition());
        let rule = edit(
            caller,
            APPROVAL_RULES,
            id,
            Some(&document),
            same,
            summary.clone(),
        )?;
        let mut edits = vec![rule];
        if required < from {
            let proposal = Proposal {
                kind: APPROVAL_RULES,
                name: id.to_owned(),
                summary,
                subject: json!({ "before": from, "after": required }),
                uploaders: std::collections::BTreeSet::new(),
                lasts: false,
            };
            edits.extend(self.approved(caller, &[proposal]).await?);
        } else {
            edits.extend(self.kept_approvers(caller, required).await?);
        }
        self.commit(edits).await?;
        self.approval_rule().await
    }

    /// Makes edits that rewrite, unchanged, a key of each of the people who can approve changes of
    /// the caller. So none of them can be revoked between the check and the write of the rule.
    async fn kept_approvers(&self, caller: &Caller, required: u32) -> Result<Vec<Edit>, Failure> {
        let keys = self.keys().await?;
        let author = caller.principal.subject.as_str();
        let possible = possible_approvers(&keys, Some(author), self.clock.wall());
        let enough = required as usize;
        if possible.len() < enough {
            let named: Vec<&str> = possible
                .iter()
                .map(|key| key.document.subject.as_str())
                .collect();
            let named = match named.is_empty() {
                true => "nobody".to_owned(),
                false => named.join(", "),
            };
            let message = format!(
                "too few could approve changes of {author} ({} of {required}: {named}): it takes keys \
                 with role approver that neither {author} nor another approver created",
                possible.len(),
            );
            return Err(Failure::new(FailureKind::Conflict, message));
        }
        let kept = possible.into_iter().take(enough).map(|stored| {
            let Stored {
                document: key,
                revision,
            } = stored;
            let summary = format!("key {} of {} can approve", key.id, key.subject);
            let same = Precondition::Revision(*revision);
            edit(caller, KEYS, &key.id, Some(key), same, summary)
        });
        kept.collect()
    }

    /// Checks that enough people can approve once a key is revoked. Returns the edit that rewrites the
    /// rule unchanged, so that of two revocations at the same time one is checked again.
    ///
    /// # Errors
    /// `conflict`: too few could. The store cannot be read.
    pub(in crate::governance) async fn check_approvers_without(
        &self,
        caller: &Caller,
        revoked: &str,
    ) -> Result<Option<Edit>, Failure> {
        let rule = self.approval_rule_document().await?;
        let (required, same) = (rule.required(), rule.precondition());
        let Some(Stored { document, .. }) = rule.0.filter(|_| required > 0) else {
            return Ok(None);
        };
        let mut keys = self.keys().await?;
        let now = self.clock.wall();
        let before = possible_approvers(&keys, None, now).len();
        keys.retain(|key| key.document.id != revoked);
        let after = possible_approvers(&keys, None, now).len();
        if after < before && after < required as usize {
            let message = format!(
                "too few could approve changes without this key ({after} of {required}): create \
                 another approver's key first"
            );
            return Err(Failure::new(FailureKind::Conflict, message));
        }
        let summary = format!("approvals required: {required}, and {after} people can approve");
        let rule = edit(
            caller,
            APPROVAL_RULES,
            APPROVAL_RULE,
            Some(&document),
            same,
            summary,
        );
        rule.map(Some)
    }

    /// Returns whether changes need approval.
    pub(in crate::governance) async fn needs_approval(&self) -> Result<bool, Failure> {
        Ok(self.approval_rule_document().await?.required() > 0)
    }

    pub(super) async fn approval_rule_document(&self) -> Result<StoredRule, Failure> {
        match self.read(APPROVAL_RULES, APPROVAL_RULE).await {
            Ok(stored) => Ok(StoredRule(Some(stored))),
            Err(failure) if failure.kind == FailureKind::NotFound => Ok(StoredRule(None)),
            Err(failure) => Err(failure),
        }
    }
}

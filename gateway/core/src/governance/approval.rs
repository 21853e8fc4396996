//! Approvals by further people: a change of what may lock what is written only if enough of them have
//! approved exactly that change.
//!
//! The gate is in the path of the write ([`Governance::approved`]): the write needs an edit that only
//! the gate makes. What is approved is named by a digest over all of it, so that an approval does not
//! hold for anything else.

mod descent;
mod rule;
mod subject;

use std::collections::BTreeSet;

use leasehold_domain::Digest;
use leasehold_domain::Edit;
use leasehold_domain::Precondition;
use leasehold_domain::Subject;
use leasehold_domain::limits::APPROVAL_LIFE_MS;
use leasehold_domain::limits::APPROVAL_REASON_BYTES_MAX;
use leasehold_domain::limits::APPROVALS_MAX;
use serde_json::Value;
use serde_json::json;

pub(super) use self::descent::Descent;
use super::Governance;
use super::Stored;
use super::document::APPROVALS;
use super::document::Approval;
use super::document::ApprovalDocument;
use super::document::ApprovalState;
use super::edit;
use super::writing::deletions;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::field_limits::prose;

pub use self::rule::ApprovalRule;
pub(super) use self::subject::of_binding;
pub(super) use self::subject::of_key;
pub(super) use self::subject::of_namespace;
pub(super) use self::subject::of_required_signatures;
pub(super) use self::subject::of_rotation;
pub(super) use self::subject::of_trusted_key;

/// The form of what an approval's digest is of.
const FORM: &str = "leasehold-approval/v1";
/// How often a change is tried against others that write, too.
const WRITES_MAX: usize = 4;

/// A change that may need approval.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    /// The collection of the changed document.
    pub(super) kind: &'static str,
    /// The name of the changed document.
    pub(super) name: String,
    /// The change in words.
    pub(super) summary: String,
    /// Everything that is to be approved.
    pub(super) subject: Value,
    /// Who uploaded the modules that it takes into use.
    pub(super) uploaders: BTreeSet<String>,
    /// Whether one approval holds for several writes, as that of a rollout's plan does.
    pub(super) lasts: bool,
}

impl Proposal {
    /// The bytes that approvals are for: compact JSON with sorted members.
    fn bytes(&self) -> String {
        let (kind, name) = (self.kind, &self.name);
        json!({ "form": FORM, "kind": kind, "name": name, "subject": self.subject }).to_string()
    }

    fn id(&self) -> String {
        Digest::of(self.bytes().as_bytes()).to_string()
    }
}

/// A request for approval, and how many of its approvals count.
#[derive(Debug, Clone)]
pub struct ApprovalStanding {
    /// The request.
    pub stored: Stored<ApprovalDocument>,
    /// How many of its approvals count.
    pub counted: u32,
    /// How many are required now.
    pub required: u32,
    /// Whether it can still be approved or used.
    pub state: ApprovalState,
}

impl Governance {
    /// Returns the edit that must be written together with a change; `None` if no approval is
    /// required. Of several proposals, each of which covers the change, one that is approved is enough.
    /// If none was requested yet, the last one is.
    ///
    /// # Errors
    /// `approval_required`: too few have approved exactly this change. The store cannot be read or
    /// written.
    pub(super) async fn approved(
        &self,
        caller: &Caller,
        proposals: &[Proposal],
    ) -> Result<Option<Edit>, Failure> {
        let required = self.approval_rule_document().await?.required();
        if required == 0 {
            return Ok(None);
        }
        let mut requested: Option<(String, u32)> = None;
        for proposal in proposals {
            let id = proposal.id();
            let Some(stored) = self.usable_approval(proposal, &id).await? else {
                continue;
            };
            let counted = self.counted(&stored.document, Some(caller)).await?;
            if counted >= required {
                return self.mark_used(caller, stored).map(Some);
            }
            if requested.as_ref().is_none_or(|(_, most)| counted >= *most) {
                requested = Some((id, counted));
            }
        }
        let (id, counted) = match (requested, proposals.last()) {
            (Some(requested), _) => requested,
            (None, None) => return Ok(None),
            (None, Some(last)) => (self.request_approval(caller, last.clone()).await?, 0),
        };
        let message = format!(
            "others must approve this change ({counted} of {required} have): let them run \
             `leasehold approval approve {id}`, and repeat it then"
        );
        Err(Failure::new(FailureKind::ApprovalRequired, message))
    }

    /// Returns whether enough people have approved one of these proposals. Requests nothing.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn is_approved(&self, proposals: &[Proposal]) -> Result<bool, Failure> {
        let required = self.approval_rule_document().await?.required();
        for proposal in proposals {
            let stored = self.usable_approval(proposal, &proposal.id()).await?;
            if let Some(stored) = stored
                && self.counted(&stored.document, None).await? >= required
            {
                return Ok(true);
            }
        }
        Ok(required == 0)
    }

    /// Requests approval of a change before it is made. Returns the request, which may have been there.
    pub(super) async fn requested(
        &self,
        caller: &Caller,
        proposal: Proposal,
    ) -> Result<ApprovalStanding, Failure> {
        let id = proposal.id();
        if self.usable_approval(&proposal, &id).await?.is_none() {
            self.request_approval(caller, proposal).await?;
        }
        self.approval(&id).await
    }

    /// Returns the request of a change, if its approvals can count.
    async fn usable_approval(
        &self,
        proposal: &Proposal,
        id: &str,
    ) -> Result<Option<Stored<ApprovalDocument>>, Failure> {
        let found = match self.read::<ApprovalDocument>(APPROVALS, id).await {
            Ok(stored) => stored,
            Err(failure) if failure.kind == FailureKind::NotFound => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let is_usable = match found.document.state(self.clock.wall().0) {
            ApprovalState::Open => true,
            ApprovalState::Used => proposal.lasts,
            ApprovalState::Withdrawn | ApprovalState::Expired => false,
        };
        Ok(is_usable.then_some(found))
    }

    /// Makes the edit that records the use of an approval. The change and this are one write, so an
    /// approval that was withdrawn meanwhile is not used.
    fn mark_used(
        &self,
        caller: &Caller,
        stored: Stored<ApprovalDocument>,
    ) -> Result<Edit, Failure> {
        let Stored {
            mut document,
            revision,
        } = stored;
        document.used_at = Some(crate::telemetry::rfc3339(self.clock.wall()));
        let by: Vec<&str> = document.approvals.iter().map(|one| &*one.by).collect();
        let (id, same) = (&document.id, Precondition::Revision(revision));
        let summary = format!("approval {id} used: approved by {}", by.join(", "));
        edit(caller, APPROVALS, id, Some(&document), same, summary)
    }

    /// Records that a change waits for approval, in place of a closed request of the same change.
    async fn request_approval(
        &self,
        caller: &Caller,
        proposal: Proposal,
    ) -> Result<String, Failure> {
        let (id, now) = (proposal.id(), self.clock.wall());
        let author = caller.principal.subject.to_string();
        let summary = format!("approval {id} requested: {}", proposal.summary);
        let document = ApprovalDocument {
            id: id.clone(),
            kind: proposal.kind.to_owned(),
            name: proposal.name,
            summary: proposal.summary,
            subject: proposal.subject,
            author,
            uploaders: proposal.uploaders.into_iter().collect(),
            requested_at: crate::telemetry::rfc3339(now),
            expires_ms: now.0.saturating_add(APPROVAL_LIFE_MS),
            approvals: Vec::new(),
            used_at: None,
            withdrawn_at: None,
        };
        let mut all = self.list::<ApprovalDocument>(APPROVALS).await?;
        let before = all.iter().find(|stored| stored.document.id == id);
        let exact = match before {
            Some(closed) => Precondition::Revision(closed.revision),
            None => Precondition::Absent,
        };
        let mut edits = vec![edit(
            caller,
            APPROVALS,
            &id,
            Some(&document),
            exact,
            summary,
        )?];
        if all.len() >= APPROVALS_MAX && before.is_none() {
            all.retain(|stored| stored.document.state(now.0) != ApprovalState::Open);
            if all.is_empty() {
                let message =
                    format!("{APPROVALS_MAX} requests for approval are open: withdraw some first");
                return Err(Failure::new(FailureKind::Conflict, message));
            }
            all.sort_by_key(|stored| stored.document.expires_ms);
            edits.extend(deletions(caller, APPROVALS, &all, |closed| &closed.id)?);
        }
        match self.commit(edits).await {
            Ok(_) => Ok(id),
            // Perhaps the same change was requested at the same time.
            Err(failure)
                if [FailureKind::PreconditionFailed, FailureKind::NotFound]
                    .contains(&failure.kind) =>
            {
                match self.read::<ApprovalDocument>(APPROVALS, &id).await {
                    Err(failure) if failure.kind == FailureKind::NotFound => {
                        Err(changed_each_time())
                    }
                    found => found.map(|_| id),
                }
            }
            Err(failure) => Err(failure),
        }
    }

    /// Approves a change.
    ///
    /// # Errors
    /// `forbidden`: the caller is its author, uploaded a module that it takes into use, or descends
    /// from one of those. `conflict`: it is closed. There is none of that id, or the store cannot
    /// write.
    pub async fn approve(
        &self,
        caller: &Caller,
        id: &str,
        reason: Option<&str>,
    ) -> Result<ApprovalStanding, Failure> {
        prose("reason", reason, APPROVAL_REASON_BYTES_MAX)?;
        for _ in 0..WRITES_MAX {
            let mut stored = self.open_approval(id).await?;
            let document = &mut stored.document;
            let by = caller.principal.subject.to_string();
            if document.approvals.iter().any(|one| one.by == by) {
                return self.standing_of(stored).await;
            }
            self.check_independent(document, &by).await?;
            let mut summary = format!("approval {id} given: {}", document.summary);
            if let Some(reason) = reason {
                summary += &format!(": {reason}");
            }
            document.approvals.push(Approval {
                by,
                at: crate::telemetry::rfc3339(self.clock.wall()),
                reason: reason.map(str::to_owned),
            });
            if let Some(standing) = self.put_approval(caller, stored, summary).await? {
                return Ok(standing);
            }
        }
        Err(changed_each_time())
    }

    /// Withdraws a request: approvals of it no longer count.
    ///
    /// # Errors
    /// `conflict`: it is closed. There is none of that id, or the store cannot write.
    pub async fn withdraw_approval(
        &self,
        caller: &Caller,
        id: &str,
        reason: Option<&str>,
    ) -> Result<ApprovalStanding, Failure> {
        prose("reason", reason, APPROVAL_REASON_BYTES_MAX)?;
        for _ in 0..WRITES_MAX {
            let mut stored = self.open_approval(id).await?;
            let now = crate::telemetry::rfc3339(self.clock.wall());
            stored.document.withdrawn_at = Some(now);
            let mut summary = format!("approval {id} withdrawn: {}", stored.document.summary);
            if let Some(reason) = reason {
                summary += &format!(": {reason}");
            }
            if let Some(standing) = self.put_approval(caller, stored, summary).await? {
                return Ok(standing);
            }
        }
        Err(changed_each_time())
    }

    /// One request for approval.
    ///
    /// # Errors
    /// There is none of that id, or the store cannot be read.
    pub async fn approval(&self, id: &str) -> Result<ApprovalStanding, Failure> {
        let stored = self.read(APPROVALS, id).await?;
        self.standing_of(stored).await
    }

    /// All requests for approval, the newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn approvals(&self) -> Result<Vec<ApprovalStanding>, Failure> {
        let required = self.approval_rule_document().await?.required();
        let keys = self.keys().await?;
        let descent = Descent::of(&keys);
        let now = self.clock.wall().0;
        let all = self.list::<ApprovalDocument>(APPROVALS).await?.into_iter();
        let mut all: Vec<_> = all
            .map(|stored| ApprovalStanding {
                counted: counted(&stored.document, None, &descent),
                required,
                state: stored.document.state(now),
                stored,
            })
            .collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.stored.document.expires_ms));
        Ok(all)
    }

    async fn put_approval(
        &self,
        caller: &Caller,
        stored: Stored<ApprovalDocument>,
        summary: String,
    ) -> Result<Option<ApprovalStanding>, Failure> {
        let Stored { document, revision } = stored;
        let (id, same) = (&document.id, Precondition::Revision(revision));
        let write = self.write(caller, APPROVALS, id, Some(&document), same, summary);
        match write.await {
            Ok(revision) => {
                let standing = self.standing_of(Stored { document, revision });
                standing.await.map(Some)
            }
            Err(failure) if failure.kind == FailureKind::PreconditionFailed => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn open_approval(&self, id: &str) -> Result<Stored<ApprovalDocument>, Failure> {
        let stored: Stored<ApprovalDocument> = self.read(APPROVALS, id).await?;
        match stored.document.state(self.clock.wall().0) {
            ApprovalState::Open => Ok(stored),
            closed => {
                let message = format!("approval {id} is {}", closed.as_str());
                Err(Failure::new(FailureKind::Conflict, message))
            }
        }
    }

    async fn standing_of(
        &self,
        stored: Stored<ApprovalDocument>,
    ) -> Result<ApprovalStanding, Failure> {
        let state = stored.document.state(self.clock.wall().0);
        let counted = self.counted(&stored.document, None).await?;
        let required = self.approval_rule_document().await?.required();
        Ok(ApprovalStanding {
            stored,
            counted,
            required,
            state,
        })
    }

    async fn counted(
        &self,
        document: &ApprovalDocument,
        maker: Option<&Caller>,
    ) -> Result<u32, Failure> {
        let keys = self.keys().await?;
        Ok(counted(document, maker, &Descent::of(&keys)))
    }

    async fn check_independent(
        &self,
        document: &ApprovalDocument,
        by: &str,
    ) -> Result<(), Failure> {
        let refused = |why: String| Err(Failure::new(FailureKind::Forbidden, why));
        if document.author == by {
            return refused("nobody approves what they asked for themselves".to_owned());
        }
        if document.uploaders.iter().any(|uploader| uploader == by) {
            return refused("nobody approves a module that they uploaded themselves".to_owned());
        }
        let keys = self.keys().await?;
        if Descent::of(&keys).descends(by, &parties(document)) {
            return refused(format!(
                "a key of {by} was created by the author or the uploader, or by one of whom they \
                 created a key, so its approval would not count"
            ));
        }
        Ok(())
    }
}

/// Returns the number of valid approvals. An approval is invalid if its approver is the author, an
/// uploader or the caller who makes the change, or if the approver's key descends from one of these or
/// from another approver.
fn counted(document: &ApprovalDocument, maker: Option<&Caller>, descent: &Descent<'_>) -> u32 {
    let mut parties = parties(document);
    parties.extend(maker.map(|caller| caller.principal.subject.as_str()));
    let approvals = document.approvals.iter();
    let approvers: BTreeSet<&str> = approvals
        .map(|one| &*one.by)
        .filter(|by| !descent.is_or_descends(by, &parties))
        .collect();
    let independent = approvers
        .iter()
        .filter(|by| !descent.descends(by, &approvers));
    u32::try_from(independent.count()).unwrap_or(u32::MAX)
}

/// Returns the author and the uploaders. The gateway's own subjects, which uploaded the stock
/// policies, are nobody's credentials.
fn parties(document: &ApprovalDocument) -> BTreeSet<&str> {
    let people = document.uploaders.iter().filter(|by| !is_reserved(by));
    people
        .map(String::as_str)
        .chain([&*document.author])
        .collect()
}

/// Returns whether a subject is one of the gateway's own.
fn is_reserved(subject: &str) -> bool {
    let parsed = subject.parse::<Subject>();
    parsed.is_ok_and(|subject| subject.is_reserved())
}

fn changed_each_time() -> Failure {
    let message = "other writes changed the request each time; try again";
    Failure::new(FailureKind::Conflict, message)
}

#[cfg(test)]
mod tests;

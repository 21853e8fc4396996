//! Revisions of bindings: every write of a binding keeps what it said, who wrote it and why, in the
//! same write.
//!
//! A gateway of a build that keeps no revisions may share the store. What it wrote is recorded by the
//! next write that keeps them ([`RevisionOrigin::RecordedLater`]), so no feature level is needed.

mod field_change;
mod history;

use leasehold_domain::Edit;
use leasehold_domain::Precondition;
use leasehold_domain::limits::BINDING_HISTORIES_DELETED_MAX;
use leasehold_domain::limits::BINDING_REASON_BYTES_MAX;
use leasehold_domain::limits::BINDING_REVISIONS_MAX;
use serde::Serialize;

pub use self::field_change::FieldChange;
pub(crate) use self::field_change::field_changes;
pub use self::field_change::value_changes;
pub use self::history::BindingRevision;
pub use self::history::BindingRevisions;
use super::Governance;
use super::Stored;
use super::document::BINDING_HISTORIES;
use super::document::BINDING_REVISIONS;
use super::document::BINDINGS;
use super::document::BindingDocument;
use super::document::BindingHistoryDocument;
use super::document::BindingRevisionDocument;
use super::document::RevisionOrigin;
use super::edit;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::field_limits::prose;

/// A write of a binding.
#[derive(Debug)]
pub(super) struct BindingWrite<'w> {
    /// The name of the binding.
    pub(super) name: &'w str,
    /// What the store has; `None` if there is no such binding.
    pub(super) before: Option<&'w BindingDocument>,
    /// What is written; `None` to delete it.
    pub(super) after: Option<&'w BindingDocument>,
    /// The precondition of the binding's document.
    pub(super) precondition: Precondition,
    /// What writes it.
    pub(super) origin: RevisionOrigin,
    /// The given reason.
    pub(super) reason: Option<&'w str>,
    /// The change in words, for the ledger.
    pub(super) summary: String,
}

/// The edits of a write of a binding.
#[derive(Debug)]
pub(super) struct BindingEdits {
    /// That of the binding's document is the first.
    pub(super) edits: Vec<Edit>,
    /// The number of the newest revision after the write.
    pub(super) number: u64,
}

/// Checks the reason that is given for a change of a binding.
pub(super) fn check_reason(reason: Option<&str>) -> Result<(), Failure> {
    prose("reason", reason, BINDING_REASON_BYTES_MAX)
}

impl Governance {
    /// Makes the edits that write a binding and keep a revision of it. A write that changes nothing
    /// keeps none. The oldest revisions beyond [`BINDING_REVISIONS_MAX`] are deleted by the same
    /// edits; the ledger keeps the number of each.
    ///
    /// # Errors
    /// The store cannot be read, or a document is too large.
    pub(super) async fn binding_edits(
        &self,
        caller: &Caller,
        write: BindingWrite<'_>,
    ) -> Result<BindingEdits, Failure> {
        let stored = self.history_of(write.name).await?;
        let mut history = stored
            .as_ref()
            .map_or_else(Default::default, |s| s.document);
        let newest = self.newest_body(write.name, history.newest).await?;
        let now = self.clock.wall();
        let revision = |number, origin, body: Option<&BindingDocument>| BindingRevisionDocument {
            binding: write.name.to_owned(),
            number,
            at: crate::telemetry::rfc3339(now),
            by: None,
            origin,
            reason: None,
            body: body.cloned(),
        };
        let mut kept = Vec::new();
        if newest.as_ref() != write.before {
            history.newest += 1;
            let later = RevisionOrigin::RecordedLater;
            kept.push(revision(history.newest, later, write.before));
        }
        if write.before != write.after {
            history.newest += 1;
            kept.push(BindingRevisionDocument {
                by: Some(caller.principal.subject.to_string()),
                reason: write.reason.map(str::to_owned),
                ..revision(history.newest, write.origin, write.after)
            });
        }
        let summary = in_words(write.summary, kept.last(), write.reason);
        let name = write.name;
        let mut edits = vec![edit(
            caller,
            BINDINGS,
            name,
            write.after,
            write.precondition,
            summary,
        )?];
        if kept.is_empty() {
            let number = history.newest;
            return Ok(BindingEdits { edits, number });
        }
        history.oldest = history.oldest.max(1);
        history.deleted_ms = write.after.is_none().then_some(now.0);
        for one in &kept {
            let id = BindingRevisionDocument::id(name, one.number);
            edits.push(note(BINDING_REVISIONS, &id, Some(one), Precondition::Any)?);
        }
        edits.extend(dropped(name, &mut history)?);
        if write.after.is_none() {
            edits.extend(self.dropped_histories(name).await?);
        }
        let exact = stored.map_or(Precondition::Absent, |s| Precondition::Revision(s.revision));
        edits.push(note(BINDING_HISTORIES, name, Some(&history), exact)?);
        let number = history.newest;
        Ok(BindingEdits { edits, number })
    }

    async fn history_of(
        &self,
        name: &str,
    ) -> Result<Option<Stored<BindingHistoryDocument>>, Failure> {
        self.find_document(BINDING_HISTORIES, name).await
    }

    /// Returns what the newest revision says.
    async fn newest_body(
        &self,
        name: &str,
        newest: u64,
    ) -> Result<Option<BindingDocument>, Failure> {
        let found = self.revision_document(name, newest).await?;
        Ok(found.and_then(|found| found.body))
    }

    async fn revision_document(
        &self,
        name: &str,
        number: u64,
    ) -> Result<Option<BindingRevisionDocument>, Failure> {
        let id = BindingRevisionDocument::id(name, number);
        let found: Option<Stored<BindingRevisionDocument>> =
            self.find_document(BINDING_REVISIONS, &id).await?;
        Ok(found.map(|found| found.document))
    }

    /// Makes the edits that delete the revisions of the binding that was deleted first, if too many
    /// deleted ones are kept.
    async fn dropped_histories(&self, deleted: &str) -> Result<Vec<Edit>, Failure> {
        let mut gone = Vec::new();
        for row in self.all(BINDING_HISTORIES).await? {
            let history = serde_json::from_slice::<BindingHistoryDocument>(&row.body);
            let history = history.map_err(|error| Failure::internal(error.to_string()))?;
            if let (Some(at), true) = (history.deleted_ms, *row.id != *deleted) {
                gone.push((at, row.id, history, row.revision));
            }
        }
        if gone.len() < BINDING_HISTORIES_DELETED_MAX {
            return Ok(Vec::new());
        }
        let Some((_, name, history, revision)) = gone.into_iter().min_by_key(|(at, ..)| *at) else {
            return Ok(Vec::new());
        };
        let mut edits = Vec::new();
        for number in history.oldest..=history.newest {
            edits.push(deletion(&name, number)?);
        }
        let (nothing, same) = (None::<&()>, Precondition::Revision(revision));
        edits.push(note(BINDING_HISTORIES, &name, nothing, same)?);
        Ok(edits)
    }
}

/// Completes what the ledger says of a write of a binding.
fn in_words(
    mut summary: String,
    revision: Option<&BindingRevisionDocument>,
    reason: Option<&str>,
) -> String {
    match revision {
        Some(revision) => summary += &format!("; revision {}", revision.number),
        None => summary += "; unchanged",
    }
    if let Some(reason) = reason {
        summary += &format!(": {reason}");
    }
    summary
}

/// Makes the edits that delete the oldest revisions. One more than [`BINDING_REVISIONS_MAX`] is kept, so
/// that the changes of the oldest one that is shown can be told.
fn dropped(name: &str, history: &mut BindingHistoryDocument) -> Result<Vec<Edit>, Failure> {
    let first = history.newest.saturating_sub(BINDING_REVISIONS_MAX as u64);
    let mut edits = Vec::new();
    while history.oldest < first {
        edits.push(deletion(name, history.oldest)?);
        history.oldest += 1;
    }
    Ok(edits)
}

fn deletion(name: &str, number: u64) -> Result<Edit, Failure> {
    let id = BindingRevisionDocument::id(name, number);
    note(BINDING_REVISIONS, &id, None::<&()>, Precondition::Any)
}

/// Makes an edit without an event: the event of the binding's own edit tells of it.
fn note<T: Serialize>(
    collection: &str,
    id: &str,
    document: Option<&T>,
    precondition: Precondition,
) -> Result<Edit, Failure> {
    let body = document.map(serde_json::to_vec).transpose();
    let body = body.map_err(|error| Failure::internal(error.to_string()))?;
    Ok(Edit {
        collection: collection.into(),
        id: id.into(),
        body: body.map(Into::into),
        precondition,
        change: None,
    })
}

#[cfg(test)]
mod tests;

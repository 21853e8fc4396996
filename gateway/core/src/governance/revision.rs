//! Revisions of bindings and namespaces: every write of one keeps what it said, who wrote it and why,
//! in the same write.
//!
//! A gateway of a build that keeps no revisions may share the store. What it wrote is recorded by the
//! next write that keeps them ([`RevisionOrigin::RecordedLater`]), so no feature level is needed.

mod field_change;
mod history;
mod revised;

use leasehold_domain::Edit;
use leasehold_domain::Precondition;
use leasehold_domain::limits::HISTORIES_DELETED_MAX;
use leasehold_domain::limits::REVISION_REASON_BYTES_MAX;
use leasehold_domain::limits::REVISIONS_MAX;
use serde::Serialize;

pub use self::field_change::FieldChange;
pub(crate) use self::field_change::field_changes;
pub use self::field_change::value_changes;
pub use self::history::DocumentRevision;
pub use self::history::DocumentRevisions;
pub use self::revised::Revised;
use super::Governance;
use super::Stored;
use super::document::HistoryDocument;
use super::document::RevisionDocument;
use super::document::RevisionOrigin;
use super::edit;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::field_limits::prose;

/// A write of a document whose revisions are kept.
#[derive(Debug)]
pub(super) struct RevisedWrite<'w, T: Revised> {
    /// The name of the document.
    pub(super) name: &'w str,
    /// What the store has; `None` if there is no such document.
    pub(super) before: Option<&'w T::Document>,
    /// What is written; `None` to delete it.
    pub(super) after: Option<&'w T::Document>,
    /// The precondition of the document.
    pub(super) precondition: Precondition,
    /// What writes it.
    pub(super) origin: RevisionOrigin,
    /// The given reason.
    pub(super) reason: Option<&'w str>,
    /// The change in words, for the ledger.
    pub(super) summary: String,
}

/// The edits of such a write.
#[derive(Debug)]
pub(super) struct RevisedEdits {
    /// That of the document itself is the first.
    pub(super) edits: Vec<Edit>,
    /// The number of the newest revision after the write.
    pub(super) number: u64,
}

/// Checks the reason that is given for a change.
pub(super) fn check_reason(reason: Option<&str>) -> Result<(), Failure> {
    prose("reason", reason, REVISION_REASON_BYTES_MAX)
}

/// Returns the precondition that a document is as it was read, unless another is given.
pub(super) fn exact<T>(given: Precondition, read: Option<&Stored<T>>) -> Precondition {
    match (given, read) {
        (Precondition::Any, Some(read)) => Precondition::Revision(read.revision),
        (Precondition::Any, None) => Precondition::Absent,
        (given, _) => given,
    }
}

impl Governance {
    /// Makes the edits that write a document and keep a revision of it. A write that changes nothing
    /// keeps none. The oldest revisions beyond [`REVISIONS_MAX`] are deleted by the same edits; the
    /// ledger keeps the number of each.
    ///
    /// # Errors
    /// The store cannot be read, or a document is too large.
    pub(super) async fn revised_edits<T: Revised>(
        &self,
        caller: &Caller,
        write: RevisedWrite<'_, T>,
    ) -> Result<RevisedEdits, Failure> {
        let name = write.name;
        let stored = self.history_of::<T>(name).await?;
        let mut history = stored
            .as_ref()
            .map_or_else(Default::default, |s| s.document);
        let newest = self.newest_body::<T>(name, history.newest).await?;
        let (before, after) = (write.before.map(T::of), write.after.map(T::of));
        let now = self.clock.wall();
        let revision = |number, origin, body| RevisionDocument {
            name: name.to_owned(),
            number,
            at: crate::telemetry::rfc3339(now),
            by: None,
            origin,
            reason: None,
            body,
        };
        let mut kept = Vec::new();
        if newest != before {
            history.newest += 1;
            let later = RevisionOrigin::RecordedLater;
            kept.push(revision(history.newest, later, before.clone()));
        }
        if before != after {
            history.newest += 1;
            kept.push(RevisionDocument {
                by: Some(caller.principal.subject.to_string()),
                reason: write.reason.map(str::to_owned),
                ..revision(history.newest, write.origin, after)
            });
        }
        let summary = in_words(write.summary, kept.last(), write.reason);
        let condition = write.precondition;
        let own = edit(caller, T::COLLECTION, name, write.after, condition, summary)?;
        let mut edits = vec![own];
        if kept.is_empty() {
            let number = history.newest;
            return Ok(RevisedEdits { edits, number });
        }
        history.oldest = history.oldest.max(1);
        history.deleted_ms = write.after.is_none().then_some(now.0);
        for one in &kept {
            let id = revision_id(name, one.number);
            edits.push(note(T::REVISIONS, &id, Some(one), Precondition::Any)?);
        }
        edits.extend(dropped::<T>(name, &mut history)?);
        if write.after.is_none() {
            edits.extend(self.dropped_histories::<T>(name).await?);
        }
        let exact = stored.map_or(Precondition::Absent, |s| Precondition::Revision(s.revision));
        edits.push(note(T::HISTORIES, name, Some(&history), exact)?);
        let number = history.newest;
        Ok(RevisedEdits { edits, number })
    }

    async fn history_of<T: Revised>(
        &self,
        name: &str,
    ) -> Result<Option<Stored<HistoryDocument>>, Failure> {
        self.find_document(T::HISTORIES, name).await
    }

    /// Returns what the newest revision says.
    async fn newest_body<T: Revised>(&self, name: &str, newest: u64) -> Result<Option<T>, Failure> {
        let found = self.revision_document(name, newest).await?;
        Ok(found.and_then(|found| found.body))
    }

    async fn revision_document<T: Revised>(
        &self,
        name: &str,
        number: u64,
    ) -> Result<Option<RevisionDocument<T>>, Failure> {
        let id = revision_id(name, number);
        let found: Option<Stored<RevisionDocument<T>>> =
            self.find_document(T::REVISIONS, &id).await?;
        Ok(found.map(|found| found.document))
    }

    /// Makes the edits that delete the revisions of the document that was deleted first, if too many
    /// deleted ones are kept.
    async fn dropped_histories<T: Revised>(&self, deleted: &str) -> Result<Vec<Edit>, Failure> {
        let mut gone = Vec::new();
        for row in self.all(T::HISTORIES).await? {
            let history = serde_json::from_slice::<HistoryDocument>(&row.body);
            let history = history.map_err(|error| Failure::internal(error.to_string()))?;
            if let (Some(at), true) = (history.deleted_ms, *row.id != *deleted) {
                gone.push((at, row.id, history, row.revision));
            }
        }
        if gone.len() < HISTORIES_DELETED_MAX {
            return Ok(Vec::new());
        }
        let Some((_, name, history, revision)) = gone.into_iter().min_by_key(|(at, ..)| *at) else {
            return Ok(Vec::new());
        };
        let mut edits = Vec::new();
        for number in history.oldest..=history.newest {
            edits.push(deletion::<T>(&name, number)?);
        }
        let (nothing, same) = (None::<&()>, Precondition::Revision(revision));
        edits.push(note(T::HISTORIES, &name, nothing, same)?);
        Ok(edits)
    }
}

/// Returns the id of the document of a revision.
fn revision_id(name: &str, number: u64) -> String {
    format!("{name}@{number}")
}

/// Completes what the ledger says of a write.
fn in_words<T>(
    mut summary: String,
    revision: Option<&RevisionDocument<T>>,
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

/// Makes the edits that delete the oldest revisions. One more than [`REVISIONS_MAX`] is kept, so that
/// the changes of the oldest one that is shown can be told.
fn dropped<T: Revised>(name: &str, history: &mut HistoryDocument) -> Result<Vec<Edit>, Failure> {
    let first = history.newest.saturating_sub(REVISIONS_MAX as u64);
    let mut edits = Vec::new();
    while history.oldest < first {
        edits.push(deletion::<T>(name, history.oldest)?);
        history.oldest += 1;
    }
    Ok(edits)
}

fn deletion<T: Revised>(name: &str, number: u64) -> Result<Edit, Failure> {
    let id = revision_id(name, number);
    note(T::REVISIONS, &id, None::<&()>, Precondition::Any)
}

/// Makes an edit without an event: the event of the document's own edit tells of it.
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

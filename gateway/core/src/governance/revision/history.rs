//! Reads the revisions of documents.

use leasehold_domain::limits::REVISIONS_MAX;

use super::FieldChange;
use super::Revised;
use super::field_changes;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::governance::Governance;
use crate::governance::Stored;
use crate::governance::document::HistoryDocument;
use crate::governance::document::RevisionDocument;

/// A revision of a document, with what it changed.
#[derive(Debug, Clone)]
pub struct DocumentRevision<T> {
    /// The revision.
    pub document: RevisionDocument<T>,
    /// The number of the revision with which it was compared; 0 if there was none before it.
    pub against: u64,
    /// What differs.
    pub changes: Vec<FieldChange>,
}

/// A page of a document's revisions.
#[derive(Debug, Clone)]
pub struct DocumentRevisions<T> {
    /// Newest first.
    pub revisions: Vec<DocumentRevision<T>>,
    /// Where the next page begins: only revisions with a lower number. `None` if this is the last page.
    pub next: Option<u64>,
    /// Whether the document differs from its newest revision, because a build that keeps none wrote it.
    /// The next write records it.
    pub is_unrecorded: bool,
}

/// Returns the number of the oldest revision that is shown.
fn first_shown(history: &HistoryDocument) -> u64 {
    let beyond = history.newest.saturating_sub(REVISIONS_MAX as u64);
    history.oldest.max(beyond + 1)
}

fn compared<T: Revised>(
    document: RevisionDocument<T>,
    (against, before): (u64, Option<&RevisionDocument<T>>),
) -> DocumentRevision<T> {
    let before = before.and_then(|before| before.body.as_ref());
    DocumentRevision {
        changes: field_changes(before, document.body.as_ref()),
        document,
        against,
    }
}

impl Governance {
    /// Returns the revisions of a document, newest first, also of one that was deleted. `below`: only
    /// those with a lower number.
    ///
    /// # Errors
    /// There is, and was, no such document. The store cannot be read.
    pub async fn revisions<T: Revised>(
        &self,
        name: &str,
        below: Option<u64>,
        limit: usize,
    ) -> Result<DocumentRevisions<T>, Failure> {
        let stored = self.history_of::<T>(name).await?;
        let found: Option<Stored<T::Document>> = self.find_document(T::COLLECTION, name).await?;
        let found = found.map(|found| T::of(&found.document));
        if stored.is_none() && found.is_none() {
            let message = format!("there is, and was, no {} {name}", T::NOUN);
            return Err(Failure::new(T::MISSING, message));
        }
        let history = stored.map_or_else(Default::default, |stored| stored.document);
        let is_unrecorded = self.newest_body::<T>(name, history.newest).await? != found;
        let first = first_shown(&history);
        let last = below.map_or(history.newest, |below| {
            below.saturating_sub(1).min(history.newest)
        });
        let mut revisions = Vec::new();
        let mut number = last;
        let mut found = self.revision_document::<T>(name, number).await?;
        while number >= first && revisions.len() < limit {
            let before = self.revision_document(name, number - 1).await?;
            // One that was deleted meanwhile to make room is passed over.
            if let Some(found) = found {
                revisions.push(compared(found, (number - 1, before.as_ref())));
            }
            found = before;
            number -= 1;
        }
        Ok(DocumentRevisions {
            revisions,
            next: (number >= first).then_some(number + 1),
            is_unrecorded,
        })
    }

    /// Returns one revision of a document, and what differs from the revision before it, or from that
    /// with the number `against`.
    ///
    /// # Errors
    /// `not_found`: there is no such revision. The store cannot be read.
    pub async fn revision<T: Revised>(
        &self,
        name: &str,
        number: u64,
        against: Option<u64>,
    ) -> Result<DocumentRevision<T>, Failure> {
        let found = self.shown_revision(name, number).await?;
        let before = match against {
            Some(against) => Some(self.shown_revision(name, against).await?),
            None => self.revision_document(name, number - 1).await?,
        };
        let against = against.unwrap_or(number - 1);
        Ok(compared(found, (against, before.as_ref())))
    }

    async fn shown_revision<T: Revised>(
        &self,
        name: &str,
        number: u64,
    ) -> Result<RevisionDocument<T>, Failure> {
        let history = self.history_of::<T>(name).await?;
        let history = history.map_or_else(Default::default, |stored| stored.document);
        let (first, newest) = (first_shown(&history), history.newest);
        let found = match (first..=newest).contains(&number) {
            true => self.revision_document(name, number).await?,
            false => None,
        };
        found.ok_or_else(|| {
            let kept = match newest {
                0 => "it has none".to_owned(),
                newest => format!("there are {first} to {newest}"),
            };
            let message = format!("{} {name} has no revision {number}: {kept}", T::NOUN);
            Failure::new(FailureKind::NotFound, message)
        })
    }

    /// Returns what a revision says, so that it can be restored.
    ///
    /// # Errors
    /// `not_found`: there is no such revision. `invalid`: it deleted the document.
    pub(in crate::governance) async fn restorable<T: Revised>(
        &self,
        name: &str,
        number: u64,
    ) -> Result<T, Failure> {
        let shown = self.shown_revision::<T>(name, number).await?;
        shown.body.ok_or_else(|| {
            let noun = T::NOUN;
            let message = format!(
                "revision: {number} is the deletion of {noun} {name}; restore an earlier one, or \
                 delete the {noun}"
            );
            Failure::invalid(message)
        })
    }
}

//! Reads the revisions of bindings, and restores one.

use leasehold_domain::Precondition;
use leasehold_domain::limits::BINDING_REVISIONS_MAX;

use super::FieldChange;
use super::check_reason;
use super::field_changes;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::governance::Governance;
use crate::governance::WrittenBinding;
use crate::governance::document::BindingDocument;
use crate::governance::document::BindingHistoryDocument;
use crate::governance::document::BindingRevisionDocument;
use crate::governance::document::RevisionOrigin;

/// A revision of a binding, with what it changed.
#[derive(Debug, Clone)]
pub struct BindingRevision {
    /// The revision.
    pub document: BindingRevisionDocument,
    /// The number of the revision with which it was compared; 0 if there was none before it.
    pub against: u64,
    /// What differs.
    pub changes: Vec<FieldChange>,
}

/// A page of a binding's revisions.
#[derive(Debug, Clone)]
pub struct BindingRevisions {
    /// Newest first.
    pub revisions: Vec<BindingRevision>,
    /// Where the next page begins: only revisions with a lower number. `None` if this is the last page.
    pub next: Option<u64>,
    /// Whether the binding differs from its newest revision, because a build that keeps none wrote it.
    /// The next write records it.
    pub is_unrecorded: bool,
}

/// Returns the number of the oldest revision that is shown.
fn first_shown(history: &BindingHistoryDocument) -> u64 {
    let beyond = history.newest.saturating_sub(BINDING_REVISIONS_MAX as u64);
    history.oldest.max(beyond + 1)
}

fn compared(
    document: BindingRevisionDocument,
    (against, before): (u64, Option<&BindingRevisionDocument>),
) -> BindingRevision {
    let before = before.and_then(|before| before.body.as_ref());
    BindingRevision {
        changes: field_changes(before, document.body.as_ref()),
        document,
        against,
    }
}

impl Governance {
    /// Returns the revisions of a binding, newest first, also of one that was deleted. `below`: only
    /// those with a lower number.
    ///
    /// # Errors
    /// `not_found`: there is, and was, no such binding. The store cannot be read.
    pub async fn binding_revisions(
        &self,
        name: &str,
        below: Option<u64>,
        limit: usize,
    ) -> Result<BindingRevisions, Failure> {
        let stored = self.history_of(name).await?;
        let binding = self.find_binding(name).await?.map(|found| found.document);
        if stored.is_none() && binding.is_none() {
            let message = format!("there is, and was, no binding {name}");
            return Err(Failure::new(FailureKind::NotFound, message));
        }
        let history = stored.map_or_else(Default::default, |stored| stored.document);
        let is_unrecorded = self.newest_body(name, history.newest).await? != binding;
        let first = first_shown(&history);
        let last = below.map_or(history.newest, |below| {
            below.saturating_sub(1).min(history.newest)
        });
        let mut revisions = Vec::new();
        let mut number = last;
        let mut found = self.revision_document(name, number).await?;
        while number >= first && revisions.len() < limit {
            let before = self.revision_document(name, number - 1).await?;
            // One that was deleted meanwhile to make room is passed over.
            if let Some(found) = found {
                revisions.push(compared(found, (number - 1, before.as_ref())));
            }
            found = before;
            number -= 1;
        }
        Ok(BindingRevisions {
            revisions,
            next: (number >= first).then_some(number + 1),
            is_unrecorded,
        })
    }

    /// Returns one revision of a binding, and what differs from the revision before it, or from that
    /// with the number `against`.
    ///
    /// # Errors
    /// `not_found`: there is no such revision. The store cannot be read.
    pub async fn binding_revision(
        &self,
        name: &str,
        number: u64,
        against: Option<u64>,
    ) -> Result<BindingRevision, Failure> {
        let found = self.shown_revision(name, number).await?;
        let before = match against {
            Some(against) => Some(self.shown_revision(name, against).await?),
            None => self.revision_document(name, number - 1).await?,
        };
        let against = against.unwrap_or(number - 1);
        Ok(compared(found, (against, before.as_ref())))
    }

    async fn shown_revision(
        &self,
        name: &str,
        number: u64,
    ) -> Result<BindingRevisionDocument, Failure> {
        let history = self.history_of(name).await?;
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
            let message = format!("binding {name} has no revision {number}: {kept}");
            Failure::new(FailureKind::NotFound, message)
        })
    }

    /// Makes a binding say what one of its revisions said. That passes the same checks and approvals
    /// as any other write of the binding.
    ///
    /// # Errors
    /// `not_found`: there is no such revision. `invalid`: it deleted the binding. As
    /// [`Self::put_binding`].
    pub async fn restore_binding(
        &self,
        caller: &Caller,
        name: &str,
        number: u64,
        reason: Option<&str>,
    ) -> Result<(BindingDocument, WrittenBinding), Failure> {
        check_reason(reason)?;
        let Some(body) = self.shown_revision(name, number).await?.body else {
            let message = format!(
                "revision: {number} is the deletion of binding {name}; restore an earlier one, or \
                 delete the binding"
            );
            return Err(Failure::invalid(message));
        };
        let origin = RevisionOrigin::Restore(number);
        let written = self.write_binding(caller, &body, Precondition::Any, (origin, reason));
        let written = Box::pin(written).await?;
        Ok((body, written))
    }
}

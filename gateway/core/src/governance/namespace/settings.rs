//! Writes and restores the settings of namespaces.

use leasehold_domain::NamespaceName;
use leasehold_domain::Precondition;
use leasehold_domain::StoreName;

use super::WrittenNamespace;
use super::summary_of;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::governance::Governance;
use crate::governance::Stored;
use crate::governance::approval::of_namespace;
use crate::governance::bound::BoundPolicies;
use crate::governance::document::DefaultDecision;
use crate::governance::document::NamespaceDocument;
use crate::governance::document::NamespaceDraft;
use crate::governance::document::NamespaceSettings;
use crate::governance::document::PlaceDocument;
use crate::governance::document::RevisionOrigin;
use crate::governance::document::Travels;
use crate::governance::revision::RevisedEdits;
use crate::governance::revision::RevisedWrite;
use crate::governance::revision::check_reason;
use crate::governance::revision::exact;

/// How often the settings of a namespace are written against others that write, too.
const WRITES_MAX: usize = 4;

impl Governance {
    /// Creates or replaces a namespace. Its locks stay in the store that has them.
    ///
    /// # Errors
    /// The precondition does not hold, there is no such store, others must approve that it allows
    /// what no policy decides, or the store of governance cannot write.
    pub async fn put_namespace(
        &self,
        caller: &Caller,
        draft: &NamespaceDraft,
        precondition: Precondition,
    ) -> Result<Stored<NamespaceDocument>, Failure> {
        let written = self.put_namespace_for(caller, draft, precondition, None);
        written.await.map(|written| written.stored)
    }

    /// Creates or replaces a namespace as [`Self::put_namespace`] does, and keeps the reason with its
    /// revision.
    ///
    /// # Errors
    /// As [`Self::put_namespace`], and the reason is invalid.
    pub async fn put_namespace_for(
        &self,
        caller: &Caller,
        draft: &NamespaceDraft,
        precondition: Precondition,
        reason: Option<&str>,
    ) -> Result<WrittenNamespace, Failure> {
        let why = (RevisionOrigin::Put, reason);
        self.write_settings(caller, draft, precondition, why).await
    }

    /// Gives a namespace the settings that one of its revisions says, also if it was deleted. Its locks
    /// stay in the store that has them. That passes the same checks and approvals as any other change
    /// of the namespace.
    ///
    /// # Errors
    /// `not_found`: there is no such revision. `invalid`: it deleted the namespace. As
    /// [`Self::put_namespace`].
    pub async fn restore_namespace(
        &self,
        caller: &Caller,
        name: &NamespaceName,
        number: u64,
        reason: Option<&str>,
    ) -> Result<WrittenNamespace, Failure> {
        let settings: NamespaceSettings = self.restorable(name.as_str(), number).await?;
        let (draft, any) = (settings.draft(), Precondition::Any);
        let why = (RevisionOrigin::Restore(number), reason);
        self.write_settings(caller, &draft, any, why).await
    }

    /// Checks and writes the settings of a namespace.
    async fn write_settings(
        &self,
        caller: &Caller,
        draft: &NamespaceDraft,
        precondition: Precondition,
        why: (RevisionOrigin, Option<&str>),
    ) -> Result<WrittenNamespace, Failure> {
        check_reason(why.1)?;
        crate::field_limits::check_description(&draft.description)?;
        let caps = draft.caps.unwrap_or_default();
        crate::field_limits::check_cap("caps.locks", caps.locks)?;
        crate::field_limits::check_cap("caps.waiters", caps.waiters)?;
        crate::field_limits::check_cap("caps.ledger_bytes", caps.ledger_bytes)?;
        for _ in 0..WRITES_MAX {
            let write = self.try_settings(caller, draft, precondition, why.clone());
            if let Some(written) = Box::pin(write).await? {
                return Ok(written);
            }
        }
        let message = "other writes changed the namespace each time; try again";
        Err(Failure::new(FailureKind::Conflict, message))
    }

    /// Writes the settings of a namespace. Returns `None` if what they were made from has changed by
    /// the time of the write.
    async fn try_settings(
        &self,
        caller: &Caller,
        draft: &NamespaceDraft,
        precondition: Precondition,
        (origin, reason): (RevisionOrigin, Option<&str>),
    ) -> Result<Option<WrittenNamespace>, Failure> {
        let existing = self.find_namespace(&draft.name).await?;
        // What the document keeps of the one before must be of the very one before.
        let exact = exact(precondition, existing.as_ref());
        let before = existing.map(|existing| existing.document);
        let place = match &before {
            Some(before) => Some(before.place()),
            None => self.place(&draft.name).await?,
        };
        let mut document = self.settle(draft, place)?;
        // A replacement that does not speak of caps must not lift them.
        let had = before.as_ref().map(|before| before.caps);
        document.caps = draft.caps.or(had).unwrap_or_default();
        let did = before.as_ref().map(|before| before.default_decision);
        let approval = match (did, document.default_decision) {
            (None | Some(DefaultDecision::Deny), DefaultDecision::Allow) => {
                Box::pin(self.approved(caller, &[of_namespace(&document)])).await?
            }
            _ => None,
        };
        let write = RevisedWrite::<NamespaceSettings> {
            name: draft.name.as_str(),
            before: before.as_ref(),
            after: Some(&document),
            precondition: exact,
            origin,
            reason,
            summary: summary_of(&document),
        };
        let RevisedEdits { mut edits, number } = self.revised_edits(caller, write).await?;
        edits.extend(approval);
        let revision = match self.try_commit(edits, BoundPolicies::default()).await? {
            Ok(revision) => revision,
            Err(conflict) if conflict.index == 0 && precondition != Precondition::Any => {
                return Err(conflict.failure);
            }
            Err(_) => return Ok(None),
        };
        let stored = Stored { document, revision };
        Ok(Some(WrittenNamespace { stored, number }))
    }

    /// The document that a draft makes, given where the namespace is or was.
    fn settle(
        &self,
        draft: &NamespaceDraft,
        before: Option<PlaceDocument>,
    ) -> Result<NamespaceDocument, Failure> {
        let (store, travels) = match (&draft.store, before) {
            (None, None) => (StoreName::home(), Travels::default()),
            (None, Some(before)) => (before.store, before.travels),
            (Some(asked), Some(before)) if *asked != before.store => {
                let name = &draft.name;
                return Err(Failure::new(
                    FailureKind::Conflict,
                    format!(
                        "store: the locks of {name} are in {}; move them with \
                         `leasehold namespace move {name} --to {asked}`",
                        before.store
                    ),
                ));
            }
            (Some(_), Some(before)) => (before.store, before.travels),
            (Some(asked), None) => (asked.clone(), Travels::default()),
        };
        if !self.stores.contains(&store) {
            return Err(Failure::no_store(&store, &self.stores));
        }
        Ok(NamespaceDocument {
            name: draft.name.clone(),
            team: draft.team.clone(),
            visibility: draft.visibility.clone(),
            description: draft.description.clone(),
            default_decision: draft.default_decision,
            store,
            caps: draft.caps.unwrap_or_default(),
            travels,
        })
    }
}

//! Namespaces.

use crate::failure::FailureKind;
use leasehold_domain::Edit;
use leasehold_domain::NamespaceName;
use leasehold_domain::Precondition;
use leasehold_domain::StoreName;

use super::Governance;
use super::Stored;
use super::approval::of_namespace;
use super::document::DefaultDecision;
use super::document::NAMESPACES;
use super::document::NamespaceDocument;
use super::document::NamespaceDraft;
use super::document::PLACES;
use super::document::PlaceDocument;
use super::document::Travels;
use super::edit;
use crate::caller::Caller;
use crate::failure::Failure;

/// How often a replacement without a condition is tried against others that write, too.
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
        crate::field_limits::check_description(&draft.description)?;
        let caps = draft.caps.unwrap_or_default();
        crate::field_limits::check_cap("caps.locks", caps.locks)?;
        crate::field_limits::check_cap("caps.waiters", caps.waiters)?;
        crate::field_limits::check_cap("caps.ledger_bytes", caps.ledger_bytes)?;
        let mut tries = 1;
        loop {
            let existing = self.find_namespace(&draft.name).await?;
            // What the document keeps of the one before must be of the very one before.
            let exact = match (precondition, &existing) {
                (Precondition::Any, Some(existing)) => Precondition::Revision(existing.revision),
                (Precondition::Any, None) => Precondition::Absent,
                (given, _) => given,
            };
            let had = existing.as_ref().map(|existing| existing.document.caps);
            let did = existing
                .as_ref()
                .map(|existing| existing.document.default_decision);
            let before = match existing {
                Some(existing) => Some(existing.document.place()),
                None => self.place(&draft.name).await?,
            };
            let mut document = self.settle(draft, before)?;
            // A replacement that does not speak of caps must not lift them.
            document.caps = draft.caps.or(had).unwrap_or_default();
            let approval = match (did, document.default_decision) {
                (None | Some(DefaultDecision::Deny), DefaultDecision::Allow) => {
                    Box::pin(self.approved(caller, &[of_namespace(&document)])).await?
                }
                _ => None,
            };
            let edits = [namespace_edit(caller, &document, exact)?].into_iter();
            match self.commit(edits.chain(approval).collect()).await {
                Ok(revision) => return Ok(Stored { document, revision }),
                Err(failure)
                    if precondition == Precondition::Any
                        && failure.kind == FailureKind::PreconditionFailed
                        && tries < WRITES_MAX =>
                {
                    tries += 1;
                }
                Err(failure) => return Err(failure),
            }
        }
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

    pub(super) async fn write_namespace(
        &self,
        caller: &Caller,
        document: &NamespaceDocument,
        precondition: Precondition,
    ) -> Result<u64, Failure> {
        let edit = namespace_edit(caller, document, precondition)?;
        self.commit(vec![edit]).await
    }

    /// Where a deleted namespace was.
    async fn place(&self, name: &NamespaceName) -> Result<Option<PlaceDocument>, Failure> {
        match self.read(PLACES, name.as_str()).await {
            Ok(stored) => Ok(Some(stored.document)),
            Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// One namespace; none if there is none of that name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn find_namespace(
        &self,
        name: &NamespaceName,
    ) -> Result<Option<Stored<NamespaceDocument>>, Failure> {
        match self.namespace(name).await {
            Ok(stored) => Ok(Some(stored)),
            Err(failure) if failure.kind == FailureKind::NamespaceNotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Deletes a namespace. Its locks stay in the store, unreachable, and their tokens stay safe
    /// if it is created again.
    ///
    /// # Errors
    /// There is none of that name, or the store cannot write.
    pub async fn delete_namespace(
        &self,
        caller: &Caller,
        name: &NamespaceName,
    ) -> Result<(), Failure> {
        let stored = self.namespace(name).await?;
        if stored.document.travels.to.is_some() {
            return Err(Failure::new(
                FailureKind::Conflict,
                format!("namespace {name} is being moved; let that be finished first"),
            ));
        }
        // In the same write, so that nobody makes it anew elsewhere, where its tokens would begin
        // again, and that no place is left behind by a deletion that was refused.
        let place = stored.document.place();
        let stays = format!("locks of namespace {name} stay in store {}", place.store);
        let (id, unchanged) = (name.as_str(), Precondition::Revision(stored.revision));
        let deleted = format!("namespace {name} deleted");
        let (any, nothing) = (Precondition::Any, None::<&NamespaceDocument>);
        let edits = vec![
            edit(caller, PLACES, id, Some(&place), any, stays)?,
            edit(caller, NAMESPACES, id, nothing, unchanged, deleted)?,
        ];
        self.commit(edits).await?;
        Ok(())
    }

    /// One namespace.
    ///
    /// # Errors
    /// There is none of that name, or the store cannot be read.
    pub async fn namespace(
        &self,
        name: &NamespaceName,
    ) -> Result<Stored<NamespaceDocument>, Failure> {
        self.read(NAMESPACES, name.as_str())
            .await
            .map_err(|failure| match failure.kind {
                FailureKind::NotFound => Failure {
                    kind: FailureKind::NamespaceNotFound,
                    message: format!("there is no namespace {name}"),
                    ..failure
                },
                _ => failure,
            })
    }

    /// All namespaces, by name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn namespaces(&self) -> Result<Vec<Stored<NamespaceDocument>>, Failure> {
        self.list(NAMESPACES).await
    }
}

fn namespace_edit(
    caller: &Caller,
    document: &NamespaceDocument,
    precondition: Precondition,
) -> Result<Edit, Failure> {
    let team = document.team.as_ref();
    let team = team.map_or("no team", |team| team.as_str());
    let NamespaceDocument { name, store, .. } = document;
    let on_its_way = match &document.travels.to {
        Some(to) => format!(", being moved to {to}"),
        None => String::new(),
    };
    let summary = format!("namespace {name} of {team} in store {store}{on_its_way}");
    let (id, body) = (name.as_str(), Some(document));
    edit(caller, NAMESPACES, id, body, precondition, summary)
}

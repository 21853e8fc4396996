//! Namespaces.

mod settings;

use crate::failure::FailureKind;
use leasehold_domain::NamespaceName;
use leasehold_domain::Precondition;

use super::Governance;
use super::Stored;
use super::document::NAMESPACES;
use super::document::NamespaceDocument;
use super::document::NamespaceSettings;
use super::document::PLACES;
use super::document::PlaceDocument;
use super::document::RevisionOrigin;
use super::edit;
use super::revision::RevisedEdits;
use super::revision::RevisedWrite;
use super::revision::check_reason;
use super::revision::exact;
use crate::caller::Caller;
use crate::failure::Failure;

/// A namespace that was written or deleted.
#[derive(Debug, Clone)]
pub struct WrittenNamespace {
    /// The namespace, or what it was before it was deleted.
    pub stored: Stored<NamespaceDocument>,
    /// The number of its newest revision.
    pub number: u64,
}

impl Governance {
    /// Writes where a namespace is. Its settings stay, so that this is no revision.
    pub(super) async fn write_place(
        &self,
        caller: &Caller,
        document: &NamespaceDocument,
        precondition: Precondition,
    ) -> Result<u64, Failure> {
        let (id, summary) = (document.name.as_str(), summary_of(document));
        let (kind, body) = (NAMESPACES, Some(document));
        self.write(caller, kind, id, body, precondition, summary)
            .await
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
        let deleted = self.delete_namespace_for(caller, name, Precondition::Any, None);
        deleted.await.map(drop)
    }

    /// Deletes a namespace as [`Self::delete_namespace`] does, and keeps the reason with the revision.
    /// Returns what it was, and the number of the revision.
    ///
    /// # Errors
    /// As [`Self::delete_namespace`]; the precondition does not hold, or the reason is invalid.
    pub async fn delete_namespace_for(
        &self,
        caller: &Caller,
        name: &NamespaceName,
        precondition: Precondition,
        reason: Option<&str>,
    ) -> Result<WrittenNamespace, Failure> {
        check_reason(reason)?;
        let stored = self.namespace(name).await?;
        if stored.document.travels.to.is_some() {
            return Err(Failure::new(
                FailureKind::Conflict,
                format!("namespace {name} is being moved; let that be finished first"),
            ));
        }
        let write = RevisedWrite::<NamespaceSettings> {
            name: name.as_str(),
            before: Some(&stored.document),
            after: None,
            precondition: exact(precondition, Some(&stored)),
            origin: RevisionOrigin::Delete,
            reason,
            summary: format!("namespace {name} deleted"),
        };
        let RevisedEdits { mut edits, number } = self.revised_edits(caller, write).await?;
        // In the same write, so that nobody makes it anew elsewhere, where its tokens would begin
        // again, and that no place is left behind by a deletion that was refused.
        let place = stored.document.place();
        let stays = format!("locks of namespace {name} stay in store {}", place.store);
        let (id, any) = (name.as_str(), Precondition::Any);
        edits.insert(0, edit(caller, PLACES, id, Some(&place), any, stays)?);
        self.commit(edits).await?;
        Ok(WrittenNamespace { stored, number })
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

/// Returns a namespace in words, for the ledger.
fn summary_of(document: &NamespaceDocument) -> String {
    let team = document.team.as_ref();
    let team = team.map_or("no team", |team| team.as_str());
    let NamespaceDocument { name, store, .. } = document;
    let on_its_way = match &document.travels.to {
        Some(to) => format!(", being moved to {to}"),
        None => String::new(),
    };
    format!("namespace {name} of {team} in store {store}{on_its_way}")
}

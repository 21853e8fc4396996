//! The moves of namespaces between stores, as their documents tell of them.

use crate::failure::FailureKind;
use leasehold_domain::NamespaceName;
use leasehold_domain::Precondition;
use leasehold_domain::StoreName;

use super::Governance;
use super::Stored;
use super::document::NamespaceDocument;
use crate::caller::Caller;
use crate::failure::Failure;

impl Governance {
    /// Resolves when, by the plan in force, the namespace is not in this store (any more).
    pub(crate) async fn leaves(&self, namespace: &NamespaceName, store: &StoreName) {
        let is_here = |namespace: &NamespaceDocument| namespace.store == *store;
        self.while_it_is(namespace, is_here).await;
    }

    /// Resolves when, by the plan in force, the namespace is gone or this does not hold of it.
    pub(crate) async fn while_it_is(
        &self,
        namespace: &NamespaceName,
        holds: impl Fn(&NamespaceDocument) -> bool,
    ) {
        let mut changed = self.changed.subscribe();
        let is_so = || {
            let plan = self.plan();
            let namespace = plan.namespace(namespace);
            namespace.is_some_and(|namespace| holds(namespace.document))
        };
        while is_so() {
            // The sender is our own, so it is there.
            let _ = changed.changed().await;
        }
    }

    /// Puts on record that a namespace is to be moved; a move that was begun goes on.
    ///
    /// # Errors
    /// `conflict` if it is on its way to another store, or there is no such store.
    pub(crate) async fn begin_move(
        &self,
        caller: &Caller,
        name: &NamespaceName,
        to: &StoreName,
    ) -> Result<Stored<NamespaceDocument>, Failure> {
        if !self.stores.contains(to) {
            return Err(Failure::invalid(format!("to: there is no store {to}")));
        }
        let mut stored = self.namespace(name).await?;
        let document = &mut stored.document;
        match &document.travels.to {
            Some(other) if other != to => {
                let message = format!("namespace {name} is being moved to {other}");
                return Err(Failure::new(FailureKind::Conflict, message));
            }
            Some(_) => return Ok(stored),
            None if document.store == *to => return Ok(stored),
            None => {}
        }
        document.travels.era += 1;
        document.travels.to = Some(to.clone());
        self.replace(caller, stored).await
    }

    /// From now on the namespace is where it was moved.
    pub(crate) async fn arrive(
        &self,
        caller: &Caller,
        mut stored: Stored<NamespaceDocument>,
    ) -> Result<Stored<NamespaceDocument>, Failure> {
        let document = &mut stored.document;
        if let Some(to) = document.travels.to.take() {
            let from = std::mem::replace(&mut document.store, to);
            document.travels.earlier.insert(from.clone());
            document.travels.leaving = Some(from);
        }
        self.replace(caller, stored).await
    }

    /// Records which of two stores an operator has chosen for a namespace.
    pub(crate) async fn choose_store(
        &self,
        caller: &Caller,
        mut stored: Stored<NamespaceDocument>,
        (kept, left): (StoreName, StoreName),
        era: u64,
    ) -> Result<Stored<NamespaceDocument>, Failure> {
        let document = &mut stored.document;
        document.store = kept;
        document.travels.era = era;
        document.travels.to = None;
        document.travels.earlier.insert(left.clone());
        document.travels.leaving = Some(left);
        self.replace(caller, stored).await
    }

    /// It stays in the store that it was to leave.
    pub(crate) async fn turn_back(
        &self,
        caller: &Caller,
        mut stored: Stored<NamespaceDocument>,
    ) -> Result<Stored<NamespaceDocument>, Failure> {
        stored.document.travels.to = None;
        self.replace(caller, stored).await
    }

    /// The store that it left has forgotten its records.
    pub(crate) async fn forgotten(
        &self,
        caller: &Caller,
        mut stored: Stored<NamespaceDocument>,
    ) -> Result<Stored<NamespaceDocument>, Failure> {
        stored.document.travels.leaving = None;
        self.replace(caller, stored).await
    }

    async fn replace(
        &self,
        caller: &Caller,
        stored: Stored<NamespaceDocument>,
    ) -> Result<Stored<NamespaceDocument>, Failure> {
        let Stored { document, revision } = stored;
        let precondition = Precondition::Revision(revision);
        let written = self.write_place(caller, &document, precondition);
        let revision = written.await.map_err(|failure| match failure.kind {
            // Another mover, or an administrator, was faster. Asked again, this one finds that.
            FailureKind::PreconditionFailed => Failure::moving(),
            _ => failure,
        })?;
        Ok(Stored { document, revision })
    }
}

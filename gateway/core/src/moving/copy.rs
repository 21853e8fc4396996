//! Records of a namespace: read from one store, put into another, forgotten.

use crate::failure::FailureKind;
use leasehold_backend_api::ImportLimit;
use leasehold_domain::ListQuery;
use leasehold_domain::LockName;
use leasehold_domain::LockRef;
use leasehold_domain::NamespaceName;
use leasehold_domain::Outcome;
use leasehold_domain::StoreName;

use super::Move;
use super::writes::Moved;
use super::writes::writes_of;
use crate::failure::Failure;
use crate::store_client::Relocation;
use crate::stores::OpenStore;

/// Records in one write of a move: short writes, so that other namespaces are not kept waiting.
const RECORDS_PER_WRITE: usize = 64;

/// Some records of a namespace.
struct Exported {
    records: Vec<Moved>,
    /// The last lock that was looked at.
    last: LockName,
}

impl Move<'_> {
    /// Copies all records; the next ones are read while some are written. Answers why it stopped if
    /// one is too large for the new store.
    pub(super) async fn copy(&self) -> Result<Option<Failure>, Failure> {
        let limit = self.to.door.import_limit();
        let next = async |after| export(&self.from, &self.namespace, after).await;
        let mut exported = next(None).await?;
        while let Some(Exported { records, last }) = exported {
            let too_large = limit.and_then(|limit| too_large(&records, limit, &self.to.name));
            if too_large.is_some() {
                return Ok(too_large);
            }
            ((), exported) = tokio::try_join!(self.import_all(records), next(Some(last)))?;
        }
        Ok(None)
    }

    async fn import_all(&self, records: Vec<Moved>) -> Result<(), Failure> {
        for write in writes_of(records) {
            self.import(write).await?;
        }
        Ok(())
    }

    async fn import(&self, records: Vec<Moved>) -> Result<(), Failure> {
        let era = self.era;
        let step = |(lock, record)| (lock, Relocation::Import { era, record });
        let imported = self.to.door.relocate(records.into_iter().map(step)).await?;
        match imported.iter().find(|one| **one != Outcome::Imported) {
            None => Ok(()),
            Some(other) => Err(unexpected(other)),
        }
    }
}

/// Sees whether the new store takes all records as they are now.
///
/// # Errors
/// `conflict` if it does not.
pub(super) async fn weigh(
    from: &OpenStore,
    to: &OpenStore,
    namespace: &NamespaceName,
) -> Result<(), Failure> {
    let Some(limit) = to.door.import_limit() else {
        return Ok(());
    };
    let mut after = None;
    while let Some(exported) = export(from, namespace, after).await? {
        if let Some(failure) = too_large(&exported.records, limit, &to.name) {
            return Err(failure);
        }
        after = Some(exported.last);
    }
    Ok(())
}

/// Why the first of these that a store does not take is not taken.
fn too_large(records: &[Moved], limit: ImportLimit, store: &StoreName) -> Option<Failure> {
    let most = limit.bytes_max;
    let mut sizes = records.iter().map(|(lock, record)| {
        let bytes = (limit.bytes_of)(lock, record);
        (lock, bytes)
    });
    let (lock, bytes) = sizes.find(|(_, bytes)| *bytes > most)?;
    let message = format!(
        "lock {lock} takes {bytes} bytes with its queue, and store {store} takes {most} of a lock: \
         the namespace stays where it is; ask again when fewer wait for that lock or hold it"
    );
    Some(Failure::new(FailureKind::Conflict, message))
}

/// The next records of a namespace; none if there are no more.
async fn export(
    store: &OpenStore,
    namespace: &NamespaceName,
    after: Option<LockName>,
) -> Result<Option<Exported>, Failure> {
    let names = names(store, namespace, after).await?;
    let Some(last) = names.last().cloned() else {
        return Ok(None);
    };
    let lock = |name| LockRef::new(namespace.clone(), name);
    let locks: Vec<LockRef> = names.into_iter().map(lock).collect();
    let steps = locks.iter().map(|lock| (lock.clone(), Relocation::Export));
    let outcomes = store.door.relocate(steps).await?;
    let mut records = Vec::with_capacity(outcomes.len());
    for (lock, outcome) in locks.into_iter().zip(outcomes) {
        match outcome {
            Outcome::Exported { record, .. } => {
                records.extend(record.map(|record| (lock, record)));
            }
            other => return Err(unexpected(&other)),
        }
    }
    Ok(Some(Exported { records, last }))
}

/// Whether a store has no record of a namespace.
pub(super) async fn is_empty(
    store: &OpenStore,
    namespace: &NamespaceName,
) -> Result<bool, Failure> {
    Ok(names(store, namespace, None).await?.is_empty())
}

/// The next locks of a namespace that have a record.
async fn names(
    store: &OpenStore,
    namespace: &NamespaceName,
    after: Option<LockName>,
) -> Result<Vec<LockName>, Failure> {
    let mut query = ListQuery::all_of(namespace.clone(), after, RECORDS_PER_WRITE);
    loop {
        let page = store.door.list(query.clone()).await?;
        if !page.rows.is_empty() || page.next.is_none() {
            return Ok(page.rows.into_iter().map(|view| view.lock.lock).collect());
        }
        query.after = page.next;
    }
}

/// A floor above every token that the store has given out for a lock of the namespace that has no
/// record now.
pub(super) async fn floor(store: &OpenStore, namespace: &NamespaceName) -> Result<u64, Failure> {
    let name: LockName = "any"
        .parse()
        .map_err(|error| Failure::internal(format!("{error}")))?;
    let asked = [(LockRef::new(namespace.clone(), name), Relocation::Export)];
    match store.door.relocate(asked).await?.into_iter().next() {
        Some(Outcome::Exported { token_floor, .. }) => Ok(token_floor),
        other => Err(Failure::internal(format!("export: {other:?}"))),
    }
}

/// Lets a store that the namespace has left by this move forget its records.
pub(super) async fn evict(
    store: &OpenStore,
    namespace: &NamespaceName,
    era: u64,
) -> Result<(), Failure> {
    loop {
        let names = names(store, namespace, None).await?;
        if names.is_empty() {
            return Ok(());
        }
        let step = |name| {
            let lock = LockRef::new(namespace.clone(), name);
            (lock, Relocation::Evict { era })
        };
        let outcomes = store.door.relocate(names.into_iter().map(step)).await?;
        match outcomes
            .into_iter()
            .find(|outcome| *outcome != Outcome::Evicted)
        {
            None => {}
            // It came back by a later move: nothing of this one is left.
            Some(Outcome::Moved) => return Ok(()),
            Some(other) => return Err(unexpected(&other)),
        }
    }
}

fn unexpected(outcome: &Outcome) -> Failure {
    match outcome {
        // Another mover of the same namespace is ahead; asked again, this one finds it done.
        Outcome::Moved => Failure::moving(),
        other => Failure::internal(format!("a step of a move came to {other:?}")),
    }
}

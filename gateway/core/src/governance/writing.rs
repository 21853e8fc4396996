//! Writes of governance documents. The write's own effect decides the answer: once it is durable,
//! it is in force on this gateway and answered as done, also if nothing can be read after it.

use std::time::Duration;

use crate::failure::FailureKind;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Effect;
use leasehold_domain::Change;
use leasehold_domain::Digest;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::Precondition;
use serde::Serialize;

use super::Governance;
use super::Stored;
use super::bound::BoundPolicies;
use super::enacting::Prepared;
use crate::caller::Caller;
use crate::failure::Failure;

/// An edit whose precondition did not hold. Nothing was written.
#[derive(Debug)]
pub(super) struct Conflict {
    /// Which edit.
    pub(super) index: usize,
    /// What a caller is told of it.
    pub(super) failure: Failure,
}

/// How long a write that took effect waits for the writes of other gateways before it.
const RELOAD_WAIT: Duration = Duration::from_secs(1);

impl Governance {
    /// Writes one document with its audit event, and puts it into force here.
    pub(super) async fn write<T: Serialize>(
        &self,
        caller: &Caller,
        collection: &str,
        id: &str,
        document: Option<&T>,
        precondition: Precondition,
        summary: String,
    ) -> Result<u64, Failure> {
        let edit = edit(caller, collection, id, document, precondition, summary)?;
        self.commit(vec![edit]).await
    }

    /// Writes documents in one step, and puts them into force here. Returns the revision.
    pub(super) async fn commit(&self, edits: Vec<Edit>) -> Result<u64, Failure> {
        let written = self.try_commit(edits, BoundPolicies::default()).await?;
        written.map_err(|conflict| conflict.failure)
    }

    /// Writes documents in one step, and puts them into force here with policies that were bound for
    /// them. Returns the revision, or which edit's precondition does not hold.
    pub(super) async fn try_commit(
        &self,
        edits: Vec<Edit>,
        bound: BoundPolicies,
    ) -> Result<Result<u64, Conflict>, Failure> {
        let written = match self.documents.write(edits.clone()).await {
            Err(error) if error.effect == Effect::Unknown => self.look_up(&edits, error).await?,
            written => written?,
        };
        match written {
            EditOutcome::Done(revision) => {
                self.put_into_force(edits, revision, bound);
                self.catch_up_with(revision).await;
                Ok(Ok(revision))
            }
            EditOutcome::Conflict { index, current } => {
                let failure = conflict(edits.get(index), current);
                Ok(Err(Conflict { index, failure }))
            }
        }
    }

    /// Finds out whether a write took effect whose answer was lost: then the store has what all of
    /// its edits ask for.
    async fn look_up(&self, edits: &[Edit], error: BackendError) -> Result<EditOutcome, Failure> {
        for edit in edits {
            let found = self.documents.get(&edit.collection, &edit.id).await;
            let found = match found {
                Ok(found) => found.map(|found| found.body),
                Err(_) => return Err(error.into()),
            };
            if found != edit.body {
                // It may still take effect.
                return Err(error.into());
            }
        }
        match self.documents.revision().await {
            Ok(revision) => Ok(EditOutcome::Done(revision)),
            Err(_) => Err(error.into()),
        }
    }

    /// Applies what was written to the plan in force.
    fn put_into_force(&self, edits: Vec<Edit>, revision: u64, bound: BoundPolicies) {
        let mut replica = self.replica();
        replica.record(edits, revision);
        let target = replica.target(None);
        self.enact(&mut replica, target, &Prepared::of(bound));
    }

    /// Loads what others wrote before `revision`. If that cannot be had now, the task that follows
    /// the store's changes loads it later.
    async fn catch_up_with(&self, revision: u64) {
        match tokio::time::timeout(RELOAD_WAIT, self.reload_to(revision)).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                tracing::warn!(message = %failure.message, detail = ?failure.detail, revision, "governance.reload failed after a write");
            }
            Err(_) => tracing::warn!(revision, "governance.reload is slow after a write"),
        }
    }
}

/// An edit of one document, with its audit event.
///
/// # Errors
/// The document is too large.
pub fn edit<T: Serialize>(
    caller: &Caller,
    collection: &str,
    id: &str,
    document: Option<&T>,
    precondition: Precondition,
    summary: String,
) -> Result<Edit, Failure> {
    let body = document.map(serde_json::to_vec).transpose();
    let body = body.map_err(|error| Failure::internal(error.to_string()))?;
    if body
        .as_ref()
        .is_some_and(|body| body.len() > leasehold_domain::limits::DOCUMENT_BYTES_MAX)
    {
        return Err(Failure::invalid("the document is too large"));
    }
    let change = Change {
        request_id: caller.request_id.clone(),
        principal: caller.principal.clone(),
        collection: collection.into(),
        id: id.into(),
        digest: body.as_deref().map(Digest::of),
        summary: summary.into(),
    };
    Ok(Edit {
        collection: collection.into(),
        id: id.into(),
        body: body.map(Into::into),
        precondition,
        change: Some(change),
    })
}

/// How many closed documents are deleted with a new one, if there are too many.
const DELETED_AT_ONCE: usize = 16;

/// Makes the edits that delete the first of these closed documents, so that a new one has room. The
/// ledger keeps what they said.
pub(super) fn deletions<T>(
    caller: &Caller,
    collection: &str,
    closed: &[Stored<T>],
    id_of: impl Fn(&T) -> &str,
) -> Result<Vec<Edit>, Failure> {
    let oldest = closed.iter().take(DELETED_AT_ONCE).map(|stored| {
        let (id, nothing) = (id_of(&stored.document), None::<&()>);
        let same = Precondition::Revision(stored.revision);
        let summary = format!("{collection} {id} deleted to make room");
        edit(caller, collection, id, nothing, same, summary)
    });
    oldest.collect()
}

fn conflict(edit: Option<&Edit>, current: Option<u64>) -> Failure {
    let named = edit.map(|edit| format!("{} {}", edit.collection, edit.id));
    let named = named.unwrap_or_else(|| "document".to_owned());
    match current {
        None => Failure::new(FailureKind::NotFound, format!("there is no {named}")),
        Some(revision) => Failure::new(
            FailureKind::PreconditionFailed,
            format!("{named} is at revision {revision}"),
        ),
    }
}

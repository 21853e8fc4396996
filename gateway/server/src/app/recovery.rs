//! `leasehold key recover`: an administrator's key for a store whose administrators have none.
//!
//! Whoever can open the store itself (its folder, or its servers with their passwords) may do this;
//! no gateway is asked. The key's document and its audit event are one durable write, as for any
//! other key, so the ledger tells of it as soon as a gateway serves the store.

use std::sync::Arc;
use std::time::Duration;

use leasehold_domain::Clock;
use leasehold_domain::EditOutcome;
use leasehold_domain::Precondition;
use leasehold_domain::Role;
use leasehold_domain::RoleSet;
use leasehold_domain::Subject;
use leasehold_domain::SystemClock;

use super::AppError;
use super::backends;
use super::backends::Opened;
use crate::authentication::NewKey;
use crate::config::Config;
use crate::governance::document::KEYS;
use crate::governance::edit;
use crate::pipeline::ask::Caller;
use crate::pipeline::failure::Failure;
use crate::telemetry::Metrics;
use crate::telemetry::rfc3339;

/// How long the store may take to open, and a member's cluster to agree.
const OPEN_WITHIN: Duration = Duration::from_secs(30);
/// What the ledger calls it.
const WORK: &str = "key-recovery";

/// Makes an administrator's key with all roles in a store that has keys.
///
/// # Errors
/// The store cannot be opened or written, or has never had a key.
pub(crate) async fn recover_key(config: &Config, subject: Subject) -> Result<NewKey, AppError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let metrics = Metrics::new();
    let opening = backends::open_existing(config, clock.clone(), &metrics);
    let opened = tokio::time::timeout(OPEN_WITHIN, opening).await;
    let opened = opened.map_err(|_| {
        let problem = "the store does not agree; a majority of a cluster's members must run, and \
            a gateway of the cluster must be named by --config";
        AppError::StoreAway(problem.to_owned())
    })??;
    let made = make_key(&opened, subject, &rfc3339(clock.wall())).await;
    opened.backend.close().await;
    made
}

async fn make_key(opened: &Opened, subject: Subject, created: &str) -> Result<NewKey, AppError> {
    let documents = &opened.documents;
    let storage = |error: leasehold_backend_api::BackendError| AppError::Storage(error.to_string());
    let ours = |failure: Failure| AppError::Governance(failure.message);
    if documents.list(KEYS).await.map_err(storage)?.is_empty() {
        let problem = "the store has no keys yet; the first start makes one";
        return Err(AppError::Governance(problem.to_owned()));
    }
    let description = "made by leasehold key recover";
    let key = NewKey::draw(
        subject,
        None,
        RoleSet::from_iter(Role::ALL),
        description,
        created,
    );
    let caller = Caller::gateway(WORK).map_err(ours)?;
    let document = &key.document;
    let summary = format!(
        "key {} of an administrator for {} made by leasehold key recover",
        document.id, document.subject
    );
    let absent = Precondition::Absent;
    let edit = edit(&caller, KEYS, &document.id, Some(document), absent, summary).map_err(ours)?;
    match documents.write(vec![edit]).await.map_err(storage)? {
        EditOutcome::Done(_) => Ok(key),
        EditOutcome::Conflict { .. } => {
            Err(AppError::Governance("the key's id is taken".to_owned()))
        }
    }
}

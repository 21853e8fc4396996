//! `leasehold key recover`: an administrator's key for a store whose administrators have none.
//!
//! Whoever can open the store itself (its folder, or its servers with their passwords) may do this;
//! no gateway is asked. The key's document and its audit event are one durable write, as for any
//! other key, so the ledger tells of it as soon as a gateway serves the store.

use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::Ledger;
use leasehold_core::authentication::NewKey;
use leasehold_core::caller::Caller;
use leasehold_core::config::Config;
use leasehold_core::data_dir::ledger_file;
use leasehold_core::failure::Failure;
use leasehold_core::governance::document::KEYS;
use leasehold_core::governance::document::REVIEWS;
use leasehold_core::governance::edit;
use leasehold_core::governance::review_of_recovery;
use leasehold_core::stores::Remembered;
use leasehold_core::stores::StoreParts;
use leasehold_core::stores::open_ledger;
use leasehold_core::telemetry::Metrics;
use leasehold_core::telemetry::rfc3339;
use leasehold_domain::Clock;
use leasehold_domain::EditOutcome;
use leasehold_domain::Precondition;
use leasehold_domain::Role;
use leasehold_domain::RoleSet;
use leasehold_domain::StoreName;
use leasehold_domain::Subject;
use leasehold_domain::SystemClock;

use super::AppError;
use super::backends::Opened;
use super::home;
use super::missing;

/// How long the store may take to open, and a member's cluster to agree.
const OPEN_WITHIN: Duration = Duration::from_secs(30);
/// What the ledger calls it.
const WORK: &str = "key-recovery";

/// Makes an administrator's key with all roles in a store that has keys.
///
/// # Errors
/// The store cannot be opened or written, or has never had a key.
pub async fn recover_key(config: &Config, subject: Subject) -> Result<NewKey, AppError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let metrics = Metrics::new();
    let remembered = Remembered::open(&config.storage.data_dir);
    let remembered = Arc::new(remembered.map_err(|error| AppError::Storage(error.to_string()))?);
    missing::check(config, &remembered).await?;
    let opening = home::open_existing(config, clock.clone(), &metrics);
    let opened = tokio::time::timeout(OPEN_WITHIN, opening).await;
    let opened = opened.map_err(|_| {
        let problem = "the store does not agree; a majority of a cluster's members must run, and \
            a gateway of the cluster must be named by --config";
        AppError::StoreAway(problem.to_owned())
    })??;
    let made = match check_parts(config, &opened, remembered).await {
        Ok(()) => make_key(&opened, subject, &rfc3339(clock.wall())).await,
        Err(error) => Err(error),
    };
    opened.backend.close().await;
    made
}

/// Refuses parts that are not of one history, as a start does. A directory that has never had the
/// store has nothing to compare.
async fn check_parts(
    config: &Config,
    opened: &Opened,
    remembered: Arc<Remembered>,
) -> Result<(), AppError> {
    let (data_dir, name) = (&config.storage.data_dir, StoreName::home());
    let had = remembered.get(&name).is_some_and(|was| was.id.is_some());
    if !had && !ledger_file(data_dir).exists() {
        return Ok(());
    }
    let ledger = open_ledger(data_dir).await;
    let ledger: Arc<dyn Ledger> =
        Arc::new(ledger.map_err(|error| AppError::Ledger(error.problem))?);
    let parts = StoreParts {
        name,
        backend: opened.backend.clone(),
        ledger,
        others: opened.others.peers(),
        remembered,
    };
    let problem = parts.refusal().await;
    match problem.map_err(|error| AppError::Storage(error.to_string()))? {
        Some(problem) => Err(AppError::Parts(problem)),
        None => Ok(()),
    }
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
    let caller = Caller::gateway(WORK).map_err(ours)?;
    let key = NewKey::draw(
        subject,
        None,
        RoleSet::from_iter(Role::ALL),
        description,
        created,
    )
    .created_by(&caller.principal.subject);
    let document = &key.document;
    let summary = format!(
        "key {} of an administrator for {} made by leasehold key recover",
        document.id, document.subject
    );
    let absent = Precondition::Absent;
    let key_edit = edit(&caller, KEYS, &document.id, Some(document), absent, summary);
    let review = review_of_recovery(
        &document.id,
        document.subject.as_str(),
        caller.principal.subject.as_str(),
        SystemClock::new().wall(),
    );
    let (id, opened) = (
        &review.id,
        format!("review {} opened: {}", review.id, review.summary),
    );
    let review_edit = edit(&caller, REVIEWS, id, Some(&review), absent, opened);
    let edits = vec![key_edit.map_err(ours)?, review_edit.map_err(ours)?];
    match documents.write(edits).await.map_err(storage)? {
        EditOutcome::Done(_) => Ok(key),
        EditOutcome::Conflict { .. } => {
            Err(AppError::Governance("the key's id is taken".to_owned()))
        }
    }
}

//! The same for a Postgres or etcd store: a database that was restored from a backup, an etcd that was
//! restored from a snapshot, or a store whose gateway has lost its ledger.
//!
//! The identity of the new history is noted in `stores.json` before the store gets it, so that a
//! command that was cut off finishes when it is repeated.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use leasehold_audit::SqliteLedger;
use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::HistoryStart;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerArchive;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::LedgerQuery;
use leasehold_backend_api::NewHistory;
use leasehold_backend_api::StoreHistory;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::StoreId;
use leasehold_domain::StoreName;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::PAGE_ROWS_MAX;
use leasehold_domain::limits::TOKEN_MAX;
use leasehold_domain::limits::TOKENS_PER_WRITE;

use super::AcceptError;
use super::Accepted;
use super::Terms;
use super::summary;
use super::unrecorded;
use super::wall_at;
use crate::bookkeeping::OtherLedgers;
use crate::embedded::entries_ahead;
use crate::storage_note;
use crate::stores::Remembered;
use crate::stores::RememberedStore;
use crate::stores::open_ledger;

/// Attempts in all: leases that end by time change the store meanwhile.
const TRIES_MAX: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);
/// How long reading the next event may take.
const WITHIN: Duration = Duration::from_secs(30);

/// A store that is open although it is older than its gateway remembers.
#[derive(Debug)]
pub struct OldStore {
    /// Its name.
    pub name: StoreName,
    /// Where its ledger is.
    pub folder: PathBuf,
    /// The store.
    pub backend: Arc<dyn Backend>,
    /// Begins its new history.
    pub new_history: Arc<dyn NewHistory>,
    /// Who has its ledger's rows besides.
    pub others: OtherLedgers,
    /// The count of writes that this gateway has seen of it.
    pub seen: u64,
}

fn failed(error: &dyn std::fmt::Display) -> AcceptError {
    AcceptError::Failed(error.to_string())
}

/// Starts a new history of a store that is open for that alone.
///
/// # Errors
/// The ledger is another store's, another gateway writes to the store, or a part cannot be read or
/// written.
pub async fn accept_shared(
    old: OldStore,
    remembered: &Remembered,
    terms: Terms,
    now: WallMillis,
) -> Result<Accepted, AcceptError> {
    let ledger = open_ledger(&old.folder)
        .await
        .map_err(|error| AcceptError::Failed(error.problem))?;
    let was = remembered.get(&old.name).unwrap_or_default();
    let mut tries = 0;
    loop {
        tries += 1;
        let accepting = Accepting {
            old: &old,
            ledger: &ledger,
            remembered,
            was: &was,
        };
        match accepting.run(terms, now).await {
            Ok(accepted) => return Ok(accepted),
            Err(Stopped::Backend(error))
                if matches!(error.kind, ErrorKind::Contended | ErrorKind::Trimmed)
                    && tries < TRIES_MAX =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            Err(Stopped::Backend(error)) => return Err(failed(&error)),
            Err(Stopped::Accept(error)) => return Err(error),
        }
    }
}

/// Why one attempt stopped.
enum Stopped {
    Accept(AcceptError),
    Backend(BackendError),
}

impl From<AcceptError> for Stopped {
    fn from(error: AcceptError) -> Self {
        Self::Accept(error)
    }
}

impl From<BackendError> for Stopped {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

/// One attempt.
struct Accepting<'a> {
    old: &'a OldStore,
    ledger: &'a SqliteLedger,
    remembered: &'a Remembered,
    was: &'a RememberedStore,
}

impl Accepting<'_> {
    async fn run(&self, terms: Terms, now: WallMillis) -> Result<Accepted, Stopped> {
        let history = self.old.backend.history().await?;
        let id = history.id.to_string();
        if self.was.accepting.as_deref() == Some(&id) {
            // The last attempt was cut off after the store had its new history.
            return Ok(self.finish(history.id, history.revision).await?);
        }
        self.check(&history)?;
        let events = self.events(&history).await?;
        let lacking = self.fill(&history, events).await?;
        let after = self.ledger.head();
        let start = self.plan(&history, (after, lacking), terms, now).await?;
        let new = start.id;
        let accepting = Some(new.to_string());
        let noted = self
            .remembered
            .update(&self.old.name, |store| store.accepting = accepting);
        noted.map_err(|error| failed(&error))?;
        let started = self.old.new_history.start_history(start).await?;
        Ok(self.finish(new, started.revision).await?)
    }

    /// Refuses parts of different gateways.
    fn check(&self, history: &StoreHistory) -> Result<(), AcceptError> {
        let (id, folder) = (history.id.to_string(), self.old.folder.display());
        let ledger_of = self.ledger.store().map(|store| store.to_string());
        for (part, of) in [("ledger", &ledger_of), ("memory", &self.was.id)] {
            if let Some(of) = of
                && *of != id
            {
                return Err(AcceptError::Refused(format!(
                    "the {part} in {folder} is of the store {of}, and the store is {id}: move this \
                     data directory away, and start the gateway with an empty one"
                )));
            }
        }
        Ok(())
    }

    /// All events that the store still has.
    async fn events(&self, history: &StoreHistory) -> Result<Vec<Arc<Event>>, Stopped> {
        let mut events = Vec::new();
        let mut stream = self.old.backend.events(history.trimmed);
        let mut reached = history.trimmed;
        while reached < history.newest {
            let next = tokio::time::timeout(WITHIN, stream.next()).await;
            let next = next.map_err(|_| failed(&"the store's events cannot be read"))?;
            let event = next.ok_or_else(|| failed(&"the store's events end too early"))??;
            reached = event.cursor;
            events.push(event);
        }
        Ok(events)
    }

    /// Gives the ledger all that a start would give it: from the database's own copy, and from the
    /// store's events. Returns the store's events that it lacks all the same, because others
    /// between are lost.
    async fn fill(
        &self,
        history: &StoreHistory,
        events: Vec<Arc<Event>>,
    ) -> Result<Vec<Arc<Event>>, Stopped> {
        let (backend, ledger) = (&*self.old.backend, self.ledger);
        if let OtherLedgers::Archive(archive) = &self.old.others {
            let filled = leasehold_audit::fill(backend, ledger, &**archive, |_| {}).await;
            filled.map_err(|error| failed(&crate::input::with_causes(&error)))?;
        }
        let head = ledger.head();
        if let Some(kept) = history.ledger
            && let Some(own) = ledger.chain_at(kept.cursor).await?
            && own != kept.chain
        {
            return Err(other_events(kept.cursor).into());
        }
        let lacking = unrecorded((&events, history.newest), ledger, head).await?;
        let follows = |event: &Arc<Event>| event.cursor.0 == head.cursor.0 + 1;
        let lacking = match lacking.first().is_some_and(follows) {
            true => {
                ledger.append(lacking).await?;
                Vec::new()
            }
            false => lacking,
        };
        if let OtherLedgers::Archive(archive) = &self.old.others {
            extend(&**archive, ledger).await?;
        }
        Ok(lacking)
    }

    async fn plan(
        &self,
        history: &StoreHistory,
        (after, lacking): (LedgerHead, Vec<Arc<Event>>),
        terms: Terms,
        now: WallMillis,
    ) -> Result<HistoryStart, Stopped> {
        let common = history.newest.min(after.cursor).max(Cursor(1));
        let since = wall_at(self.ledger, common).await?;
        let age_s = since.map_or(0, |since| now.0.saturating_sub(since.0) / 1_000);
        let seen = history.revision.max(self.was.revision).max(self.old.seen);
        let above = terms.token_above / TOKENS_PER_WRITE + 1;
        let revision_min = seen.saturating_add(entries_ahead(age_s)).max(above);
        if revision_min > TOKEN_MAX / TOKENS_PER_WRITE - entries_ahead(0) {
            let problem = "too few fencing tokens below 2^53 would be left";
            return Err(AcceptError::Refused(problem.to_owned()).into());
        }
        let newest = (history.newest, Cursor(self.was.newest));
        let summary = summary(after, Some(history), newest);
        let change = storage_note::change("store-accept-older", self.old.name.as_str(), &summary);
        Ok(HistoryStart {
            id: StoreId::from_bytes(rand::random()),
            newest: history.newest,
            after,
            unrecorded: lacking,
            revision_min,
            change: change.map_err(|error| failed(&error))?,
            wall: now,
        })
    }

    /// Lets ledger and data directory record the new history.
    async fn finish(&self, id: StoreId, revision: u64) -> Result<Accepted, AcceptError> {
        let after = self.ledger.head();
        let event = Cursor(after.cursor.0 + 1);
        let recorded = self.ledger.set_store(id).await;
        recorded.map_err(|error| failed(&error))?;
        let updated = self.remembered.update(&self.old.name, |store| {
            store.id = Some(id.to_string());
            (store.newest, store.ledger) = (event.0, after.cursor.0);
            store.revision = revision;
            store.accepting = None;
        });
        updated.map_err(|error| failed(&error))?;
        Ok(Accepted {
            store: id.to_string(),
            token_floor: revision.saturating_mul(TOKENS_PER_WRITE),
            revision,
            event,
            after,
            kept: None,
        })
    }
}

fn other_events(at: Cursor) -> AcceptError {
    AcceptError::Refused(format!(
        "the ledger has other events than the store up to event {}: move it away first",
        at.0
    ))
}

/// Gives the database's copy of the ledger the rows that only this gateway's has.
async fn extend(archive: &dyn LedgerArchive, ledger: &SqliteLedger) -> Result<(), Stopped> {
    let mut end = archive.archived().await?;
    while end.cursor < ledger.head().cursor {
        if ledger.chain_at(end.cursor).await? != Some(end.chain) {
            return Err(other_events(end.cursor).into());
        }
        let query = LedgerQuery {
            after: Some(end.cursor),
            limit: PAGE_ROWS_MAX,
            ..LedgerQuery::default()
        };
        let rows = ledger.query(query).await?.rows;
        let before = end;
        end = archive.extend(before, rows).await?;
        if end == before {
            return Err(failed(&"the database does not take the rows of its ledger").into());
        }
    }
    match end == ledger.head() {
        true => Ok(()),
        false => Err(other_events(end.cursor).into()),
    }
}

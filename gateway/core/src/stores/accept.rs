//! A new history from a store and a ledger that are not of one age, because an operator accepts what
//! is lost: `leasehold store accept-older` on a stopped gateway's directory.
//!
//! The new history has an identity of its own. Its first event follows the last one of the ledger and
//! names both old positions; its fencing tokens are above all that the old history can have granted
//! (`leasehold_backend_raft::entries_ahead`). The old store is kept beside the new one.

pub mod shared;

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use leasehold_audit::SqliteLedger;
use leasehold_audit::canonical;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::LedgerQuery;
use leasehold_backend_api::Picture;
use leasehold_backend_api::StoreHistory;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::StoreId;
use leasehold_domain::StoreName;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::TOKENS_PER_WRITE;

use super::Remembered;
use super::open_ledger;
use crate::data_dir::raft_folder;
use crate::embedded::Restore;
use crate::embedded::StoppedStore;
use crate::embedded::entries_ahead;
use crate::embedded::lost_store;
use crate::embedded::read_stopped;
use crate::embedded::write_beside;
use crate::storage_note;

/// Why no new history was started. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// What was asked for makes no sense for this directory.
    #[error("{0}")]
    Refused(String),
    /// A part cannot be read or written.
    #[error("{0}")]
    Failed(String),
}

/// What was made.
#[derive(Debug)]
pub struct Accepted {
    /// The identity of the new history.
    pub store: String,
    /// Every fencing token of the new history is above this.
    pub token_floor: u64,
    /// The new history's count of writes at its start.
    pub revision: u64,
    /// Its first event.
    pub event: Cursor,
    /// Where the old ledger ends.
    pub after: LedgerHead,
    /// Where the old store is kept, if there was one.
    pub kept: Option<PathBuf>,
}

/// What is accepted.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// New tokens are above this one in any case.
    pub token_above: u64,
    /// Whether the store may be missing altogether: then all locks and all governance are lost.
    pub without_store: bool,
}

/// Starts a new history in the directory of a gateway that does not run.
///
/// # Errors
/// The gateway runs, the parts are not such that a new history could continue them, or they cannot
/// be read or written.
pub async fn accept_older(
    data_dir: &Path,
    terms: Terms,
    now: WallMillis,
) -> Result<Accepted, AcceptError> {
    let failed = |error: &dyn std::fmt::Display| AcceptError::Failed(error.to_string());
    let remembered = Remembered::open(data_dir).map_err(|error| failed(&error))?;
    let store = read(data_dir, terms).await?;
    let ledger = open_ledger(data_dir)
        .await
        .map_err(|error| AcceptError::Failed(error.problem))?;
    check(&store, &ledger)?;
    let restore = plan(&store, &ledger, &remembered, terms, now).await?;
    let after = restore.after;
    let beside = data_dir.join("raft.accepting");
    let (target, raft) = (beside.clone(), raft_folder(data_dir));
    let blobs = store.blobs.clone();
    let made = tokio::task::spawn_blocking(move || {
        if target.exists() {
            // An earlier try was cut off before it got its name.
            std::fs::remove_dir_all(&target).map_err(|error| error.to_string())?;
        }
        if let Some(blobs) = blobs {
            let linked = blobs.link_into(&target, &restore.picture.blobs);
            linked.map_err(|error| format!("{}: {error}", target.display()))?;
        }
        write_beside(restore, &target)
    });
    let restored = made.await.map_err(|error| failed(&error))?;
    let restored = restored.map_err(AcceptError::Failed)?;
    let kept = replace(&raft, &beside, now).map_err(|error| failed(&error))?;
    let id: StoreId = restored.group.parse().map_err(|error| failed(&error))?;
    ledger.set_store(id).await.map_err(|error| failed(&error))?;
    let updated = remembered.update(&StoreName::home(), |home| {
        home.id = Some(id.to_string());
        (home.newest, home.ledger) = (restored.event.0, after.cursor.0);
        home.revision = restored.token_floor / TOKENS_PER_WRITE;
    });
    updated.map_err(|error| failed(&error))?;
    Ok(Accepted {
        store: restored.group,
        token_floor: restored.token_floor,
        revision: restored.token_floor / TOKENS_PER_WRITE,
        event: restored.event,
        after,
        kept,
    })
}

async fn read(data_dir: &Path, terms: Terms) -> Result<StoppedStore, AcceptError> {
    let raft = raft_folder(data_dir);
    if !raft.join("log").is_dir() {
        return match terms.without_store {
            true => Ok(lost_store()),
            false => Err(AcceptError::Refused(format!(
                "{} is not there; --without-store begins with no locks and no governance at all",
                raft.display()
            ))),
        };
    }
    let folder = data_dir.to_owned();
    let read = tokio::task::spawn_blocking(move || read_stopped(&folder)).await;
    read.map_err(|error| AcceptError::Failed(error.to_string()))?
        .map_err(AcceptError::Failed)
}

fn check(store: &StoppedStore, ledger: &SqliteLedger) -> Result<(), AcceptError> {
    if store.voters > 1 {
        return Err(AcceptError::Refused(format!(
            "this is one of {} members of a cluster: the others have the newer store; start it with \
             an empty data directory and `join = true`, and take it in by `leasehold cluster replace`",
            store.voters
        )));
    }
    match (store.history.map(|history| history.id), ledger.store()) {
        (Some(store), Some(of)) if store != of => Err(AcceptError::Refused(format!(
            "the ledger is of the store {of}, and the store is {store}: move the ledger of the other \
             gateway away first"
        ))),
        _ => Ok(()),
    }
}

/// What the new history is made of.
async fn plan(
    store: &StoppedStore,
    ledger: &SqliteLedger,
    remembered: &Remembered,
    terms: Terms,
    now: WallMillis,
) -> Result<Restore, AcceptError> {
    let failed = |error: String| AcceptError::Failed(error);
    let (after, picture) = (ledger.head(), &store.picture);
    let was = remembered.get(&StoreName::home()).unwrap_or_default();
    let common = picture.newest.min(after.cursor);
    let since = wall_at(ledger, common.max(Cursor(1))).await?;
    let age_s = since.map_or(0, |since| now.0.saturating_sub(since.0) / 1_000);
    let old = store.history.as_ref();
    let summary = summary(after, old, (picture.newest, Cursor(was.newest)));
    let change = storage_note::change("store-accept-older", StoreName::HOME, &summary);
    Ok(Restore {
        picture: Picture {
            revision: picture.revision.max(was.revision),
            ..picture.clone()
        },
        after,
        unrecorded: unrecorded((&store.events, picture.newest), ledger, after).await?,
        ahead: entries_ahead(age_s),
        token_above: terms.token_above,
        change: change.map_err(|error| failed(error.to_string()))?,
        wall: now,
    })
}

/// What the first event of the new history says of the old one.
fn summary(
    after: LedgerHead,
    old: Option<&StoreHistory>,
    (newest, remembered): (Cursor, Cursor),
) -> String {
    let kept = old.and_then(|history| history.ledger);
    let kept = kept.filter(|kept| kept.cursor > after.cursor);
    let kept = kept.map_or_else(String::new, |kept| {
        let (cursor, chain) = (kept.cursor.0, kept.chain);
        format!("; when the store forgot its events the ledger was at event {cursor} (hash chain {chain})")
    });
    let id = old.map(|history| history.id.to_string());
    format!(
        "an operator accepted older parts and started a new history: it follows event {} (hash \
         chain {}) of the ledger of the store {}, whose newest event was {} in the store and {} in \
         what the data directory remembered{kept}",
        after.cursor.0,
        after.chain,
        id.as_deref().unwrap_or("that is lost"),
        newest.0,
        remembered.0,
    )
}

/// The store's events that its ledger does not have.
async fn unrecorded(
    (events, newest): (&[Arc<Event>], Cursor),
    ledger: &SqliteLedger,
    after: LedgerHead,
) -> Result<Vec<Arc<Event>>, AcceptError> {
    let first = events.first().map(|event| event.cursor);
    let Some(first) = first.filter(|first| *first <= after.cursor) else {
        return Ok(events.to_vec());
    };
    let before = ledger.chain_at(Cursor(first.0 - 1)).await;
    let mut chain = before.map_err(|error| AcceptError::Failed(error.to_string()))?;
    for event in events {
        if event.cursor > after.cursor {
            break;
        }
        chain = chain.map(|chain| ledger.chain_after(&chain, event));
    }
    let end = ledger.chain_at(after.cursor.min(newest)).await;
    let end = end.map_err(|error| AcceptError::Failed(error.to_string()))?;
    if chain != end {
        return Err(AcceptError::Refused(format!(
            "the ledger has other events than the store up to event {}: move it away first",
            after.cursor.0
        )));
    }
    let lacking = events.iter().filter(|e| e.cursor > after.cursor);
    Ok(lacking.cloned().collect())
}

/// When an event of the ledger was; `None` if it is not there.
async fn wall_at(ledger: &SqliteLedger, cursor: Cursor) -> Result<Option<WallMillis>, AcceptError> {
    let one = LedgerQuery {
        after: Some(Cursor(cursor.0.saturating_sub(1))),
        limit: 1,
        ..LedgerQuery::default()
    };
    let failed = |error: &dyn std::fmt::Display| AcceptError::Failed(error.to_string());
    let page = ledger.query(one).await.map_err(|error| failed(&error))?;
    let row = page.rows.first();
    let recorded = row.map(|row| canonical::parse(&row.body)).transpose();
    Ok(recorded
        .map_err(|error| failed(&error))?
        .map(|at| at.event.wall))
}

/// Puts the new store in the place of the old one, which is kept under another name.
fn replace(raft: &Path, beside: &Path, now: WallMillis) -> std::io::Result<Option<PathBuf>> {
    let kept = raft.with_file_name(format!("raft.before-{}", now.0));
    let had = raft.exists();
    if had {
        std::fs::rename(raft, &kept)?;
    }
    std::fs::rename(beside, raft)?;
    if let Some(data_dir) = raft.parent() {
        File::open(data_dir)?.sync_all()?;
    }
    Ok(had.then_some(kept))
}

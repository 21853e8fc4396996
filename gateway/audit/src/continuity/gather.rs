//! Reads what the comparison needs, from the store, the ledger, and whoever has the rows besides.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use futures_util::stream::BoxStream;
use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::LedgerPeers;
use leasehold_backend_api::StoreHistory;
use leasehold_domain::Cursor;
use leasehold_domain::Event;

use super::Checkpoint;
use super::Evidence;
use super::Memory;
use super::Witness;

/// Events of the store that are compared with the ledger: the newest that both have.
const EVENTS_MAX: u64 = 8_192;
/// For reading them.
const WITHIN: Duration = Duration::from_secs(30);
/// Attempts, if the store forgets events while they are read.
const TRIES_MAX: usize = 4;

/// Reads what [`super::compare`] needs. `others` have the rows besides, if anybody has.
///
/// # Errors
/// The store or the ledger cannot be read now, or is damaged.
pub async fn gather(
    backend: &dyn Backend,
    ledger: &dyn Ledger,
    others: Option<&dyn LedgerPeers>,
    memory: Option<Memory>,
) -> Result<Evidence, BackendError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let evidence = gather_once(backend, ledger, others, memory).await;
        match evidence {
            Err(error) if error.kind == ErrorKind::Trimmed && tries < TRIES_MAX => {}
            evidence => return evidence,
        }
    }
}

async fn gather_once(
    backend: &dyn Backend,
    ledger: &dyn Ledger,
    others: Option<&dyn LedgerPeers>,
    memory: Option<Memory>,
) -> Result<Evidence, BackendError> {
    // Before the store is asked: what the ledger has is durable in the store by then.
    let head = ledger.head();
    let store = backend.history().await?;
    let events = |after| backend.events(after);
    compare_with(store, &events, (ledger, head), others, memory).await
}

/// Reads what [`super::compare`] needs of a store that does not run: where it stands, and the events
/// that it has.
///
/// # Errors
/// The ledger cannot be read, or is damaged.
pub async fn gather_stopped(
    store: StoreHistory,
    events: &[Arc<Event>],
    ledger: &dyn Ledger,
    memory: Option<Memory>,
) -> Result<Evidence, BackendError> {
    let after = |after: Cursor| {
        let events = events.iter().filter(move |event| event.cursor > after);
        let events: Vec<_> = events.cloned().map(Ok).collect();
        stream::iter(events).boxed()
    };
    let head = ledger.head();
    compare_with(store, &after, (ledger, head), None, memory).await
}

/// Returns the events after a position.
type Events<'a> = &'a (dyn Fn(Cursor) -> EventStream + Sync + 'a);
type EventStream = BoxStream<'static, Result<Arc<Event>, BackendError>>;

async fn compare_with(
    store: StoreHistory,
    events: Events<'_>,
    (ledger, head): (&dyn Ledger, LedgerHead),
    others: Option<&dyn LedgerPeers>,
    memory: Option<Memory>,
) -> Result<Evidence, BackendError> {
    let mut evidence = Evidence {
        store,
        ledger_of: ledger.store(),
        ledger: head,
        checkpoints: Vec::new(),
        memory,
        others_have_rows: others.is_some_and(|others| !others.is_alone()),
    };
    // Positions alone tell that they do not fit; the rest could not be compared.
    if super::compare(&evidence).is_err() {
        return Ok(evidence);
    }
    if let Some(kept) = store.ledger
        && let Some(own) = ledger.chain_at(kept.cursor).await?
    {
        let checkpoint = checkpoint(kept.cursor, (own, kept), Witness::Trim);
        evidence.checkpoints.push(checkpoint);
    }
    let events = tokio::time::timeout(WITHIN, by_events(events, ledger, head, &store)).await;
    let late = |_| BackendError::without_effect(ErrorKind::Deadline, "reading the store's events");
    evidence.checkpoints.extend(events.map_err(late)??);
    if let Some(others) = others {
        let other = by_others(ledger, head, others, store.trimmed).await?;
        evidence.checkpoints.extend(other);
    }
    Ok(evidence)
}

fn checkpoint(
    cursor: Cursor,
    (ledger, witnessed): (leasehold_domain::Digest, LedgerHead),
    witness: Witness,
) -> Checkpoint {
    Checkpoint {
        cursor,
        ledger,
        witnessed: witnessed.chain,
        witness,
    }
}

/// Computes the chain over the events that the store has, on from the ledger's own: up to the
/// ledger's end, and where the store kept a chain that the ledger does not reach.
async fn by_events(
    events_after: Events<'_>,
    ledger: &dyn Ledger,
    head: LedgerHead,
    store: &StoreHistory,
) -> Result<Vec<Checkpoint>, BackendError> {
    let mut found = Vec::new();
    if head.cursor < store.trimmed {
        return Ok(found);
    }
    let from = store
        .trimmed
        .0
        .max(head.cursor.0.saturating_sub(EVENTS_MAX));
    let kept = store
        .ledger
        .filter(|kept| kept.cursor > head.cursor && kept.cursor.0 - head.cursor.0 <= EVENTS_MAX);
    let to = kept.map_or(head.cursor, |kept| kept.cursor);
    let Some(mut chain) = ledger.chain_at(Cursor(from)).await? else {
        return Ok(found);
    };
    let mut events = events_after(Cursor(from));
    for cursor in from + 1..=to.0 {
        let event = events.next().await.ok_or_else(|| {
            BackendError::without_effect(ErrorKind::Unavailable, "the stream of events ended")
        })??;
        if event.cursor.0 != cursor {
            let detail = format!("event {} stands in place of {cursor}", event.cursor.0);
            return Err(BackendError::without_effect(ErrorKind::Corrupt, detail));
        }
        chain = ledger.chain_after(&chain, &event);
        let reached = LedgerHead {
            cursor: event.cursor,
            chain,
        };
        if event.cursor == head.cursor {
            found.push(checkpoint(
                head.cursor,
                (head.chain, reached),
                Witness::Events,
            ));
        }
        if let Some(kept) = kept.filter(|kept| kept.cursor == event.cursor) {
            found.push(checkpoint(kept.cursor, (chain, kept), Witness::Trim));
        }
    }
    Ok(found)
}

/// Compares with the other copy at the ledger's end; where that copy ends before it, there.
async fn by_others(
    ledger: &dyn Ledger,
    head: LedgerHead,
    others: &dyn LedgerPeers,
    trimmed: Cursor,
) -> Result<Option<Checkpoint>, BackendError> {
    let Some(before) = head.cursor.0.checked_sub(1) else {
        return Ok(None);
    };
    if let Some(end) = others.end().await? {
        if end.cursor.0 == 0 {
            return Ok(None);
        }
        if end.cursor <= head.cursor {
            let own = ledger.chain_at(end.cursor).await?;
            return Ok(own.map(|own| checkpoint(end.cursor, (own, end), Witness::OtherLedger)));
        }
    } else if others.is_alone() || head.cursor >= trimmed {
        // The store's own events have told.
        return Ok(None);
    }
    let rows = match others.rows(Cursor(before)).await {
        Ok(rows) => rows,
        // Nobody has them now: what is appended later is checked then.
        Err(error) if error.is_retryable() => return Ok(None),
        Err(error) => return Err(error),
    };
    let row = rows.first().filter(|row| row.cursor == head.cursor);
    Ok(row.map(|row| Checkpoint {
        cursor: head.cursor,
        ledger: head.chain,
        witnessed: row.chain,
        witness: Witness::OtherLedger,
    }))
}

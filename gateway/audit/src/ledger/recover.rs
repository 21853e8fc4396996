//! What is done at start: read what the closed segments left, and replay the open one.

use leasehold_backend_api::LedgerHead;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::Event;
use rusqlite::Connection;
use rusqlite::OptionalExtension;

use super::LedgerOptions;
use super::namespaces::NamespaceBytes;
use super::state::Closed;
use super::state::Fill;
use super::state::Full;
use super::state::State;
use super::store;
use super::tree;
use crate::OpenError;
use crate::canonical;
use crate::chunk;
use crate::chunk::Chunk;
use crate::chunk::Written;
use crate::segment::Hot;
use crate::segment::OpenHold;
use crate::segment::OpenHolds;

pub(super) struct Recovered {
    pub(super) state: State,
    /// Segments that were full, but not closed when the process ended.
    pub(super) full: Vec<Full>,
}

pub(super) fn recover(
    connection: &Connection,
    options: &LedgerOptions,
) -> Result<Recovered, OpenError> {
    let limit = |name| {
        let sql = "SELECT value FROM meta WHERE name = ?1";
        connection.query_row(sql, [name], |row| row.get::<_, u32>(0).map(u64::from))
    };
    let fill = Fill::new(limit("segment_events")?, limit("segment_bytes")?);
    let start = store::read_start(connection)?;
    let closed = closed(connection, start.cursor.0)?;
    let cursor = closed.last().map_or(start.cursor.0, |last| last.last);
    let chain = closed.last().map_or(start.chain, |last| last.chain);
    if !closed.is_empty() {
        check_chain(connection, cursor, &chain)?;
    }
    let mut state = State {
        fill,
        head: LedgerHead {
            cursor: Cursor(cursor),
            chain,
        },
        start,
        closed,
        closing: Vec::new(),
        hot: Hot::new(cursor + 1),
        open: open_holds(connection)?,
        bytes: NamespaceBytes::read(connection)?,
        tree: tree::recover(connection, start.cursor.0, cursor)?,
    };
    let full = replay(connection, options, &mut state)?;
    Ok(Recovered { state, full })
}

fn closed(connection: &Connection, start: u64) -> Result<Vec<Closed>, OpenError> {
    let mut statement = connection.prepare(
        "SELECT segment, last, chain, wall_min, wall_max, hold_min, hold_max FROM segments
         ORDER BY segment",
    )?;
    let mut rows = statement.query([])?;
    let mut closed: Vec<Closed> = Vec::new();
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(0)? != closed.len() as i64 {
            return Err(tampered(0, format!("segment {} is missing", closed.len())));
        }
        let unsigned = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        let (first, last) = (
            closed.last().map_or(start + 1, |before| before.last + 1),
            unsigned(1)?,
        );
        if last < first {
            return Err(tampered(last, format!("segment {} is empty", closed.len())));
        }
        closed.push(Closed {
            first,
            last,
            chain: Digest(row.get(2)?),
            walls: (unsigned(3)?, unsigned(4)?),
            hold_min: unsigned(5)?,
            hold_max: unsigned(6)?,
        });
    }
    Ok(closed)
}

/// Checks that the stored chain passes through this head.
pub(super) fn check_chain(
    connection: &Connection,
    cursor: u64,
    chain: &Digest,
) -> Result<(), OpenError> {
    let stored = connection
        .query_row(
            "SELECT first, chains FROM chunks WHERE first <= ?1 ORDER BY first DESC LIMIT 1",
            [cursor.cast_signed()],
            |row| {
                let first = row.get::<_, i64>(0)?.cast_unsigned();
                Ok(chunk::chain_at(first, row.get_ref(1)?.as_blob()?, cursor))
            },
        )
        .optional()?;
    match stored.flatten() {
        Some(stored) if stored == *chain => Ok(()),
        Some(_) => Err(tampered(
            cursor,
            "the chain differs from its segment's".to_owned(),
        )),
        None => Err(tampered(cursor, "it is missing".to_owned())),
    }
}

fn open_holds(connection: &Connection) -> Result<OpenHolds, OpenError> {
    let mut statement =
        connection.prepare("SELECT granted_by, handle, lock, wall FROM open_holds")?;
    let mut rows = statement.query([])?;
    let mut open = OpenHolds::default();
    while let Some(row) = rows.next()? {
        open.restore(OpenHold {
            granted_by: row.get::<_, i64>(0)?.cast_unsigned(),
            handle: row.get(1)?,
            lock: row.get::<_, i64>(2)?.cast_unsigned(),
            from: row.get::<_, i64>(3)?.cast_unsigned(),
        });
    }
    Ok(open)
}

fn replay(
    connection: &Connection,
    options: &LedgerOptions,
    state: &mut State,
) -> Result<Vec<Full>, OpenError> {
    let mut statement = connection
        .prepare("SELECT first, chains, bodies FROM chunks WHERE first > ?1 ORDER BY first")?;
    let mut rows = statement.query([state.head.cursor.0.cast_signed()])?;
    let mut full = Vec::new();
    while let Some(row) = rows.next()? {
        let expected = state.head.cursor.0 + 1;
        let wrong = |problem: &str| tampered(expected, problem.to_owned());
        let first = row.get::<_, i64>(0)?.cast_unsigned();
        if first != expected {
            return Err(wrong("it is missing"));
        }
        let (chains, bodies) = (row.get_ref(1)?, row.get_ref(2)?);
        let chunk = chains
            .as_blob()
            .ok()
            .zip(bodies.as_blob().ok())
            .and_then(|(chains, bodies)| Chunk::read(first, chains, bodies))
            .ok_or_else(|| wrong("its chunk is damaged"))?;
        for (cursor, body, stored) in chunk.events() {
            let written = Written::of(body.as_bytes(), &state.head.chain);
            if written.chain != stored {
                return Err(tampered(cursor, "its bytes have another hash".to_owned()));
            }
            let event = event(options, cursor, body)?;
            full.extend(state.apply(&event, &written));
        }
    }
    Ok(full)
}

fn event(options: &LedgerOptions, cursor: u64, body: &str) -> Result<Event, OpenError> {
    let recorded = canonical::parse(body).map_err(|error| tampered(cursor, error.to_string()))?;
    if recorded.event.cursor.0 != cursor || *recorded.backend != *options.backend {
        return Err(tampered(cursor, "it is another event".to_owned()));
    }
    Ok(recorded.event)
}

fn tampered(cursor: u64, problem: String) -> OpenError {
    OpenError::Tampered { cursor, problem }
}

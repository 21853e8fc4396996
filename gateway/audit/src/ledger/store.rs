//! The file: its schema, and connections to it.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::OptionalExtension;

use super::LedgerOptions;
use crate::OpenError;

/// Version of the schema.
const SCHEMA: i64 = 2;

/// "LSLD", so that other databases are not taken for a ledger.
const APPLICATION: i64 = 0x4c53_4c44;

pub(super) const PAGE_BYTES: u32 = 16_384;

/// Blocks of one segment have ids `segment << BLOCK_BITS` (its directory) and following.
pub(super) const BLOCK_BITS: u32 = 24;

/// A connection with a page cache of so many KiB that never checkpoints by itself.
pub(super) fn connect(path: &Path, cache_kib: u32) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(connection)
}

/// The writing connection; makes or checks the schema.
pub(super) fn open(path: &Path, options: &LedgerOptions) -> Result<Connection, OpenError> {
    if !(1..=65_536).contains(&options.segment_events) {
        return Err(OpenError::Options("segment_events must be 1 to 65,536"));
    }
    if options.segment_bytes == 0 {
        return Err(OpenError::Options("segment_bytes must be at least 1"));
    }
    let connection = connect(path, 2_048)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        create(&connection, options)?;
    }
    check(&connection, options)?;
    // The WAL's file is cut back to this size when it is begun anew.
    connection.pragma_update(None, "journal_size_limit", 64 * 1_024 * 1_024)?;
    Ok(connection)
}

fn create(connection: &Connection, options: &LedgerOptions) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
         CREATE TABLE chunks (first INTEGER PRIMARY KEY, chains BLOB NOT NULL, bodies BLOB NOT NULL);
         CREATE TABLE segments (segment INTEGER PRIMARY KEY, last INTEGER NOT NULL,
             chain BLOB NOT NULL,
             wall_min INTEGER NOT NULL, wall_max INTEGER NOT NULL,
             hold_min INTEGER NOT NULL, hold_max INTEGER NOT NULL);
         CREATE TABLE blocks (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
         CREATE TABLE open_holds (granted_by INTEGER NOT NULL, handle BLOB NOT NULL,
             lock INTEGER NOT NULL, wall INTEGER NOT NULL,
             PRIMARY KEY (granted_by, handle, lock)) WITHOUT ROWID;",
    )?;
    transaction.execute(
        "INSERT INTO meta VALUES ('backend', ?1), ('segment_events', ?2), ('segment_bytes', ?3)",
        (
            &options.backend,
            options.segment_events,
            options.segment_bytes,
        ),
    )?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.commit()
}

fn check(connection: &Connection, options: &LedgerOptions) -> Result<(), OpenError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if pragma("application_id")? != APPLICATION {
        return Err(OpenError::NotALedger);
    }
    let found = pragma("user_version")?;
    if found != SCHEMA {
        return Err(OpenError::OtherSchema {
            found,
            known: SCHEMA,
        });
    }
    let backend: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE name = 'backend'", [], |row| {
            row.get(0)
        })
        .optional()?;
    match backend {
        None => Err(OpenError::NotALedger),
        Some(found) if found != options.backend => Err(OpenError::OtherBackend {
            found,
            asked: options.backend.clone(),
        }),
        Some(_) => Ok(()),
    }
}

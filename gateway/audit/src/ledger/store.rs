//! The file: connections to it, and what its table `meta` says.

use std::path::Path;

use leasehold_backend_api::LedgerHead;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::StoreId;
use rusqlite::Connection;
use rusqlite::OptionalExtension;

use super::LedgerOptions;
use super::schema;
use crate::OpenError;
use crate::chain;

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

/// Opens the writing connection. Makes the schema, or brings it up to date.
pub(super) fn open(path: &Path, options: &LedgerOptions) -> Result<Connection, OpenError> {
    if !(1..=65_536).contains(&options.segment_events) {
        return Err(OpenError::Options("segment_events must be 1 to 65,536"));
    }
    if options.segment_bytes == 0 {
        return Err(OpenError::Options("segment_bytes must be at least 1"));
    }
    let mut connection = connect(path, 2_048)?;
    if schema::is_new(&connection)? {
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
    }
    schema::migrate(&mut connection, options)?;
    check(&connection, options)?;
    // The WAL's file is cut back to this size when it is begun anew.
    connection.pragma_update(None, "journal_size_limit", 64 * 1_024 * 1_024)?;
    Ok(connection)
}

/// The row of `meta` that names the store whose events the ledger holds, as 32 hexadecimal digits.
const STORE: &str = "store";

/// Reads whose events the ledger holds, if that is recorded.
pub(super) fn read_store(connection: &Connection) -> Result<Option<StoreId>, OpenError> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    let recorded: Option<String> = connection
        .query_row(sql, [STORE], |row| row.get(0))
        .optional()?;
    let id = recorded.map(|text| text.parse::<StoreId>());
    id.transpose().map_err(|_| OpenError::NotALedger)
}

/// Records, durably, whose events the ledger holds. Blocks.
pub(super) fn write_store(path: &Path, id: StoreId) -> Result<(), rusqlite::Error> {
    let connection = connect(path, 256)?;
    let sql = "INSERT OR REPLACE INTO meta VALUES (?1, ?2)";
    connection.execute(sql, (STORE, id.to_string())).map(drop)
}

/// The rows of `meta` that say what the first event follows; absent in a ledger from the beginning.
const START: [&str; 2] = ["start_cursor", "start_chain"];

/// Reads where the ledger begins.
pub(super) fn read_start(connection: &Connection) -> Result<LedgerHead, OpenError> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    let cursor: Option<i64> = connection
        .query_row(sql, [START[0]], |row| row.get(0))
        .optional()?;
    let chain: Option<[u8; 32]> = connection
        .query_row(sql, [START[1]], |row| row.get(0))
        .optional()?;
    Ok(LedgerHead {
        cursor: Cursor(cursor.unwrap_or_default().cast_unsigned()),
        chain: chain.map_or(chain::START, Digest),
    })
}

/// Records, durably, where the ledger begins. Blocks.
pub(super) fn write_start(path: &Path, start: LedgerHead) -> Result<(), rusqlite::Error> {
    let connection = connect(path, 256)?;
    let sql = "INSERT OR REPLACE INTO meta VALUES (?1, ?2), (?3, ?4)";
    let (cursor, chain) = (start.cursor.0.cast_signed(), start.chain.0);
    connection
        .execute(sql, (START[0], cursor, START[1], chain))
        .map(drop)
}

/// Checks whose events the ledger holds.
fn check(connection: &Connection, options: &LedgerOptions) -> Result<(), OpenError> {
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

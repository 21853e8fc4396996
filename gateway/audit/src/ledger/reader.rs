//! Reading connections, and what is read by them.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::LedgerRow;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::Statement;

use super::store;
use super::store::BLOCK_BITS;
use crate::canonical;
use crate::canonical::Recorded;
use crate::error::corrupt;
use crate::error::without_effect;
use crate::segment;

/// Connections kept for the next reader.
const IDLE_MAX: usize = 2;

/// The page cache of each.
const CACHE_KIB: u32 = 1_024;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Runs `work` on a connection of its own.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect().map_err(|error| without_effect(&error))?,
        };
        let done = work(&connection);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        done
    }

    fn connect(&self) -> Result<Connection, rusqlite::Error> {
        let connection = store::connect(&self.path, CACHE_KIB)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }
}

/// The lookups that a question is made of.
#[derive(Debug)]
pub(super) struct Lookup<'c> {
    block: Statement<'c>,
    row: Statement<'c>,
    /// The directory that was read last: the next lookup is mostly in the same segment.
    directory: (u64, Vec<u8>),
}

impl<'c> Lookup<'c> {
    pub(super) fn new(connection: &'c Connection) -> Result<Self, BackendError> {
        let prepare = |sql| {
            connection
                .prepare(sql)
                .map_err(|error: rusqlite::Error| without_effect(&error))
        };
        Ok(Self {
            block: prepare("SELECT data FROM blocks WHERE id = ?1")?,
            row: prepare("SELECT body, chain FROM events WHERE seq = ?1")?,
            directory: (u64::MAX, Vec::new()),
        })
    }

    /// The value of a key in a closed segment's index.
    pub(super) fn value(
        &mut self,
        segment: u64,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, BackendError> {
        if self.directory.0 != segment {
            self.directory = (segment, self.read_block(segment << BLOCK_BITS)?);
        }
        let Some(number) = segment::pick(&self.directory.1, key) else {
            return Ok(None);
        };
        let block = self.read_block((segment << BLOCK_BITS) + 1 + number as u64)?;
        Ok(segment::find(&block, key).map(<[u8]>::to_vec))
    }

    pub(super) fn row(&mut self, cursor: u64) -> Result<LedgerRow, BackendError> {
        let read = self.row.query_row([cursor.cast_signed()], |row| {
            let body: Arc<str> = row.get(0)?;
            Ok(LedgerRow {
                cursor: Cursor(cursor),
                body,
                chain: Digest(row.get(1)?),
            })
        });
        read.optional()
            .map_err(|error| without_effect(&error))?
            .ok_or_else(|| corrupt(format!("event {cursor} is missing")))
    }

    pub(super) fn event(&mut self, cursor: u64) -> Result<Recorded, BackendError> {
        let row = self.row(cursor)?;
        canonical::parse(&row.body).map_err(|error| corrupt(format!("event {cursor}: {error}")))
    }

    fn read_block(&mut self, id: u64) -> Result<Vec<u8>, BackendError> {
        self.block
            .query_row([id.cast_signed()], |row| row.get(0))
            .optional()
            .map_err(|error| without_effect(&error))?
            .ok_or_else(|| corrupt(format!("index block {id} is missing")))
    }
}

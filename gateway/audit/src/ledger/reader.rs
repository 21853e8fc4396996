//! Reading connections, and what is read by them.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::LedgerRow;
use leasehold_domain::Cursor;
use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::Statement;

use super::store;
use super::store::BLOCK_BITS;
use crate::canonical;
use crate::canonical::Recorded;
use crate::chunk::Chunk;
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

/// The chunk that holds a cursor, if any does.
const CHUNK: &str = "SELECT first, chains, bodies FROM chunks WHERE first <= ?1
    ORDER BY first DESC LIMIT 1";

/// The lookups that a question is made of.
#[derive(Debug)]
pub(super) struct Lookup<'c> {
    block: Statement<'c>,
    chunk: Statement<'c>,
    /// The chunk that was read last: neighbours are mostly in the same.
    newest: Option<Chunk>,
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
            chunk: prepare(CHUNK)?,
            newest: None,
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
        let known = self.newest.as_ref().and_then(|chunk| chunk.get(cursor));
        let (body, chain) = match known {
            Some(found) => found,
            None => {
                let chunk = self.read_chunk(cursor)?;
                let found = chunk.get(cursor).ok_or_else(|| missing(cursor))?;
                self.newest = Some(chunk);
                found
            }
        };
        Ok(LedgerRow {
            cursor: Cursor(cursor),
            body,
            chain,
        })
    }

    pub(super) fn event(&mut self, cursor: u64) -> Result<Recorded, BackendError> {
        let row = self.row(cursor)?;
        canonical::parse(&row.body).map_err(|error| corrupt(format!("event {cursor}: {error}")))
    }

    fn read_chunk(&mut self, cursor: u64) -> Result<Chunk, BackendError> {
        let read = self.chunk.query_row([cursor.cast_signed()], |row| {
            let first = row.get::<_, i64>(0)?.cast_unsigned();
            let (chains, bodies) = (row.get_ref(1)?.as_blob()?, row.get_ref(2)?.as_blob()?);
            Ok(Chunk::read(first, chains, bodies))
        });
        read.optional()
            .map_err(|error| without_effect(&error))?
            .ok_or_else(|| missing(cursor))?
            .ok_or_else(|| corrupt(format!("the chunk of event {cursor} is damaged")))
    }

    fn read_block(&mut self, id: u64) -> Result<Vec<u8>, BackendError> {
        self.block(id.cast_signed())
    }

    pub(super) fn block(&mut self, id: i64) -> Result<Vec<u8>, BackendError> {
        self.block
            .query_row([id], |row| row.get(0))
            .optional()
            .map_err(|error| without_effect(&error))?
            .ok_or_else(|| corrupt(format!("index block {id} is missing")))
    }
}

fn missing(cursor: u64) -> BackendError {
    corrupt(format!("event {cursor} is missing"))
}

//! Opening the file anew after a commit failed so that nobody knows what it holds.
//!
//! After a failed `fsync` a second one would prove nothing: the system may have dropped the pages and
//! call them clean. So everything in the WAL is written into the database file anew and synced there
//! before any of it counts as stored, and the result must continue what was told to be durable.

use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::FeatureLevel;
use rusqlite::Connection;

use super::LedgerOptions;
use super::job::Append;
use super::job::Job;
use super::maintenance::Upkeep;
use super::recover;
use super::schema;
use super::state::Shared;
use super::store;
use crate::OpenError;

/// Which file, and how it is kept.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    options: LedgerOptions,
}

impl Source {
    pub(super) fn new(path: &Path, options: &LedgerOptions) -> Self {
        Self {
            path: path.to_owned(),
            options: options.clone(),
        }
    }

    /// Migrates the file to what a feature level allows, now and whenever it is opened anew.
    pub(super) fn raise(
        &mut self,
        connection: &mut Connection,
        level: FeatureLevel,
    ) -> Result<(), BackendError> {
        self.options.level = self.options.level.max(level);
        schema::migrate(connection, &self.options).map_err(|error| refusal(&error))
    }

    /// Waits for the next append and opens the file for it. Appends that come while the file cannot
    /// be opened fail. Returns nothing once the ledger is closed.
    pub(super) fn reopen_for_next(
        &self,
        shared: &Shared,
        queue: &mpsc::Receiver<Job>,
        upkeep: &Upkeep,
    ) -> Option<(Connection, Option<Append>)> {
        for job in queue {
            match job {
                Job::Append(events, answer) => match self.reopen(shared, upkeep) {
                    Ok(connection) => {
                        tracing::info!("ledger opened anew");
                        return Some((connection, Some((events, answer))));
                    }
                    Err(error) => {
                        answer.send(Err(refusal(&error))).ok();
                    }
                },
                // Its segment is found full when the file is opened.
                Job::Closed(_) => {}
                Job::Raise(_, answer) => {
                    let kind = ErrorKind::Unavailable;
                    let detail = "the file must be opened anew first";
                    answer
                        .send(Err(BackendError::without_effect(kind, detail)))
                        .ok();
                }
                #[cfg(test)]
                Job::Break(_) => {}
                Job::Stop => break,
            }
        }
        None
    }

    fn reopen(&self, shared: &Shared, upkeep: &Upkeep) -> Result<Connection, OpenError> {
        // A file that is gone must not be replaced by an empty one.
        std::fs::metadata(&self.path).map_err(OpenError::File)?;
        let connection = store::open(&self.path, &self.options)?;
        let busy: i64 =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy != 0 {
            let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
            return Err(rusqlite::Error::SqliteFailure(busy, None).into());
        }
        let recovered = recover::recover(&connection, &self.options)?;
        let told = shared.state().head;
        let found = recovered.state.head;
        if found.cursor < told.cursor {
            let problem = format!("it is missing, and was stored up to {}", told.cursor.0);
            return Err(OpenError::Tampered {
                cursor: found.cursor.0 + 1,
                problem,
            });
        }
        if told.cursor > recovered.state.start.cursor {
            recover::check_chain(&connection, told.cursor.0, &told.chain)?;
        }
        *shared.state() = recovered.state;
        for full in recovered.full {
            upkeep.close(full);
        }
        Ok(connection)
    }
}

fn refusal(error: &OpenError) -> BackendError {
    let kind = match error {
        // An operator may help: free the disk, or mount it again.
        OpenError::Sqlite(_) | OpenError::File(_) | OpenError::Thread(_) => ErrorKind::Unavailable,
        OpenError::NewerSchema { .. }
        | OpenError::BeforeRelease(_)
        | OpenError::Migration(_)
        | OpenError::NotALedger
        | OpenError::OtherBackend { .. }
        | OpenError::Tampered { .. }
        | OpenError::Options(_) => ErrorKind::Corrupt,
    };
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let detail = format!(
        "opening or migrating the ledger: {error} {}",
        cause.unwrap_or_default()
    );
    BackendError::without_effect(kind, detail)
}

//! The one thread that writes.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::LedgerHead;
use leasehold_domain::Event;
use leasehold_domain::FeatureLevel;
use rusqlite::Connection;
use rusqlite::Statement;

use super::job::Append;
use super::job::Job;
use super::job::Raised;
use super::maintenance;
use super::maintenance::Upkeep;
use super::namespaces;
use super::reopen::Source;
use super::state::Encoded;
use super::state::Fill;
use super::state::Shared;
use super::store::BLOCK_BITS;
use super::store::PAGE_BYTES;
use super::tree;
use crate::chunk::Filling;
use crate::chunk::Written;
use crate::error::unknown;
use crate::error::without_effect;

/// After about so many bytes of WAL a checkpoint is asked for.
const CHECKPOINT_BYTES: usize = 4 * 1_024 * 1_024;

pub(super) fn start(
    connection: Connection,
    mut source: Source,
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Job>,
    upkeep: Upkeep,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("ledger-writer".to_owned())
        .spawn(move || {
            let mut opened = Some((connection, None));
            while let Some((mut connection, first)) = opened.take() {
                match serve(&connection, first, &shared, &queue, &upkeep) {
                    Ok(Ended::Stopped) => return,
                    Ok(Ended::Raised(level, answer)) => {
                        // Whoever gave up waiting asks again.
                        answer.send(source.raise(&mut connection, level)).ok();
                        opened = Some((connection, None));
                        continue;
                    }
                    Ok(Ended::Poisoned) => {}
                    Err(error) => tracing::error!(%error, "ledger writer failed"),
                }
                // It may still hold the file's lock.
                drop(connection);
                opened = source.reopen_for_next(&shared, &queue, &upkeep);
            }
        })
}

/// Why the writer stops writing.
#[derive(Debug)]
enum Ended {
    /// The ledger was closed.
    Stopped,
    /// A commit failed so that nobody knows what the file holds; only opening it anew tells.
    Poisoned,
    /// The file is to be migrated to what this level allows.
    Raised(FeatureLevel, Raised),
}

/// Carries out jobs until the ledger is closed, or the file must be opened anew.
fn serve(
    connection: &Connection,
    first: Option<Append>,
    shared: &Shared,
    queue: &mpsc::Receiver<Job>,
    upkeep: &Upkeep,
) -> Result<Ended, rusqlite::Error> {
    let mut writer = Writer {
        connection,
        insert: connection
            .prepare("INSERT INTO chunks (first, chains, bodies) VALUES (?1, ?2, ?3)")?,
        begin: connection.prepare("BEGIN IMMEDIATE")?,
        commit: connection.prepare("COMMIT")?,
        shared,
        upkeep,
        chunk: Filling::new(),
        since_checkpoint: 0,
        poisoned: false,
    };
    let first = first.map(|(events, answer)| Job::Append(events, answer));
    for job in first.into_iter().chain(queue.iter()) {
        match job {
            Job::Append(events, answer) => {
                // Whoever gave up waiting finds the events by the head.
                answer.send(writer.append(&events)).ok();
            }
            Job::Closed(encoded) => writer.close(*encoded),
            Job::Raise(level, answer) => return Ok(Ended::Raised(level, answer)),
            #[cfg(test)]
            Job::Break(events) => writer.break_off(&events),
            Job::Stop => break,
        }
        if writer.poisoned {
            return Ok(Ended::Poisoned);
        }
    }
    // Full segments are closed before the end, so that the next start has less to read.
    upkeep.finish();
    for job in queue.try_iter() {
        if let Job::Closed(encoded) = job {
            writer.close(*encoded);
        }
    }
    Ok(Ended::Stopped)
}

struct Writer<'c> {
    connection: &'c Connection,
    insert: Statement<'c>,
    begin: Statement<'c>,
    commit: Statement<'c>,
    shared: &'c Shared,
    upkeep: &'c Upkeep,
    chunk: Filling,
    since_checkpoint: usize,
    /// See [`Ended::Poisoned`].
    poisoned: bool,
}

impl Writer<'_> {
    fn append(&mut self, events: &[Arc<Event>]) -> Result<LedgerHead, BackendError> {
        let (head, fill) = {
            let state = self.shared.state();
            (state.head, state.fill)
        };
        let fresh = fresh(head, events)?;
        if fresh.is_empty() {
            return Ok(head);
        }
        if self.upkeep.wal_is_large() {
            maintenance::checkpoint(self.connection);
        }
        let written = match self.insert(head, fill, &fresh) {
            Ok(written) => written,
            Err(error) => {
                self.rollback();
                return Err(without_effect(&error));
            }
        };
        self.commit()?;
        // A commit writes its last page in full, however little is on it.
        self.since_checkpoint += PAGE_BYTES as usize;
        self.publish(&fresh, &written);
        if self.since_checkpoint > CHECKPOINT_BYTES {
            self.since_checkpoint = 0;
            self.upkeep.checkpoint();
        }
        Ok(self.shared.state().head)
    }

    fn insert(
        &mut self,
        head: LedgerHead,
        mut fill: Fill,
        events: &[&Arc<Event>],
    ) -> Result<Vec<Written>, rusqlite::Error> {
        // What an append that failed left there.
        self.chunk.clear();
        self.begin.execute([])?;
        let mut chain = head.chain;
        let mut all = Vec::with_capacity(events.len());
        let mut first = head.cursor.0 + 1;
        for event in events {
            let written = self.chunk.add(&self.shared.backend, event, &chain);
            chain = written.chain;
            // A chunk is of one segment, so that a replay begins with a chunk.
            let last = fill.add(written.bytes);
            all.push(written);
            if last || self.chunk.is_full() {
                self.insert_chunk(first)?;
                first = event.cursor.0 + 1;
            }
        }
        if !self.chunk.is_empty() {
            self.insert_chunk(first)?;
        }
        Ok(all)
    }

    fn insert_chunk(&mut self, first: u64) -> Result<(), rusqlite::Error> {
        let (chains, bodies) = self.chunk.pack();
        self.insert.execute((first.cast_signed(), chains, bodies))?;
        self.since_checkpoint += chains.len() + bodies.len();
        self.chunk.clear();
        Ok(())
    }

    fn commit(&mut self) -> Result<(), BackendError> {
        let Err(error) = self.commit.execute([]) else {
            return Ok(());
        };
        // A transaction that is still open was not committed, and can be taken back. After an
        // I/O error its frames may be on disk or not, and a second fsync would not tell.
        let io = error.sqlite_error_code() == Some(rusqlite::ErrorCode::SystemIoFailure);
        let open = !self.connection.is_autocommit();
        self.rollback();
        if open && !io && !self.poisoned {
            return Err(without_effect(&error));
        }
        self.poisoned = true;
        tracing::error!(%error, "ledger commit failed; the file is opened anew");
        Err(unknown(&error))
    }

    #[cfg(test)]
    fn break_off(&mut self, events: &[Arc<Event>]) {
        let (head, fill) = {
            let state = self.shared.state();
            (state.head, state.fill)
        };
        let events: Vec<_> = events.iter().collect();
        if !events.is_empty() {
            self.insert(head, fill, &events).unwrap();
            self.commit.execute([]).unwrap();
        }
        self.poisoned = true;
    }

    /// Takes the open transaction back, if there is one.
    fn rollback(&mut self) {
        if self.connection.is_autocommit() {
            return;
        }
        if let Err(error) = self.connection.execute_batch("ROLLBACK") {
            self.poisoned = true;
            tracing::error!(%error, "ledger rollback failed");
        }
    }

    /// Shows readers what is durable now.
    fn publish(&self, events: &[&Arc<Event>], written: &[Written]) {
        let mut full = Vec::new();
        let mut state = self.shared.state();
        for (event, written) in events.iter().zip(written) {
            full.extend(state.apply(event, written));
        }
        drop(state);
        for segment in full {
            self.upkeep.close(segment);
        }
    }

    /// Stores a full segment's index. If that fails, its postings stay in memory and later
    /// segments stay with them, until the next start tries again.
    fn close(&mut self, encoded: Encoded) {
        let next = self.shared.state().closed.len() as u64;
        if self.poisoned || encoded.full.segment != next {
            return;
        }
        if let Err(error) = self.store(&encoded) {
            self.rollback();
            tracing::error!(%error, "a ledger segment could not be closed");
            return;
        }
        let mut state = self.shared.state();
        state.closed.push(encoded.closed);
        state.closing.remove(0);
        state.tree.stored(&encoded.full.tree);
    }

    fn store(&mut self, encoded: &Encoded) -> Result<(), rusqlite::Error> {
        let Encoded {
            full,
            blocks,
            closed,
        } = encoded;
        self.begin.execute([])?;
        let mut block = self
            .connection
            .prepare("INSERT INTO blocks (id, data) VALUES (?1, ?2)")?;
        let first = (full.segment << BLOCK_BITS).cast_signed();
        let all = std::iter::once(&blocks.directory).chain(&blocks.blocks);
        for (id, data) in (first..).zip(all) {
            block.execute((id, data))?;
        }
        let mut ended = self.connection.prepare(
            "DELETE FROM open_holds WHERE granted_by = ?1 AND handle = ?2 AND lock = ?3",
        )?;
        for (lock, hold) in &full.hot.ended {
            if hold.granted_by < full.hot.first {
                let granted_by = hold.granted_by.cast_signed();
                ended.execute((granted_by, hold.handle, lock.cast_signed()))?;
            }
        }
        let mut opened = self
            .connection
            .prepare("INSERT INTO open_holds VALUES (?1, ?2, ?3, ?4)")?;
        for hold in &full.opened {
            let numbers = [hold.granted_by, hold.lock, hold.from].map(u64::cast_signed);
            opened.execute((numbers[0], hold.handle, numbers[1], numbers[2]))?;
        }
        namespaces::write(self.connection, &full.bytes)?;
        tree::write(self.connection, &full.tree)?;
        let (min, max) = closed.walls;
        let (segment, last) = (full.segment.cast_signed(), closed.last.cast_signed());
        let [min, max, hold_min, hold_max] =
            [min, max, closed.hold_min, closed.hold_max].map(u64::cast_signed);
        self.connection.execute(
            "INSERT INTO segments VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (segment, last, closed.chain.0, min, max, hold_min, hold_max),
        )?;
        self.commit.execute([])?;
        Ok(())
    }
}

/// The events that are not there yet: those after the head, without a gap.
fn fresh(head: LedgerHead, events: &[Arc<Event>]) -> Result<Vec<&Arc<Event>>, BackendError> {
    let mut last = head.cursor.0;
    let mut fresh = Vec::with_capacity(events.len());
    for event in events {
        let cursor = event.cursor.0;
        if cursor <= last {
            continue;
        }
        if cursor != last + 1 {
            let detail = format!("event {cursor} came after event {last}");
            return Err(BackendError::without_effect(ErrorKind::Invalid, detail));
        }
        last = cursor;
        fresh.push(event);
    }
    Ok(fresh)
}

//! The thread that keeps slow work off the writer: encoding full segments, and checkpoints.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::state::Closed;
use super::state::Full;
use super::writer::Job;
use crate::segment::Blocks;

/// Beyond so many bytes of WAL, the writer waits for a checkpoint.
const WAL_BYTES_MAX: i64 = 64 * 1_024 * 1_024;

enum Task {
    Close(Full),
    Checkpoint,
    Stop,
}

/// A full segment, encoded.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) full: Full,
    pub(super) blocks: Blocks,
    pub(super) closed: Closed,
}

/// The writer's end of the thread.
#[derive(Debug)]
pub(super) struct Upkeep {
    tasks: mpsc::Sender<Task>,
    thread: Mutex<Option<JoinHandle<()>>>,
    close: bool,
    asked: Arc<AtomicBool>,
    wal_large: Arc<AtomicBool>,
}

pub(super) fn start(
    connection: Connection,
    jobs: mpsc::Sender<Job>,
    close: bool,
) -> std::io::Result<Upkeep> {
    let (tasks, queue) = mpsc::channel();
    let (asked, wal_large) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let flags = (asked.clone(), wal_large.clone());
    let thread = std::thread::Builder::new()
        .name("ledger-upkeep".to_owned())
        .spawn(move || {
            for task in queue {
                match task {
                    Task::Close(full) => {
                        if jobs.send(Job::Closed(Box::new(encode(full)))).is_err() {
                            return;
                        }
                    }
                    Task::Checkpoint => {
                        flags.0.store(false, Ordering::Release);
                        flags.1.store(checkpoint(&connection), Ordering::Release);
                    }
                    Task::Stop => return,
                }
            }
        })?;
    Ok(Upkeep {
        tasks,
        thread: Mutex::new(Some(thread)),
        close,
        asked,
        wal_large,
    })
}

impl Upkeep {
    /// Has a full segment encoded; it comes back as [`Job::Closed`].
    pub(super) fn close(&self, full: Full) {
        if self.close {
            // After a stop nobody listens; the next start finds the segment unclosed.
            self.tasks.send(Task::Close(full)).ok();
        }
    }

    /// Asks for a checkpoint, once until it has begun.
    pub(super) fn checkpoint(&self) {
        if !self.asked.swap(true, Ordering::AcqRel) {
            self.tasks.send(Task::Checkpoint).ok();
        }
    }

    /// Does what it was asked, and ends.
    pub(super) fn finish(&self) {
        self.tasks.send(Task::Stop).ok();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            thread.join().ok();
        }
    }

    /// Whether the last checkpoint left so much that the writer has to help.
    pub(super) fn wal_is_large(&self) -> bool {
        self.wal_large.swap(false, Ordering::AcqRel)
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Copies what it can from the WAL into the file; whether the WAL has grown beyond its limit.
pub(super) fn checkpoint(connection: &Connection) -> bool {
    let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    match done {
        Ok((frames, copied)) => frames > copied && frames * 16_384 > WAL_BYTES_MAX,
        Err(error) => {
            tracing::warn!(%error, "ledger checkpoint failed; it will be tried again");
            false
        }
    }
}

fn encode(full: Full) -> Encoded {
    let walls = &full.hot.walls;
    let holds = full.hot.ended.iter().map(|(_, hold)| hold);
    let closed = Closed {
        chain: full.chain,
        walls: (
            walls.iter().copied().min().unwrap_or(0),
            walls.iter().copied().max().unwrap_or(0),
        ),
        hold_min: holds
            .clone()
            .map(|hold| hold.from)
            .min()
            .unwrap_or(u64::MAX),
        hold_max: holds
            .map(|hold| hold.from.max(hold.until))
            .max()
            .unwrap_or(0),
    };
    Encoded {
        blocks: full.hot.blocks(),
        closed,
        full,
    }
}

//! The thread that keeps slow work off the writer: encoding full segments, and checkpoints.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::job::Job;
use super::state::Full;
use super::store::PAGE_BYTES;

/// Beyond so many bytes the WAL is to be begun anew, and the writer helps with that. Far less than
/// what its file is cut back to, so that its blocks are written over and never given back.
const WAL_BYTES_MAX: i64 = 16 * 1_024 * 1_024;

/// While the writer goes on, each checkpoint leaves what came in the meantime. So many at most
/// follow one another, each with less to do, before the writer does the rest.
const CHECKPOINTS_MAX: usize = 4;

/// So few bytes are left to the writer.
const CAUGHT_UP_BYTES: i64 = 512 * 1_024;

enum Task {
    Close(Full),
    Checkpoint,
    Stop,
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
                        if jobs.send(Job::Closed(Box::new(full.encode()))).is_err() {
                            return;
                        }
                    }
                    Task::Checkpoint => {
                        flags.0.store(false, Ordering::Release);
                        flags.1.store(catch_up(&connection), Ordering::Release);
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

/// Copies from the WAL until little is left, so that the writer, which has to wait for the last of
/// it, waits for a few pages only. Whether the WAL has grown so much that it has to.
fn catch_up(connection: &Connection) -> bool {
    let mut left = Left::default();
    for _ in 0..CHECKPOINTS_MAX {
        left = checkpoint(connection);
        if left.bytes < CAUGHT_UP_BYTES {
            break;
        }
    }
    left.bytes > 0 && left.wal_bytes > WAL_BYTES_MAX
}

/// What a checkpoint left.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Left {
    /// In the WAL, copied or not.
    wal_bytes: i64,
    /// Not copied.
    bytes: i64,
}

/// Copies what it can from the WAL into the file. If all of it was copied, the next write begins
/// the WAL anew.
pub(super) fn checkpoint(connection: &Connection) -> Left {
    let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        let (frames, copied) = (row.get::<_, i64>(1)?, row.get::<_, i64>(2)?);
        Ok(Left {
            wal_bytes: frames * i64::from(PAGE_BYTES),
            bytes: (frames - copied) * i64::from(PAGE_BYTES),
        })
    });
    done.unwrap_or_else(|error| {
        tracing::warn!(%error, "ledger checkpoint failed; it will be tried again");
        Left::default()
    })
}

//! The one writer: takes all that waits, writes it as one batch, syncs once, and answers all.
//!
//! After an I/O error nothing is written any more: what the disk holds is unknown until it is read
//! again by a new process.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use leasehold_backend_api::Poison;
use openraft::storage::IOFlushed;
use tokio::sync::oneshot;

use super::disk::Change;
use super::disk::Disk;
use crate::entry::TypeConfig;

/// Bytes of one commit at most.
const COMMIT_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// Who is told when it is durable.
pub(super) enum Told {
    /// openraft, for appends.
    Raft(IOFlushed<TypeConfig>),
    /// A caller that waits.
    Caller(oneshot::Sender<io::Result<()>>),
}

/// One job of the writer.
pub(super) struct Job {
    pub(super) changes: Vec<Change>,
    pub(super) told: Told,
}

/// The writer's handle. Dropping it ends the thread after the jobs under way.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    pub(super) poison: Poison,
}

impl Writer {
    pub(super) fn spawn(disk: Box<dyn Disk>) -> io::Result<Self> {
        let (jobs, waiting) = mpsc::channel();
        let poison = Poison::default();
        let mut work = Work {
            disk,
            poison: poison.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("raft-log".to_owned())
            .spawn(move || work.run(&waiting))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            poison,
        })
    }

    /// Hands a job over. If the writer is gone, the job is answered here.
    pub(super) fn submit(&self, job: Job) {
        let Some(jobs) = &self.jobs else {
            return answer(job.told, Err(gone()));
        };
        if let Err(mpsc::SendError(job)) = jobs.send(job) {
            answer(job.told, Err(gone()));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic in the writer has been answered by the closed channels.
            let _ = thread.join();
        }
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the log's writer has ended")
}

fn answer(told: Told, result: io::Result<()>) {
    match told {
        Told::Raft(callback) => callback.io_completed(result),
        Told::Caller(caller) => {
            // A caller that has left does not care.
            let _ = caller.send(result);
        }
    }
}

struct Work {
    disk: Box<dyn Disk>,
    poison: Poison,
}

impl Work {
    fn run(&mut self, waiting: &mpsc::Receiver<Job>) {
        while let Ok(first) = waiting.recv() {
            let mut bytes = first.bytes();
            let (mut changes, mut told) = (first.changes, vec![first.told]);
            while bytes < COMMIT_BYTES_MAX {
                let Ok(next) = waiting.try_recv() else { break };
                bytes += next.bytes();
                changes.extend(next.changes);
                told.push(next.told);
            }
            let result = self.commit(changes);
            for told in told {
                answer(told, result.as_ref().copied().map_err(copy));
            }
        }
    }

    fn commit(&mut self, changes: Vec<Change>) -> io::Result<()> {
        if let Some(reason) = self.poison.reason() {
            return Err(io::Error::other(format!("poisoned: {reason}")));
        }
        self.disk.commit(changes).map_err(|error| {
            tracing::error!(%error, "log.write failed; the store is poisoned");
            self.poison.set(&error.to_string());
            error
        })
    }
}

impl Job {
    fn bytes(&self) -> usize {
        self.changes.iter().map(Change::bytes).sum()
    }
}

fn copy(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

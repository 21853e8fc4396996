//! What is known of the store without asking it.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Health;
use leasehold_backend_api::Writes;
use leasehold_domain::Counts;
use leasehold_domain::Cursor;
use leasehold_domain::FeatureLevel;
use leasehold_domain::Millis;
use tokio::sync::watch;

use crate::mirror::Mirror;
use crate::primary::Primary;

/// What is known of the store without asking it.
#[derive(Debug, Default)]
pub(crate) struct Status {
    shown: Mutex<Shown>,
    conceded: watch::Sender<Option<String>>,
}

#[derive(Debug, Default)]
struct Shown {
    closed: bool,
    /// None while the database answers.
    trouble: Option<Trouble>,
    primary: String,
    newest: Cursor,
    trimmed: Cursor,
    counts: Counts,
    writes: Writes,
    deadline: Option<Millis>,
    level: FeatureLevel,
    /// When the mirror was last known to be current, on this gateway's monotonic clock.
    reached: Duration,
}

/// Why the store cannot be used.
#[derive(Debug)]
enum Trouble {
    Fenced(String),
    Outdated(String),
    Other(String),
}

impl Status {
    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mirror was current at `reached`.
    pub(crate) fn reached(&self, mirror: &Mirror, reached: Duration) {
        let mut shown = self.lock();
        shown.trouble = None;
        shown.newest = mirror.state.newest();
        shown.counts = mirror.state.counts();
        shown.deadline = mirror.state.next_deadline();
        shown.level = mirror.state.level();
        shown.reached = reached;
    }

    /// A durable write with so many commands.
    pub(crate) fn wrote(&self, commands: usize) {
        self.lock().writes.record(commands as u64);
    }

    /// The store is on this server now.
    pub(crate) fn moved(&self, primary: &Primary) {
        self.lock().primary = primary.describe();
        let concession = primary.concession();
        self.conceded.send_if_modified(|conceded| {
            std::mem::replace(conceded, concession.clone()) != concession
        });
    }

    /// What the server is taken with although it is not as it should be.
    pub(crate) fn concessions(&self) -> watch::Receiver<Option<String>> {
        self.conceded.subscribe()
    }

    /// The store cannot be used now.
    pub(crate) fn trouble(&self, failure: &BackendError) {
        let detail = failure.detail.clone();
        self.lock().trouble = Some(match failure.kind {
            ErrorKind::Fenced => Trouble::Fenced(detail),
            ErrorKind::Outdated => Trouble::Outdated(detail),
            _ => Trouble::Other(detail),
        });
    }

    /// Events up to there may be gone.
    pub(crate) fn trimmed(&self, up_to: Cursor) {
        let mut shown = self.lock();
        shown.trimmed = shown.trimmed.max(up_to);
    }

    pub(crate) fn trimmed_to(&self) -> Cursor {
        self.lock().trimmed
    }

    pub(crate) fn newest(&self) -> Cursor {
        self.lock().newest
    }

    /// The feature level of the store.
    pub(crate) fn level(&self) -> FeatureLevel {
        self.lock().level
    }

    /// How long ago the mirror was last known to be current.
    pub(crate) fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.lock().reached)
    }

    /// Whether a tick has something to do.
    pub(crate) fn is_due(&self, now: Millis) -> bool {
        self.lock().deadline.is_some_and(|deadline| deadline <= now)
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    pub(crate) fn health(&self) -> Health {
        let shown = self.lock();
        Health {
            ready: !shown.closed && shown.trouble.is_none(),
            detail: match &shown.trouble {
                _ if shown.closed => "closing".to_owned(),
                Some(Trouble::Fenced(detail)) => format!("fenced: {detail}"),
                Some(Trouble::Outdated(detail)) => detail.clone(),
                Some(Trouble::Other(detail)) => format!("unreachable: {detail}"),
                None => shown.primary.clone(),
            },
            newest: shown.newest,
            trimmed: shown.trimmed,
            counts: shown.counts,
            writes: shown.writes,
        }
    }
}

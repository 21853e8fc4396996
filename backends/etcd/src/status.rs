//! What is known of the store without asking it.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use leasehold_backend_api::Health;
use leasehold_backend_api::Writes;
use leasehold_domain::Counts;
use leasehold_domain::Cursor;
use leasehold_domain::FeatureLevel;
use leasehold_domain::Millis;

use crate::mirror::Mirror;

/// What is known of the store without asking it.
#[derive(Debug, Default)]
pub(crate) struct Status(Mutex<Shown>);

#[derive(Debug, Default)]
struct Shown {
    closed: bool,
    /// Why the store cannot be used; `None` while it can.
    trouble: Option<String>,
    member: String,
    newest: Cursor,
    trimmed: Cursor,
    counts: Counts,
    writes: Writes,
    deadline: Option<Millis>,
    level: FeatureLevel,
    /// When the mirror was last known to be current, on this gateway's monotonic clock.
    reached: Duration,
}

impl Status {
    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mirror was current at `reached`.
    pub(crate) fn reached(&self, mirror: &Mirror, newest: Cursor, reached: Duration) {
        self.follow(mirror, newest);
        let mut shown = self.lock();
        shown.trouble = None;
        shown.reached = reached;
    }

    /// The mirror has changed.
    pub(crate) fn follow(&self, mirror: &Mirror, newest: Cursor) {
        let mut shown = self.lock();
        shown.newest = newest;
        shown.counts = mirror.state.counts();
        shown.deadline = mirror.state.next_deadline();
        shown.level = mirror.state.level();
        shown.trimmed = shown.trimmed.max(mirror.consumed());
    }

    /// A durable write with so many commands.
    pub(crate) fn wrote(&self, commands: usize) {
        self.lock().writes.record(commands as u64);
    }

    /// This member is spoken to now.
    pub(crate) fn moved(&self, member: &str) {
        self.lock().member = format!("through {member}");
    }

    /// The store cannot be used now.
    pub(crate) fn trouble(&self, why: String) {
        self.lock().trouble = Some(why);
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
                Some(trouble) => trouble.clone(),
                None => shown.member.clone(),
            },
            newest: shown.newest,
            trimmed: shown.trimmed,
            counts: shown.counts,
            writes: shown.writes,
        }
    }
}

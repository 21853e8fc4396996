//! A lock held by this program: renewed in the background, and told of the moment it is lost.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use leasehold_wire::v1::locks as wire;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Deadline;
use crate::Error;
use crate::follower::Follower;
use crate::lease::Lease;
use crate::renewer::Known;
use crate::renewer::Renewer;

/// Why a lock is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// The gateway said that the lease is over: its message. Another may hold the lock already.
    Ended(String),
    /// It must be given back by the deadline: revoked, or handed over.
    Draining(String),
    /// No renewal was confirmed in time: why the last one failed.
    NotRenewed(String),
}

/// A lock held by this program.
///
/// Dropping it ends the renewals, and so the lease by time; [`release`](Self::release) gives the
/// lock back at once.
#[derive(Debug)]
pub struct LockGuard {
    lease: Lease,
    grant: wire::Grant,
    known: watch::Receiver<Known>,
    /// Renews, and follows the lock's watch. Dropping it ends both.
    _tasks: JoinSet<()>,
}

impl LockGuard {
    /// Begins to renew a lease that was confirmed by the answer to a request sent then; follows
    /// its lock's watch, too, if told to.
    pub(crate) fn new(lease: Lease, grant: wire::Grant, sent: Instant, watch: bool) -> Self {
        let (sender, known) = watch::channel(Known::confirmed(sent, &grant));
        let ask = Arc::new(Notify::new());
        let renewer = Renewer {
            lease: lease.clone(),
            known: sender,
            ask: ask.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(renewer.run(Duration::from_millis(grant.renew_after_ms)));
        if watch {
            let follower = Follower {
                lease: lease.clone(),
                handle: grant.lease.clone(),
                ask,
            };
            tasks.spawn(follower.run());
        }
        Self {
            lease,
            grant,
            known,
            _tasks: tasks,
        }
    }

    /// The lease and its fencing token, as granted.
    #[must_use]
    pub fn grant(&self) -> &wire::Grant {
        &self.grant
    }

    /// By when work must have stopped, as confirmed so far.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.known.borrow().deadline
    }

    /// Resolves when the lock is lost, or when only `grace` is left before it can be granted to
    /// another: time to stop.
    pub async fn lost(&mut self, grace: Duration) -> Loss {
        loop {
            let Known {
                deadline,
                loss,
                trouble,
            } = self.known.borrow_and_update().clone();
            if let Some(loss) = loss {
                return loss;
            }
            let late = || trouble.unwrap_or_else(|| "no renewal was confirmed in time".to_owned());
            tokio::select! {
                biased;
                changed = self.known.changed() => {
                    if changed.is_err() {
                        return Loss::NotRenewed("renewing has ended".to_owned());
                    }
                }
                () = tokio::time::sleep_until(deadline.minus(grace).into()) => {
                    return Loss::NotRenewed(late());
                }
            }
        }
    }

    /// Resolves when the gateway has said that the lease is over, or when only `margin` is left
    /// before its deadline: for those who drain, and may work until then.
    pub async fn over(&mut self, margin: Duration) {
        loop {
            let Known { deadline, loss, .. } = self.known.borrow_and_update().clone();
            if matches!(loss, Some(Loss::Ended(_))) {
                return;
            }
            let late = tokio::time::sleep_until(deadline.minus(margin).into());
            tokio::select! {
                () = late => return,
                changed = self.known.changed() => if changed.is_err() {
                    // Renewing has ended: the deadline stands.
                    return tokio::time::sleep_until(deadline.minus(margin).into()).await;
                }
            }
        }
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// The lease was over already, or the gateway cannot be reached; the lease then ends by time.
    pub async fn release(self) -> Result<(), Error> {
        let lease = self.lease.clone();
        drop(self);
        lease.release(None).await
    }

    /// Gives the lock back, and keeps the gateway from granting it again for `cooldown` (at most
    /// 600 s), counted from the release. Waiters stay queued and are served when it ends.
    ///
    /// # Errors
    /// As for [`release`](Self::release); also if the cooldown is too long, and then the lease is
    /// not given back.
    pub async fn release_with_cooldown(self, cooldown: Duration) -> Result<(), Error> {
        let lease = self.lease.clone();
        drop(self);
        lease.release(Some(cooldown)).await
    }
}

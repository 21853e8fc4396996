//! A lock held by this program: renewed in the background, and told of the moment it is lost.

use std::sync::Arc;
use std::time::Duration;

use leasehold_wire::v1::locks as wire;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Deadline;
use crate::Error;
use crate::Moment;
use crate::follower::Follower;
use crate::lease::Lease;
use crate::renewer::LeaseStatus;
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
    known: watch::Receiver<LeaseStatus>,
    /// Renews, and follows the lock's watch. Dropping it ends both.
    _tasks: JoinSet<()>,
}

impl LockGuard {
    /// Begins to renew a lease that was confirmed by the answer to a request sent then; follows
    /// its lock's watch, too, if told to.
    pub(crate) fn new(lease: Lease, grant: wire::Grant, sent: Moment, watch: bool) -> Self {
        let (sender, known) = watch::channel(LeaseStatus::confirmed(sent, &grant));
        let ask = Arc::new(Notify::new());
        let told = sender.clone();
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
                known: told,
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

    /// What is known of the lease now.
    #[must_use]
    pub fn status(&self) -> LeaseStatus {
        let mut status = self.known.borrow().clone();
        status.loss = status.explained();
        status
    }

    /// Resolves when more is known of the lease: a renewal was confirmed or failed, or it is lost.
    pub async fn changed(&mut self) {
        if self.known.changed().await.is_err() {
            // Renewing has ended: nothing changes any more.
            std::future::pending::<()>().await;
        }
    }

    /// Waits this long at most until it is known who took the lease away, and returns the loss as
    /// it is known then. The lock's watch tells it, maybe a little later than the loss is known.
    pub async fn explained(&mut self, within: Duration) -> Option<Loss> {
        let known = self.known.wait_for(LeaseStatus::says_who);
        // If it is not told in time, the loss itself is known.
        let _ = tokio::time::timeout(within, known).await;
        self.known.borrow().explained()
    }

    /// Resolves when the lock is lost, or when only `grace` is left before it can be granted to
    /// another: time to stop. Time in which the machine is suspended counts.
    pub async fn lost(&mut self, grace: Duration) -> Loss {
        loop {
            let status = self.known.borrow_and_update().clone();
            if let Some(loss) = status.explained() {
                return loss;
            }
            let late = "no renewal was confirmed in time";
            tokio::select! {
                biased;
                changed = self.known.changed() => {
                    if changed.is_err() {
                        return Loss::NotRenewed("renewing has ended".to_owned());
                    }
                }
                () = status.deadline.only_left(grace) => {
                    return Loss::NotRenewed(status.trouble.unwrap_or_else(|| late.to_owned()));
                }
            }
        }
    }

    /// Resolves when the gateway has said that the lease is over, or when only `margin` is left
    /// before its deadline: for those who drain, and may work until then.
    pub async fn over(&mut self, margin: Duration) {
        loop {
            let status = self.known.borrow_and_update().clone();
            if matches!(status.loss, Some(Loss::Ended(_))) {
                return;
            }
            tokio::select! {
                () = status.deadline.only_left(margin) => return,
                changed = self.known.changed() => if changed.is_err() {
                    // Renewing has ended: the deadline stands.
                    return status.deadline.only_left(margin).await;
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

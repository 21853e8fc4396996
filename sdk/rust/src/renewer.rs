//! Renews a lease in the background, and tells what is known of it.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use leasehold_wire::v1::locks as wire;
use leasehold_wire::v1::views::DrainView;
use tokio::sync::Notify;
use tokio::sync::watch;

use crate::Deadline;
use crate::Loss;
use crate::backoff::Backoff;
use crate::deadline::now;
use crate::lease::Lease;
use crate::lease::is_over;

/// No pause between two renewals is shorter, however little time is left.
const PAUSE_SHORTEST: Duration = Duration::from_millis(50);

/// What is known of a lease.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// By when work must have stopped, as confirmed so far.
    pub(crate) deadline: Deadline,
    /// Why it is lost, if it is.
    pub(crate) loss: Option<Loss>,
    /// Why the last renewal failed, if it did.
    pub(crate) trouble: Option<String>,
}

impl Known {
    /// What the answer to a request says that was sent then.
    pub(crate) fn confirmed(sent: Instant, grant: &wire::Grant) -> Self {
        Self {
            deadline: Deadline::after(sent, Duration::from_millis(grant.remaining_ms)),
            loss: grant
                .drain
                .as_ref()
                .map(|drain| Loss::Draining(told(drain))),
            trouble: None,
        }
    }
}

fn told(drain: &DrainView) -> String {
    match (&drain.by, &drain.to) {
        (Some(by), _) => format!("{} by {by}", drain.cause),
        (None, Some(to)) => format!("{} to {to}", drain.cause),
        (None, None) => drain.cause.clone(),
    }
}

/// The task that renews.
#[derive(Debug)]
pub(crate) struct Renewer {
    pub(crate) lease: Lease,
    pub(crate) known: watch::Sender<Known>,
    /// Told when there is a reason to ask before the next renewal is due.
    pub(crate) ask: Arc<Notify>,
}

impl Renewer {
    /// Renews until the lease is over. One that drains is asked after, too, without being
    /// lengthened: it may be ended before its deadline.
    pub(crate) async fn run(self, first: Duration) {
        let mut pause = self.rest(first);
        let mut backoff = Backoff::default();
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.ask.notified() => {}
            }
            let sent = now();
            match self.lease.renew().await {
                Ok(grant) => {
                    backoff.reset();
                    pause = self.rest(Duration::from_millis(grant.renew_after_ms));
                    self.known.send_replace(Known::confirmed(sent, &grant));
                }
                Err(error) if is_over(&error) => {
                    let loss = Some(Loss::Ended(error.to_string()));
                    self.known.send_modify(|known| known.loss = loss);
                    return;
                }
                Err(error) => {
                    // The lease stands until its deadline. What was denied is asked for again at
                    // leisure, because each denial is written down; what failed, soon.
                    pause = if error.is_retryable() {
                        let pause = backoff.pause(error.retry_after_ms());
                        pause.min(self.lease.ttl / 6).max(PAUSE_SHORTEST)
                    } else {
                        self.rest(self.lease.ttl)
                    };
                    let trouble = Some(error.to_string());
                    self.known.send_modify(|known| known.trouble = trouble);
                }
            }
        }
    }

    fn rest(&self, asked: Duration) -> Duration {
        asked.min(self.lease.ttl / 3).max(PAUSE_SHORTEST)
    }
}

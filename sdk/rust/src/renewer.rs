//! Renews a lease in the background, and tells what is known of it.

use std::sync::Arc;
use std::time::Duration;

use leasehold_wire::v1::locks as wire;
use leasehold_wire::v1::views::DrainView;
use leasehold_wire::v1::watch::WatchEvent;
use tokio::sync::Notify;
use tokio::sync::watch;

use crate::Deadline;
use crate::Loss;
use crate::backoff::Backoff;
use crate::deadline::Moment;
use crate::deadline::sleep;
use crate::lease::Lease;
use crate::lease::is_over;

/// No pause between two renewals is shorter, however little time is left.
const PAUSE_SHORTEST: Duration = Duration::from_millis(50);

/// What is known of a lease.
#[derive(Debug, Clone)]
pub struct LeaseStatus {
    /// By when work must have stopped, as confirmed so far.
    pub deadline: Deadline,
    /// Why it is lost, if it is.
    pub loss: Option<Loss>,
    /// Why the last renewal failed, if it did.
    pub trouble: Option<String>,
    /// What the lock's watch told of who took the lease away, and why.
    pub(crate) taken: Option<WatchEvent>,
}

impl LeaseStatus {
    /// What the answer to a request says that was sent then.
    pub(crate) fn confirmed(sent: Moment, grant: &wire::Grant) -> Self {
        let drain = grant.drain.as_ref();
        Self {
            deadline: Deadline::after(sent, Duration::from_millis(grant.remaining_ms)),
            loss: drain.map(|drain| Loss::Draining(told(drain))),
            trouble: None,
            taken: None,
        }
    }

    /// What a later answer says, besides what the watch told.
    fn confirm(&mut self, sent: Moment, grant: &wire::Grant) {
        let taken = self.taken.take();
        *self = Self::confirmed(sent, grant);
        self.taken = taken;
    }

    /// Whether it is known who took the lease away.
    pub(crate) fn says_who(&self) -> bool {
        self.taken.is_some()
    }

    /// The loss, with who took the lease away and why as far as that is known.
    pub(crate) fn explained(&self) -> Option<Loss> {
        let loss = self.loss.clone()?;
        let Some(taken) = &self.taken else {
            return Some(loss);
        };
        let by = taken.by.as_deref().unwrap_or("somebody");
        let reason = taken.reason.as_ref().map(|reason| format!(": {reason}"));
        let reason = reason.unwrap_or_default();
        Some(match loss {
            Loss::Ended(message) if taken.transition == "draining" => {
                Loss::Ended(format!("{message}; {by} had asked for it back{reason}"))
            }
            Loss::Ended(_) => Loss::Ended(format!("{} by {by}{reason}", taken.transition)),
            Loss::Draining(cause) => Loss::Draining(format!("{cause}{reason}")),
            loss @ Loss::NotRenewed(_) => loss,
        })
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
    pub(crate) known: watch::Sender<LeaseStatus>,
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
                () = sleep(pause) => {}
                () = self.ask.notified() => {}
            }
            let sent = Moment::now();
            match self.lease.renew().await {
                Ok(grant) => {
                    backoff.reset();
                    pause = self.rest(Duration::from_millis(grant.renew_after_ms));
                    self.known.send_modify(|known| known.confirm(sent, &grant));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn status(loss: Loss, transition: &str, reason: &str) -> LeaseStatus {
        let text = format!(
            r#"{{"cursor": 7, "time": "2026-11-23T14:03:00Z", "namespace": "demo", "lock": "a",
                "transition": "{transition}", "by": "ops"{reason}}}"#
        );
        LeaseStatus {
            deadline: Deadline::after(Moment::now(), Duration::ZERO),
            loss: Some(loss),
            trouble: None,
            taken: Some(serde_json::from_str(&text).unwrap()),
        }
    }

    #[test]
    fn a_loss_says_who_and_why() {
        let ended = || Loss::Ended("lease_ended: the lease was revoked".to_owned());
        let why = r#", "reason": "CHG-1""#;
        let explained = |loss, transition, why| status(loss, transition, why).explained().unwrap();
        let revoked = Loss::Ended("revoked by ops: CHG-1".to_owned());
        assert_eq!(explained(ended(), "revoked", why), revoked);
        let revoked = Loss::Ended("revoked by ops".to_owned());
        assert_eq!(explained(ended(), "revoked", ""), revoked);
        let drains = Loss::Draining("revoked by ops".to_owned());
        let told = Loss::Draining("revoked by ops: CHG-1".to_owned());
        assert_eq!(explained(drains, "draining", why), told);
        let late = "lease_ended: the lease was revoked; ops had asked for it back: CHG-1";
        let late = Loss::Ended(late.to_owned());
        assert_eq!(explained(ended(), "draining", why), late);
    }
}

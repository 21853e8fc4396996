//! Follows the watch of a held lock, so that its end is heard of at once and not at the next
//! renewal. What the watch says is only a reason to ask: the answer to a renewal decides.

use std::sync::Arc;

use leasehold_wire::v1::watch::WatchEvent;
use tokio::sync::Notify;
use tokio::sync::watch;

use crate::Error;
use crate::backoff::Backoff;
use crate::events::ServerEvent;
use crate::lease::Lease;
use crate::renewer::LeaseStatus;

/// The task that follows.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) lease: Lease,
    /// The lease's public handle.
    pub(crate) handle: String,
    /// Where it is written down who took the lease away, and why.
    pub(crate) known: watch::Sender<LeaseStatus>,
    /// Told when there is a reason to ask after the lease.
    pub(crate) ask: Arc<Notify>,
}

impl Follower {
    /// Follows until the gateway refuses the watch: renewals alone must do then.
    pub(crate) async fn run(self) {
        let mut after = None;
        let mut backoff = Backoff::default();
        loop {
            match self.follow(&mut after).await {
                Err(error) if !error.is_retryable() => return,
                Ok(()) | Err(_) => tokio::time::sleep(backoff.pause(None)).await,
            }
        }
    }

    async fn follow(&self, after: &mut Option<String>) -> Result<(), Error> {
        let mut events = self.lease.watch(after.as_deref()).await?;
        // Between the grant, or a break, and this watch something may have happened.
        self.ask.notify_one();
        while let Some(event) = events.next().await? {
            if let Some(end) = self.end_of_ours(&event) {
                if end.by.is_some() {
                    self.known.send_modify(|known| known.taken = Some(end));
                }
                self.ask.notify_one();
            }
            let resync = event.name == "resync";
            if resync {
                // What was missed may have been the lease's end.
                self.ask.notify_one();
            }
            if event.id.is_some() {
                *after = event.id;
            } else if resync {
                // The stream ends here, and says nowhere to go on from.
                *after = None;
                return Ok(());
            }
        }
        Ok(())
    }

    /// What happened to the lease, unless it was only granted or renewed.
    fn end_of_ours(&self, event: &ServerEvent) -> Option<WatchEvent> {
        if matches!(event.name.as_str(), "granted" | "renewed") {
            return None;
        }
        let event: WatchEvent = serde_json::from_str(&event.data).ok()?;
        (event.lease.as_ref() == Some(&self.handle)).then_some(event)
    }
}

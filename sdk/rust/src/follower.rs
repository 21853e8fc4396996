//! Follows the watch of a held lock, so that its end is heard of at once and not at the next
//! renewal. What the watch says is only a reason to ask: the answer to a renewal decides.

use std::sync::Arc;

use leasehold_wire::v1::watch::WatchEvent;
use tokio::sync::Notify;

use crate::Error;
use crate::backoff::Backoff;
use crate::events::ServerEvent;
use crate::lease::Lease;

/// The task that follows.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) lease: Lease,
    /// The lease's public handle.
    pub(crate) handle: String,
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
            if self.is_reason(&event) {
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

    fn is_reason(&self, event: &ServerEvent) -> bool {
        let ours = |event: WatchEvent| event.lease.as_ref() == Some(&self.handle);
        !matches!(event.name.as_str(), "granted" | "renewed")
            && serde_json::from_str(&event.data).is_ok_and(ours)
    }
}

//! The carrier: moves events from a backend into the ledger, and lets the backend forget them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::LedgerPeers;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use tokio::sync::watch;
use tokio::time::Sleep;

/// How often the backend's events are counted while they do not reach the ledger.
const COUNT_EVERY: Duration = Duration::from_millis(250);

mod peers;
mod status;

pub use peers::fill;
pub use status::CarrierStatus;

/// How events are carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarrierOptions {
    /// Most events in one append.
    pub batch_events: usize,
    /// About the most bytes of events in one append.
    pub batch_bytes: usize,
    /// The least time between two appends while events come. Each append is durable, so it costs
    /// the disk a write that requests are waiting for, too.
    pub append_every: Duration,
    /// How many events the backend keeps although the ledger has them, for those who follow: a
    /// watch can resume after so many.
    pub keep_events: u64,
    /// The least time between two trims of the backend.
    pub trim_every: Duration,
    /// The longest pause after an error; pauses begin at a hundredth of it and double.
    pub backoff_max: Duration,
    /// How long to go on carrying after the shutdown began.
    pub drain: Duration,
}

impl Default for CarrierOptions {
    fn default() -> Self {
        Self {
            batch_events: 4_096,
            batch_bytes: 8 * 1_024 * 1_024,
            append_every: Duration::from_millis(50),
            keep_events: 4_096,
            trim_every: Duration::from_secs(1),
            backoff_max: Duration::from_secs(5),
            drain: Duration::from_secs(10),
        }
    }
}

/// Where the ledger's rows are besides.
#[derive(Debug, Clone, Default)]
pub struct Elsewhere {
    /// Who has what the backend has forgotten.
    pub peers: Option<Arc<dyn LedgerPeers>>,
    /// Up to where an archive has them, if there is one: the backend keeps all after that.
    pub archived: Option<watch::Receiver<Cursor>>,
}

/// Why carrying stopped before it was told to, or before all was carried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CarryError {
    /// The backend refused, and will go on refusing.
    #[error("reading events")]
    Backend(#[source] BackendError),
    /// The ledger refused, and will go on refusing.
    #[error("appending to the ledger")]
    Ledger(#[source] BackendError),
    /// The shutdown's time was over. The events are safe in the backend.
    #[error("{0} events were not carried before the shutdown")]
    Undrained(u64),
}

/// Carries events until `shutdown` turns true (or its sender is gone) and all events that the
/// backend has then are in the ledger. Errors that may pass are tried again for ever, with
/// growing pauses; the status tells. What the backend has forgotten already (it went on from
/// another node's snapshot) is had from `elsewhere`.
///
/// # Errors
/// On an error that will not pass, or if the shutdown takes longer than its time.
pub async fn carry(
    backend: Arc<dyn Backend>,
    ledger: Arc<dyn Ledger>,
    elsewhere: Elsewhere,
    options: CarrierOptions,
    status: Arc<CarrierStatus>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), CarryError> {
    let mut carrier = Carrier {
        backend,
        ledger,
        elsewhere,
        options,
        status,
        due: None,
        trimmed: None,
        pause: None,
    };
    // A sender that is gone will never tell: that is a shutdown, too.
    let mut told = Box::pin(async move { shutdown.wait_for(|down| *down).await.is_ok() });
    loop {
        let carried = tokio::select! {
            biased;
            _ = &mut told => return carrier.drain().await,
            carried = carrier.carry() => carried,
        };
        if let Err(error) = carried {
            tokio::select! {
                biased;
                _ = &mut told => return carrier.drain().await,
                recovered = carrier.recover(error) => recovered?,
            }
        }
    }
}

type Events = BoxStream<'static, Result<Arc<Event>, BackendError>>;

struct Carrier {
    backend: Arc<dyn Backend>,
    ledger: Arc<dyn Ledger>,
    elsewhere: Elsewhere,
    options: CarrierOptions,
    status: Arc<CarrierStatus>,
    /// When the next append is due; none if it need not wait.
    due: Option<Pin<Box<Sleep>>>,
    /// The last trim: when the next is due, and up to where it went.
    trimmed: Option<(Pin<Box<Sleep>>, Cursor)>,
    /// The pause after the next error; none if the last step went well.
    pause: Option<Duration>,
}

impl Carrier {
    /// Carries until something fails. May be dropped at any point: what was appended is skipped
    /// when it comes again.
    async fn carry(&mut self) -> Result<(), CarryError> {
        self.catch_up().await?;
        let head = self.ledger.head();
        self.status.head(head.cursor);
        self.status.backend(&self.backend.health().await);
        if self.status.lag_events() == 0 {
            self.status.went_well();
        }
        let mut events = self.backend.events(head.cursor).fuse().boxed();
        loop {
            let batch = self.batch(&mut events).await?;
            if batch.is_empty() {
                // A stream without end has ended: the backend closed it, so begin another.
                let kind = leasehold_backend_api::ErrorKind::Unavailable;
                let ended = BackendError::without_effect(kind, "the stream of events ended");
                return Err(CarryError::Backend(ended));
            }
            self.append(batch).await?;
            self.trim(false).await;
        }
    }

    /// The next events, as many as there are when an append is due; none if the stream has ended.
    /// A lonely event is carried at once.
    async fn batch(&mut self, events: &mut Events) -> Result<Vec<Arc<Event>>, CarryError> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut next = self.first(events).await;
        if let Some(due) = self.due.take() {
            due.await;
        }
        self.due = Some(Box::pin(tokio::time::sleep(self.options.append_every)));
        while let Some(event) = next {
            let event = match event {
                Ok(event) => event,
                // What was read before the error is good.
                Err(_) if !batch.is_empty() => break,
                Err(error) => return Err(CarryError::Backend(error)),
            };
            bytes += status::about_bytes(&event);
            self.status.newest(event.cursor);
            batch.push(event);
            if batch.len() >= self.options.batch_events || bytes >= self.options.batch_bytes {
                // There may be as many more: do not fall behind.
                self.due = None;
                break;
            }
            next = events.next().now_or_never().flatten();
        }
        Ok(batch)
    }

    /// The next event, whenever it comes. Meanwhile what was not trimmed is: the archive may have
    /// come up to where the ledger is, or a trim have failed.
    async fn first(&mut self, events: &mut Events) -> Option<Result<Arc<Event>, BackendError>> {
        loop {
            tokio::select! {
                biased;
                next = events.next() => return next,
                () = tokio::time::sleep(self.options.trim_every) => self.trim(false).await,
            }
        }
    }

    async fn append(&mut self, batch: Vec<Arc<Event>>) -> Result<(), CarryError> {
        let head = self.counting(self.ledger.append(batch)).await;
        let head = head.map_err(CarryError::Ledger)?;
        self.status.head(head.cursor);
        self.status.went_well();
        self.pause = None;
        Ok(())
    }

    /// Lets the backend forget what the ledger has. A trim that fails is made good by the next.
    async fn trim(&mut self, now: bool) {
        let archived = self.elsewhere.archived.as_ref();
        let archived = archived.map_or(u64::MAX, |archived| archived.borrow().0);
        let head = self.ledger.head().cursor.0.min(archived);
        let up_to = Cursor(head.saturating_sub(self.options.keep_events));
        if let Some((due, done)) = &mut self.trimmed
            && (*done == up_to || (!now && due.as_mut().now_or_never().is_none()))
        {
            return;
        }
        match self.trim_to(up_to).await {
            Ok(()) => {
                let due = Box::pin(tokio::time::sleep(self.options.trim_every));
                self.trimmed = Some((due, up_to));
            }
            Err(error) => tracing::warn!(%error, "events could not be trimmed"),
        }
    }

    /// Tells the backend the hash chain with which the ledger goes on from there, so that another
    /// ledger is not taken for this one.
    async fn trim_to(&self, cursor: Cursor) -> Result<(), BackendError> {
        let Some(chain) = self.ledger.chain_at(cursor).await? else {
            return Ok(());
        };
        self.backend.trim(LedgerHead { cursor, chain }).await
    }

    /// Waits, if the error may pass.
    async fn recover(&mut self, error: CarryError) -> Result<(), CarryError> {
        let retryable = self.is_behind(&error)
            || match &error {
                CarryError::Backend(inner) | CarryError::Ledger(inner) => inner.is_retryable(),
                CarryError::Undrained(_) => false,
            };
        self.status.failed(&error);
        if !retryable {
            return Err(error);
        }
        let pause = self.pause.unwrap_or(self.options.backoff_max / 100);
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "carrying events failed; again in {pause:?}"
        );
        self.pause = Some((pause * 2).min(self.options.backoff_max));
        self.counting(tokio::time::sleep(pause)).await;
        self.status.backend(&self.backend.health().await);
        Ok(())
    }

    /// Waits for something that may take long, and counts meanwhile what the backend keeps.
    async fn counting<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(COUNT_EVERY) => {
                    self.status.backend(&self.backend.health().await);
                }
            }
        }
    }

    /// Carries what the backend has now, and ends.
    async fn drain(mut self) -> Result<(), CarryError> {
        let newest = self.backend.health().await.newest;
        self.status.newest(newest);
        let drained = tokio::time::timeout(self.options.drain, self.carry_to(newest)).await;
        self.trim(true).await;
        match drained {
            Ok(done) => done,
            Err(_) => Err(CarryError::Undrained(
                newest.0.saturating_sub(self.ledger.head().cursor.0),
            )),
        }
    }

    async fn carry_to(&mut self, newest: Cursor) -> Result<(), CarryError> {
        while self.ledger.head().cursor < newest {
            self.due = None;
            let mut events = self
                .backend
                .events(self.ledger.head().cursor)
                .fuse()
                .boxed();
            let carried = match self.batch(&mut events).await {
                Ok(batch) => self.append(batch).await,
                Err(error) => Err(error),
            };
            if let Err(error) = carried {
                self.recover(error).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;

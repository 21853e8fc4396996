//! A lease as its holder uses it: renewed in time, given back for sure.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::locks as wire;
use leasehold_wire::v1::paths;

use crate::Client;
use crate::Error;
use crate::EventStream;
use crate::backoff::Backoff;

/// One call of a renewal takes no longer, so that a hung connection leaves time for another.
const RENEWAL_LONGEST: Duration = Duration::from_secs(10);
/// How often a release is sent in all, and for how long.
const RELEASES_MAX: u32 = 4;
const RELEASING_LONGEST: Duration = Duration::from_secs(10);

/// What was said when a lease was taken.
#[derive(Clone, Default)]
pub(crate) struct Why {
    pub(crate) reason: Option<String>,
    pub(crate) ticket: Option<String>,
}

/// A lease, and where it is.
#[derive(Clone)]
pub(crate) struct Lease {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) lock: String,
    pub(crate) id: String,
    /// Its time to live, as granted.
    pub(crate) ttl: Duration,
    /// Why it was taken.
    why: Why,
    /// Whether renewals give the reason: a denial was answered without it.
    gives_reason: Arc<AtomicBool>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("namespace", &self.namespace)
            .field("lock", &self.lock)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

impl Lease {
    /// A granted one.
    pub(crate) fn of(
        client: &Client,
        namespace: String,
        (lock, why): (String, Why),
        grant: &wire::Grant,
    ) -> Self {
        Self {
            client: client.clone(),
            namespace,
            lock,
            id: grant.lease_id.clone(),
            ttl: Duration::from_millis(grant.ttl_ms),
            why,
            gives_reason: Arc::default(),
        }
    }

    /// Asks to lengthen it, each time for a third of its ttl at most. A denial is asked again with
    /// the reason and the ticket of the acquire, and so are the renewals after it: a break-glass principal passes
    /// an overridable denial with it. Others do not carry it, because a gateway of an earlier
    /// version does not know it.
    pub(crate) async fn renew(&self) -> Result<wire::Grant, Error> {
        let given = self.gives_reason.load(Ordering::Relaxed);
        let answer = self.renew_once(given).await;
        let denied = |error: &Error| error.problem().is_some_and(|p| p.denial.is_some());
        match answer {
            Err(error) if denied(&error) && !given && self.why.reason.is_some() => {
                self.gives_reason.store(true, Ordering::Relaxed);
                self.renew_once(true).await
            }
            answer => answer,
        }
    }

    async fn renew_once(&self, with_reason: bool) -> Result<wire::Grant, Error> {
        let why = self.why.clone();
        let request = wire::RenewRequest {
            lease_id: self.id.clone(),
            ttl_ms: None,
            reason: why.reason.filter(|_| with_reason),
            ticket: why.ticket.filter(|_| with_reason),
            override_ttl_ms: None,
            request_id: None,
        };
        let gateways = self.client.gateways();
        let (asked, _) = gateways.current();
        let answer = self.client.renew(&self.namespace, &self.lock, &request);
        // Where there are several gateways, one that hangs must leave time for the others.
        let share = if gateways.count() == 1 { 3 } else { 6 };
        let limit = (self.ttl / share).min(RENEWAL_LONGEST);
        tokio::time::timeout(limit, answer)
            .await
            .unwrap_or_else(|_| {
                gateways.pass_over(asked);
                Err(Error::Transport {
                    message: format!("no answer to a renewal within {} ms", limit.as_millis()),
                    may_have_taken_effect: true,
                })
            })
    }

    /// Follows what happens to its lock, from now on or after the event with this id.
    pub(crate) async fn watch(&self, after: Option<&str>) -> Result<EventStream, Error> {
        let path = paths::lock(&self.namespace, &self.lock, Some("watch"));
        self.client.events(&path, after).await
    }

    /// Gives it back; asks again if that may help. A repeated release is harmless. With a cooldown
    /// the lock is not granted again for that long.
    pub(crate) async fn release(&self, cooldown: Option<Duration>) -> Result<(), Error> {
        let released = tokio::time::timeout(RELEASING_LONGEST, self.release_repeatedly(cooldown));
        released.await.unwrap_or_else(|_| {
            Err(Error::Transport {
                message: "no answer to the release".to_owned(),
                may_have_taken_effect: true,
            })
        })
    }

    async fn release_repeatedly(&self, cooldown: Option<Duration>) -> Result<(), Error> {
        let rounded = |cooldown: Duration| {
            let ms = cooldown.as_nanos().div_ceil(1_000_000);
            u64::try_from(ms).unwrap_or(u64::MAX)
        };
        let cooldown_ms = cooldown.map(rounded);
        let mut backoff = Backoff::default();
        loop {
            let request = wire::ReleaseRequest {
                lease_id: self.id.clone(),
                cooldown_ms,
                request_id: None,
            };
            let answer = self
                .client
                .release(&self.namespace, &self.lock, &request)
                .await;
            let Err(error) = answer else {
                return Ok(());
            };
            let pause = backoff.pause(error.retry_after_ms());
            if !error.is_retryable() || backoff.failures() >= RELEASES_MAX {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// Whether an answer to a renewal says that the lease is over. A renewal that is denied, or that
/// fails, does not shorten the lease.
pub(crate) fn is_over(error: &Error) -> bool {
    error.problem().is_some_and(|problem| {
        matches!(
            problem.code,
            ErrorCode::LeaseLost | ErrorCode::LeaseEnded | ErrorCode::NotHolder
        )
    })
}

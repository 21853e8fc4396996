//! How much one client may ask for: rates and counts per address, per key and per namespace.
//!
//! An address is a client's only where no proxy stands in between; behind proxies that the
//! configuration trusts it is the one that they report (`Proxies`).

mod address;
mod count;
mod in_flight;
mod proxies;
mod rate;

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use axum::http::HeaderValue;
use leasehold_core::config::Config;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_core::telemetry::Metrics;
use leasehold_domain::Clock;
use leasehold_domain::NamespaceName;

use self::count::Counts;
use self::in_flight::InFlight;
use self::in_flight::InFlightLimit;
use self::rate::Rates;

pub(crate) use self::address::AddressGroup;
pub(crate) use self::count::Place;
pub(crate) use self::proxies::ClientAddress;
pub(crate) use self::proxies::Proxies;

/// How many seconds' worth of failed authentications an address may use at once.
const FAILURE_BURST_S: u32 = 10;
/// When a client that has too many watches or waits may try again.
const COUNT_RETRY_AFTER_MS: u64 = 1_000;

/// What identifies a caller to limits: an API key by its id, a token by its subject.
pub(crate) type Caller = Arc<str>;

/// The limits of one gateway, and what counts against them.
pub struct Limiter {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    proxies: Proxies,
    by_address: Rates<AddressGroup>,
    by_key: Rates<str>,
    by_namespace: Rates<str>,
    failures: Rates<AddressGroup>,
    watches: PerCaller,
    waits: PerCaller,
    in_flight: Arc<InFlightLimit>,
}

/// A request that counts towards the limit of its client. The layer around all handlers and the
/// handler share it: a handler that waits for a lock releases it before it waits.
#[derive(Debug, Clone)]
pub(crate) struct InFlightRequest(Arc<Mutex<Option<InFlight>>>);

impl InFlightRequest {
    /// Lets the client's next request begin.
    pub(crate) fn release(&self) {
        let in_flight = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(in_flight);
    }
}

/// Counts of one thing, per key and per namespace.
struct PerCaller {
    by_key: Arc<Counts>,
    by_namespace: Arc<Counts>,
    what: [&'static str; 2],
}

/// A watch or a wait that is counted; given back when dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    _of_key: Place,
    _of_namespace: Place,
    gauge: prometheus::IntGauge,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

impl PerCaller {
    fn new(key_max: usize, namespace_max: usize, what: [&'static str; 2]) -> Self {
        Self {
            by_key: Counts::new(key_max),
            by_namespace: Counts::new(namespace_max),
            what,
        }
    }

    /// Counts one more, or says which limit it would pass.
    fn enter(&self, caller: &str, namespace: &str) -> Result<(Place, Place), &'static str> {
        let of_key = self.by_key.enter(caller).ok_or(self.what[0])?;
        let of_namespace = self.by_namespace.enter(namespace).ok_or(self.what[1])?;
        Ok((of_key, of_namespace))
    }
}

impl Limiter {
    /// Sets up the limits of the configuration.
    pub fn new(config: &Config, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let limits = &config.limits;
        let watches = ["watches_per_key", "watches_per_namespace"];
        let waits = ["waits_per_key", "waits_per_namespace"];
        let failures = limits.failed_authentications_per_address_per_s;
        Self {
            clock,
            metrics,
            proxies: Proxies::new(&config.listen.proxies),
            in_flight: InFlightLimit::new(limits.concurrent_requests_per_key_max),
            by_address: Rates::new(limits.requests_per_address_per_s, 1),
            by_key: Rates::new(limits.requests_per_key_per_s, 1),
            by_namespace: Rates::new(limits.requests_per_namespace_per_s, 1),
            failures: Rates::new(failures, FAILURE_BURST_S),
            watches: PerCaller::new(
                limits.watches_per_key_max,
                limits.watches_per_namespace_max,
                watches,
            ),
            waits: PerCaller::new(
                limits.waits_per_key_max,
                limits.waits_per_namespace_max,
                waits,
            ),
        }
    }

    /// Which peers are proxies, and how they report a client's address.
    pub(crate) fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// Waits until the request may begin, by the limit on the requests of one client that are in
    /// flight. A client is an address with a credential, in a namespace. The credential is not
    /// checked yet: because the address counts too, nobody can use up the limit of somebody else.
    pub(crate) async fn begin(
        &self,
        address: AddressGroup,
        credential: Option<&HeaderValue>,
        namespace: Option<&str>,
    ) -> InFlightRequest {
        let client = (credential.map(HeaderValue::as_bytes), namespace);
        let in_flight = self
            .in_flight
            .take(address, client, || self.metrics.held_back());
        InFlightRequest(Arc::new(Mutex::new(Some(in_flight.await))))
    }

    /// Counts a request of an address.
    ///
    /// # Errors
    /// `rate_limited`: the address sends too many.
    pub(crate) fn admit_address(&self, address: AddressGroup) -> Result<(), Failure> {
        let taken = self.by_address.take(&address, self.clock.monotonic());
        taken.map_err(|wait| self.limited("requests_per_address", wait))
    }

    /// Counts a request of a caller, in a namespace if it names one. A renewal or release is counted
    /// and never refused: a refusal would end healthy leases.
    ///
    /// # Errors
    /// `rate_limited`: the caller sends too many, or its namespace gets too many.
    pub(crate) fn admit_caller(
        &self,
        caller: &str,
        namespace: Option<&str>,
        keeps_leases: bool,
    ) -> Result<(), Failure> {
        let now = self.clock.monotonic();
        let by_key = self.by_key.take(caller, now);
        let by_namespace = match namespace {
            Some(namespace) if by_key.is_ok() => self.by_namespace.take(namespace, now),
            _ => Ok(()),
        };
        if keeps_leases {
            return Ok(());
        }
        by_key.map_err(|wait| self.limited("requests_per_key", wait))?;
        by_namespace.map_err(|wait| self.limited("requests_per_namespace", wait))
    }

    /// Whether an address has used up its failed authentications.
    pub(crate) fn has_failed_too_often(&self, address: AddressGroup) -> bool {
        !self.failures.has_token(&address, self.clock.monotonic())
    }

    /// Counts a failed authentication.
    ///
    /// # Errors
    /// `rate_limited`: the address has had too many.
    pub(crate) fn failed(&self, address: AddressGroup) -> Result<(), Failure> {
        let taken = self.failures.take(&address, self.clock.monotonic());
        taken.map_err(|wait| self.limited("failed_authentications", wait))
    }

    /// Counts a watch for as long as the result lives.
    ///
    /// # Errors
    /// `rate_limited`: the caller or the namespace has too many.
    pub(crate) fn watch(&self, caller: &str, in_: &NamespaceName) -> Result<Counted, Failure> {
        self.enter(&self.watches, caller, in_, self.metrics.watches())
    }

    /// Counts a waiting acquire for as long as the result lives.
    ///
    /// # Errors
    /// `rate_limited`: the caller or the namespace has too many.
    pub(crate) fn wait(&self, caller: &str, in_: &NamespaceName) -> Result<Counted, Failure> {
        self.enter(&self.waits, caller, in_, self.metrics.waits())
    }

    fn enter(
        &self,
        counts: &PerCaller,
        caller: &str,
        namespace: &NamespaceName,
        gauge: &prometheus::IntGauge,
    ) -> Result<Counted, Failure> {
        let wait = Duration::from_millis(COUNT_RETRY_AFTER_MS);
        let (of_key, of_namespace) = counts
            .enter(caller, namespace.as_str())
            .map_err(|what| self.limited(what, wait))?;
        gauge.inc();
        Ok(Counted {
            _of_key: of_key,
            _of_namespace: of_namespace,
            gauge: gauge.clone(),
        })
    }

    fn limited(&self, what: &'static str, wait: Duration) -> Failure {
        self.metrics.limited(what);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Failure {
            retry_after_ms: Some(wait_ms.max(1)),
            ..Failure::new(
                FailureKind::RateLimited,
                format!("too many at once: the limit {what} is reached"),
            )
        }
    }
}

#[cfg(test)]
mod tests;

//! `[limits]`

use leasehold_domain::limits::NAMESPACE_CAP_MAX;
use serde::Deserialize;
use serde::Serialize;

use super::ConfigError;

/// How much to take at once, and for how long. Limits of the API itself are in
/// `leasehold_domain::limits` and are not configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most connections of one listener; more wait in the kernel's backlog.
    pub connections_max: usize,
    /// Most connections of one client's address on one listener.
    pub connections_per_address_max: usize,
    /// Most requests a second from one client's address; 0 for no limit.
    pub requests_per_address_per_s: u32,
    /// Most requests a second with one key; 0 for no limit.
    pub requests_per_key_per_s: u32,
    /// Most requests a second in one namespace; 0 for no limit.
    pub requests_per_namespace_per_s: u32,
    /// Most failed authentications a second from one client's address, ten seconds' worth at once;
    /// 0 for no limit.
    pub failed_authentications_per_address_per_s: u32,
    /// Most requests of one client in flight at once; further ones wait. Waiting acquires and watches
    /// do not count.
    pub concurrent_requests_per_key_max: usize,
    /// Most watches with one key.
    pub watches_per_key_max: usize,
    /// Most watches in one namespace.
    pub watches_per_namespace_max: usize,
    /// Most acquires with one key that wait.
    pub waits_per_key_max: usize,
    /// Most acquires in one namespace that wait.
    pub waits_per_namespace_max: usize,
    /// Most locks that are held or waited for, of each namespace that has no cap of its own; 0 for no
    /// cap.
    pub namespace_locks_max: u64,
    /// Most acquires that wait, of each namespace that has no cap of its own; 0 for no cap.
    pub namespace_waiters_max: u64,
    /// Most bytes that the events of a namespace take in the ledger, where it has no cap of its own;
    /// 0 for no cap.
    pub namespace_ledger_bytes_max: u64,
    /// How long a watch may leave an event unread before its connection is closed.
    pub watch_unread_deadline_ms: u64,
    /// Most requests under way, waiting ones included; more are answered 503 at once, but health
    /// and metrics are always served.
    pub requests_max: usize,
    /// Within which a request's head must have arrived, counted from its first byte, and a TLS
    /// handshake must be done.
    pub header_deadline_ms: u64,
    /// Within which a request's body must have arrived.
    pub body_deadline_ms: u64,
    /// How long a connection may be idle between requests, and a client may take no byte of its
    /// answer.
    pub idle_deadline_ms: u64,
    /// How long requests under way may take to finish when the gateway stops.
    pub drain_deadline_ms: u64,
    /// Largest request head.
    pub header_bytes_max: usize,
    /// Largest request body, except for uploads of policy modules.
    pub body_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_address_max: 5_000,
            requests_per_address_per_s: 50_000,
            requests_per_key_per_s: 50_000,
            requests_per_namespace_per_s: 50_000,
            failed_authentications_per_address_per_s: 20,
            concurrent_requests_per_key_max: 128,
            watches_per_key_max: 2_500,
            watches_per_namespace_max: 5_000,
            waits_per_key_max: 4_096,
            waits_per_namespace_max: 6_144,
            namespace_locks_max: 0,
            namespace_waiters_max: 0,
            namespace_ledger_bytes_max: 0,
            watch_unread_deadline_ms: 10_000,
            requests_max: 8_192,
            header_deadline_ms: 10_000,
            body_deadline_ms: 10_000,
            idle_deadline_ms: 75_000,
            drain_deadline_ms: 10_000,
            header_bytes_max: 16_384,
            body_bytes_max: leasehold_domain::limits::BODY_BYTES_MAX,
        }
    }
}

impl Limits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.check_counts()?;
        let deadlines = [
            ("header_deadline_ms", self.header_deadline_ms),
            ("body_deadline_ms", self.body_deadline_ms),
            ("idle_deadline_ms", self.idle_deadline_ms),
            ("watch_unread_deadline_ms", self.watch_unread_deadline_ms),
        ];
        for (key, value) in deadlines {
            within(key, value, 10, 3_600_000)?;
        }
        let rates = [
            (
                "requests_per_address_per_s",
                self.requests_per_address_per_s,
            ),
            ("requests_per_key_per_s", self.requests_per_key_per_s),
            (
                "requests_per_namespace_per_s",
                self.requests_per_namespace_per_s,
            ),
            (
                "failed_authentications_per_address_per_s",
                self.failed_authentications_per_address_per_s,
            ),
        ];
        for (key, value) in rates {
            within(key, u64::from(value), 0, 1_000_000)?;
        }
        let caps = [
            ("namespace_locks_max", self.namespace_locks_max),
            ("namespace_waiters_max", self.namespace_waiters_max),
            (
                "namespace_ledger_bytes_max",
                self.namespace_ledger_bytes_max,
            ),
        ];
        for (key, value) in caps {
            within(key, value, 0, NAMESPACE_CAP_MAX)?;
        }
        within("drain_deadline_ms", self.drain_deadline_ms, 0, 3_600_000)
    }

    fn check_counts(&self) -> Result<(), ConfigError> {
        let counts = [
            ("connections_max", self.connections_max, 1, 1_000_000),
            ("requests_max", self.requests_max, 1, 1_000_000),
            (
                "connections_per_address_max",
                self.connections_per_address_max,
                1,
                1_000_000,
            ),
            (
                "concurrent_requests_per_key_max",
                self.concurrent_requests_per_key_max,
                1,
                1_000_000,
            ),
            (
                "watches_per_key_max",
                self.watches_per_key_max,
                0,
                1_000_000,
            ),
            (
                "watches_per_namespace_max",
                self.watches_per_namespace_max,
                0,
                1_000_000,
            ),
            ("waits_per_key_max", self.waits_per_key_max, 0, 1_000_000),
            (
                "waits_per_namespace_max",
                self.waits_per_namespace_max,
                0,
                1_000_000,
            ),
            // hyper's read buffer cannot be smaller.
            ("header_bytes_max", self.header_bytes_max, 8_192, 1_048_576),
            (
                "body_bytes_max",
                self.body_bytes_max,
                4_096,
                leasehold_domain::limits::BODY_BYTES_MAX,
            ),
        ];
        counts.into_iter().try_for_each(|(key, value, min, max)| {
            within(key, value as u64, min as u64, max as u64)
        })
    }
}

fn within(key: &str, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::at(
        &format!("limits.{key}"),
        format!("must be {min} to {max}, not {value}"),
    ))
}

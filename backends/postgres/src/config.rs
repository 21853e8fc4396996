//! How the store is reached, and what it must be.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::Levels;
use secrecy::SecretString;

use crate::memory::Memory;

/// How the store is reached, and what it must be.
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    /// `postgresql://user@host:port/database`; several hosts with commas between them, of which
    /// the primary with the newest timeline is taken. Without a password.
    pub url: String,
    /// The password, if one is asked for.
    pub password: Option<SecretString>,
    /// PEM file of the authorities that the server's certificate must come from. With it the
    /// connection is encrypted and the server's name checked; without it, neither.
    pub tls_ca: Option<PathBuf>,
    /// Whether a server on another machine may be spoken to without encryption.
    pub insecure_without_tls: bool,
    /// Whether a primary without a synchronous standby is good enough. The loss of its disk then
    /// loses locks that were granted.
    pub allow_unreplicated: bool,
    /// The database's system identifier (`SELECT system_identifier FROM pg_control_system()`).
    /// Servers of any other cluster are fenced.
    pub system_identifier: Option<i64>,
    /// The least timeline that a primary may write. One on an older timeline is fenced.
    pub timeline_min: Option<i32>,
    /// Where to keep what this gateway sees of the database's history. Without it a restarted
    /// gateway cannot tell an old primary.
    pub memory: Option<Arc<dyn Memory>>,
    /// Who reads all events: events are kept for the slowest of these. Gateways with ledgers of
    /// their own have names of their own.
    pub consumer: String,
    /// A name that this reader had before: nothing is kept for that one any more.
    pub former_consumer: Option<String>,
    /// How long one transaction may take, waiting for others included. After that its effect is
    /// unknown, and the connection is given up.
    pub transaction_deadline: Duration,
    /// How often to look for writes of other gateways while there are none of this one's.
    pub poll_every: Duration,
    /// How often changed records are moved from the log into their rows.
    pub fold_every: Duration,
    /// The most by which one look at the clock moves logical time.
    pub step_max: Duration,
    /// Commands in one transaction at most.
    pub batch_commands_max: usize,
    /// Requests that may wait; one more is refused as overloaded.
    pub queue_max: usize,
    /// The feature levels of a store that this build can use.
    pub levels: Levels,
}

impl PostgresConfig {
    /// The database at `url`, with everything else as it should be.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            password: None,
            tls_ca: None,
            insecure_without_tls: false,
            allow_unreplicated: false,
            system_identifier: None,
            timeline_min: None,
            memory: None,
            consumer: "default".to_owned(),
            former_consumer: None,
            transaction_deadline: Duration::from_secs(5),
            poll_every: Duration::from_millis(50),
            fold_every: Duration::from_millis(500),
            step_max: Duration::from_millis(200),
            batch_commands_max: 1_000,
            queue_max: 16_384,
            levels: Levels::of_build(),
        }
    }
}

//! How the store is reached.

use std::path::PathBuf;
use std::time::Duration;

use leasehold_backend_api::Levels;
use secrecy::SecretString;

/// How the store is reached.
#[derive(Debug, Clone)]
pub struct EtcdConfig {
    /// The members' client URLs, `https://host:port` or `http://host:port`, of one cluster. The
    /// first that answers is used, and another when it does not answer any more.
    pub endpoints: Vec<String>,
    /// What all keys begin with. Nobody else may write there.
    pub prefix: String,
    /// Who to be, if the cluster asks.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<SecretString>,
    /// PEM file of the authorities that the members' certificates must come from; needed for
    /// `https`.
    pub tls_ca: Option<PathBuf>,
    /// PEM file of a certificate to show, with its chain.
    pub tls_cert: Option<PathBuf>,
    /// PEM file of its key.
    pub tls_key: Option<PathBuf>,
    /// Whether members on other machines may be spoken to without encryption.
    pub insecure_without_tls: bool,
    /// Who reads all events: events are kept for the slowest of these. Gateways with ledgers of
    /// their own have names of their own.
    pub consumer: String,
    /// How long one call may take. After that its effect is unknown, and another member is tried.
    pub transaction_deadline: Duration,
    /// How often to ask for the store's revision while there are no writes of this gateway.
    pub poll_every: Duration,
    /// How often to let etcd forget the history before the last time: it keeps every version of
    /// every key until it is told to. None if somebody else sees to that.
    pub compact_every: Option<Duration>,
    /// And as soon as this gateway has written so many bytes since: with a thousand writes a second
    /// etcd's default quota of 2 GB can be full before the time is over.
    pub compact_after_bytes: u64,
    /// The most by which one look at the clock moves logical time.
    pub step_max: Duration,
    /// Commands in one transaction at most, unless one request alone has more.
    pub batch_commands_max: usize,
    /// Requests that may wait; one more is refused as overloaded.
    pub queue_max: usize,
    /// The feature levels of a store that this build can use.
    pub levels: Levels,
}

impl EtcdConfig {
    /// The cluster at these endpoints, with everything else as it should be.
    #[must_use]
    pub fn new(endpoints: Vec<String>) -> Self {
        Self {
            endpoints,
            prefix: "/leasehold/".to_owned(),
            user: None,
            password: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            insecure_without_tls: false,
            consumer: "default".to_owned(),
            transaction_deadline: Duration::from_secs(5),
            poll_every: Duration::from_millis(100),
            compact_every: Some(Duration::from_secs(30)),
            compact_after_bytes: 64 * 1_024 * 1_024,
            step_max: Duration::from_millis(200),
            batch_commands_max: 96,
            queue_max: 16_384,
            levels: Levels::of_build(),
        }
    }
}

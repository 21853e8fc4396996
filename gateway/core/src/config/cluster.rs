//! `[cluster]`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::ConfigError;

/// How gateways that share the embedded store reach each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Where this gateway listens to its peers; none for a gateway that is alone.
    #[serde(
        deserialize_with = "crate::input::optional_address",
        skip_serializing_if = "Option::is_none"
    )]
    pub listen: Option<SocketAddr>,
    /// Where its peers find it, `host:port`; none for where it listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
    /// A gateway with an empty data folder waits to be taken in.
    pub join: bool,
    /// How long a request waits for a leader, and for the members to agree, in milliseconds.
    pub commit_deadline_ms: u64,
    /// Asks by name for what is refused otherwise: peers without TLS, on loopback only.
    pub insecure_without_tls: bool,
    /// Certificate, key and authority of the peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<PeerTls>,
}

/// What peers know each other by, PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerTls {
    /// The certificate chain, the gateway's own first; it names the host of `advertise`.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// The authority of all peers, and of nobody else.
    pub ca: PathBuf,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            listen: None,
            advertise: None,
            join: false,
            commit_deadline_ms: 5_000,
            insecure_without_tls: false,
            tls: None,
        }
    }
}

impl Cluster {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !(100..=60_000).contains(&self.commit_deadline_ms) {
            return Err(ConfigError::at(
                "cluster.commit_deadline_ms",
                "100 to 60000",
            ));
        }
        if let Some(advertise) = &self.advertise {
            let port = advertise
                .rsplit_once(':')
                .map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(1..))) {
                return Err(ConfigError::at("cluster.advertise", "must be host:port"));
            }
        }
        let Some(listen) = self.listen else {
            return match self.join {
                true => Err(ConfigError::at("cluster.join", "needs cluster.listen")),
                false => Ok(()),
            };
        };
        match (&self.tls, self.insecure_without_tls) {
            (Some(_), false) => Ok(()),
            (Some(_), true) => Err(ConfigError::at(
                "cluster.insecure_without_tls",
                "contradicts cluster.tls",
            )),
            (None, true) if listen.ip().is_loopback() => Ok(()),
            (None, true) => Err(ConfigError::at(
                "cluster.listen",
                format!("{listen} is beyond loopback: peers need cluster.tls there"),
            )),
            (None, false) => Err(ConfigError::at(
                "cluster.tls",
                "missing; between gateways of one machine, cluster.insecure_without_tls = true asks \
                 for peers without it",
            )),
        }
    }

    /// How long a request waits for a leader.
    pub fn agree_within(&self) -> Duration {
        Duration::from_millis(self.commit_deadline_ms)
    }
}

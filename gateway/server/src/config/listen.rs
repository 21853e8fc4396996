//! `[listen]`

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use super::ConfigError;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Of the API. Port 0 picks a free one.
    pub address: SocketAddr,
    /// Of administration, audit and metrics; if set, they are served there and nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_address: Option<SocketAddr>,
    /// Certificate and key; none for plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Asks by name for what is refused otherwise: listening beyond loopback without TLS.
    pub insecure_without_tls: bool,
}

/// A certificate and its key, PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, the server's own first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 7878)),
            admin_address: None,
            tls: None,
            insecure_without_tls: false,
        }
    }
}

impl Listen {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.tls.is_some() || self.insecure_without_tls {
            return Ok(());
        }
        let addresses = [
            ("listen.address", Some(self.address)),
            ("listen.admin_address", self.admin_address),
        ];
        for (key, address) in addresses {
            let Some(address) = address.filter(|address| !address.ip().is_loopback()) else {
                continue;
            };
            return Err(ConfigError::at(
                key,
                format!(
                    "{address} is beyond loopback and there is no TLS; \
                     set listen.tls, or ask for it by listen.insecure_without_tls = true"
                ),
            ));
        }
        Ok(())
    }
}

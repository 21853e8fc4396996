//! `[listen]`

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;
use serde::Serialize;

use super::ConfigError;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Of the API. Port 0 picks a free one.
    #[serde(deserialize_with = "crate::input::address")]
    pub address: SocketAddr,
    /// Of administration, audit and metrics; if set, they are served there and nowhere else.
    #[serde(
        deserialize_with = "crate::input::optional_address",
        skip_serializing_if = "Option::is_none"
    )]
    pub admin_address: Option<SocketAddr>,
    /// The names by which clients call the gateway; if any are given, a request whose `Host` is
    /// another one is refused. Ports do not matter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Certificate and key; none for plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Asks by name for what is refused otherwise: listening beyond loopback without TLS.
    pub insecure_without_tls: bool,
    /// The proxies in front, which know the clients' addresses.
    pub proxies: ListenProxies,
}

/// Proxies and load balancers in front of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenProxies {
    /// Their addresses or networks. Nobody else's report of a client's address is believed.
    pub trusted: Vec<Network>,
    /// How they report it.
    pub report: ProxyReport,
}

/// How a proxy reports the address of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyReport {
    /// By the header `Forwarded` of each request (RFC 7239).
    #[default]
    Forwarded,
    /// By the header `X-Forwarded-For` of each request.
    XForwardedFor,
    /// By a header of the PROXY protocol, version 1 or 2, at the beginning of each connection.
    ProxyProtocol,
}

/// An address or a network, such as `10.1.2.3` or `10.1.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

impl Network {
    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let network = address.or_else(|_| text.parse::<IpNet>());
        network
            .map(Self)
            .map_err(|_| format!("{text:?} is not an address or a network such as 10.1.0.0/16"))
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.0.to_string()
    }
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
            hosts: Vec::new(),
            tls: None,
            insecure_without_tls: false,
            proxies: ListenProxies::default(),
        }
    }
}

impl Listen {
    /// The addresses beyond loopback that are served without TLS, because the configuration asks
    /// for it: whoever is on the way reads keys and leases.
    pub fn unprotected(&self) -> Vec<SocketAddr> {
        if self.tls.is_some() {
            return Vec::new();
        }
        let addresses = [Some(self.address), self.admin_address];
        let addresses = addresses.into_iter().flatten();
        addresses
            .filter(|address| !address.ip().is_loopback())
            .collect()
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
        let wrong = |host: &&String| host.is_empty() || !host.bytes().all(is_name);
        if let Some(wrong) = self.hosts.iter().find(wrong) {
            let problem = format!("{wrong:?} is not the name or address of a host");
            return Err(ConfigError::at("listen.hosts", problem));
        }
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

//! Which peers are proxies, and the client's address as they report it.

use std::net::IpAddr;
use std::net::SocketAddr;

use axum::http::HeaderMap;
use axum::http::header::FORWARDED;
use leasehold_core::config;
use leasehold_core::config::Network;
use leasehold_core::config::ProxyReport as Report;

use super::AddressGroup;

/// Most hops of one request that are read; the ones after them are taken as the client's.
const HOPS_MAX: usize = 32;

/// The client of one request, as limits know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl ClientAddress {
    /// What counts as one client.
    pub(crate) fn group(self) -> AddressGroup {
        self.0.into()
    }
}

/// The proxies that are believed.
#[derive(Debug, Clone)]
pub(crate) struct Proxies {
    trusted: Vec<Network>,
    report: Report,
}

impl Proxies {
    /// The proxies of a configuration.
    pub(crate) fn new(config: &config::ListenProxies) -> Self {
        Self {
            trusted: config.trusted.clone(),
            report: config.report,
        }
    }

    /// Whether a peer is a proxy whose report is believed.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted.iter().any(|net| net.contains(peer))
    }

    /// Whether a connection of this peer begins with a header of the PROXY protocol.
    pub(crate) fn begins_with_header(&self, peer: IpAddr) -> bool {
        self.report == Report::ProxyProtocol && self.trusts(peer)
    }

    /// The client of a request: the peer, or the last address in the report of trusted proxies that
    /// is not a trusted proxy itself. What stands before that one anybody can have written.
    pub(crate) fn client_of(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return ClientAddress(peer);
        }
        let hops = match self.report {
            Report::ProxyProtocol => Vec::new(),
            Report::Forwarded => forwarded(headers),
            Report::XForwardedFor => listed(headers, "x-forwarded-for"),
        };
        let mut client = peer;
        for hop in hops.iter().rev().take(HOPS_MAX) {
            let Some(address) = parse(hop) else {
                break;
            };
            client = address;
            if !self.trusts(address) {
                break;
            }
        }
        ClientAddress(client)
    }
}

/// The rows of a header that is a list, over all lines of that name.
fn listed(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lines = headers.get_all(name).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(',').map(|row| row.trim().to_owned()))
        .collect()
}

/// The `for` of each hop in `Forwarded` headers (RFC 7239). A hop without one is unknown.
fn forwarded(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(FORWARDED).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let hops = lines.flat_map(|line| split_quoted(line, ','));
    hops.map(|hop| {
        let pairs = split_quoted(hop, ';').filter_map(|pair| pair.trim().split_once('='));
        let named = |(name, _): &(&str, &str)| name.trim().eq_ignore_ascii_case("for");
        let mut addresses = pairs.filter(named).map(|(_, value)| unquoted(value));
        addresses.next().unwrap_or_default()
    })
    .collect()
}

/// Splits at a separator that does not stand in quotes.
fn split_quoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return c == separator && !quoted,
        }
        false
    })
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    inner.unwrap_or(text).replace('\\', "")
}

/// An address with or without a port; IPv6 in brackets or without.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>();
    let address = address.or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

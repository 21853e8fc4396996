//! URLs of services that the gateway believes.

/// Whether what comes from a URL comes from its host: over plain HTTP it could be anybody's.
pub(super) fn is_trustworthy(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else {
        return false;
    };
    let loopback = || matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    url.scheme() == "https" || (url.scheme() == "http" && loopback())
}

/// Returns whether a path can be appended to a URL that contains no credentials.
pub(super) fn is_base(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| {
        url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

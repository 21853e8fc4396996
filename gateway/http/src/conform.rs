//! What RFC 9112 asks of a request beyond what the parser checks: whose it is must have one answer,
//! so that no intermediary can understand another request than the gateway does.

use std::sync::Arc;

use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::Version;
use axum::http::header;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::Response;
use leasehold_domain::RequestId;
use leasehold_wire::v1::error::ErrorCode;

use super::extract;
use super::problem;
use super::problem::Refusal;
use crate::listener::BareLineFeed;

/// Checks a request before it is routed. `hosts` are the gateway's names, if they are known.
///
/// # Errors
/// `bad_request` if its line ends, its `Host` or its target are wrong; `unsupported_media_type` if
/// its body is encoded.
pub(super) fn check(request: &Request, hosts: &[String]) -> Result<(), Refusal> {
    if request.extensions().get::<BareLineFeed>().is_some() {
        return Err(bad("every line of a request's head must end with CR LF"));
    }
    let host = host(request)?;
    if let Some(host) = host
        && !hosts.is_empty()
        && !hosts.iter().any(|ours| is_called(ours, host))
    {
        let message = format!("host: {host:?} is not a name of this gateway (listen.hosts)");
        return Err(bad(&message));
    }
    if let (Some(scheme), Some(authority)) = (request.uri().scheme_str(), request.uri().authority())
    {
        let names_host = host.is_none_or(|host| host.eq_ignore_ascii_case(authority.as_str()));
        if !["http", "https"].contains(&scheme) || !names_host {
            return Err(bad(
                "target: must be a path, or an http URL of the server that host names",
            ));
        }
    }
    let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !codings.next().is_none_or(is_chunked) || codings.next().is_some() {
        return Err(bad("transfer-encoding: must be chunked, once, or absent"));
    }
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        let message = "content-encoding: bodies are taken as they are, without an encoding";
        return Err(Refusal::new(ErrorCode::UnsupportedMediaType, message));
    }
    Ok(())
}

/// Lets only conforming requests pass; for a router without the layer that counts.
pub(super) async fn only(
    State(hosts): State<Arc<[String]>>,
    request: Request,
    next: Next,
) -> Response {
    match check(&request, &hosts) {
        Ok(()) => next.run(request).await,
        Err(failure) => refuse(failure, &extract::request_id(request.headers())),
    }
}

/// The answer to a request that [`check`] refused. The connection is closed after a request that
/// could be understood in two ways.
pub(super) fn refuse(refusal: Refusal, request_id: &RequestId) -> Response {
    let code = refusal.code;
    let mut response = problem::respond(refusal, request_id);
    let (name, value) = match code {
        ErrorCode::UnsupportedMediaType => (header::ACCEPT_ENCODING, "identity"),
        _ => (header::CONNECTION, "close"),
    };
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    response
}

fn bad(message: &str) -> Refusal {
    Refusal::new(ErrorCode::BadRequest, message)
}

/// The one valid `Host`; HTTP/1.0 may do without.
fn host(request: &Request) -> Result<Option<&str>, Refusal> {
    let mut given = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (given.next(), given.next()) else {
        return match request.headers().contains_key(header::HOST) {
            true => Err(bad("host: given more than once")),
            false if request.version() == Version::HTTP_10 => Ok(None),
            false => Err(bad("host: is missing")),
        };
    };
    let host = host.to_str().ok().filter(|host| is_host(host));
    host.map(Some)
        .ok_or_else(|| bad("host: must be a name or address, and a port if one is needed"))
}

/// Whether a `Host` is this name, whatever its port.
fn is_called(name: &str, host: &str) -> bool {
    let (called, rest) = match host.split_at_checked(name.len()) {
        Some(parts) => parts,
        None => return false,
    };
    called.eq_ignore_ascii_case(name) && (rest.is_empty() || rest.starts_with(':'))
}

/// Whether the text is `HOST` or `HOST:PORT`.
fn is_host(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let Some(port) = text.strip_prefix(host) else {
        return false;
    };
    let is_port = |port: &str| {
        port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
    };
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._~:".contains(&b);
    !name.is_empty()
        && name.bytes().all(is_name)
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(target: &str, hosts: &[&str]) -> Request {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header("host", *host);
        }
        request.body(Body::empty()).unwrap()
    }

    fn refused(name: &'static str, values: &[&'static str]) -> Option<ErrorCode> {
        let mut asked = request("/healthz", &["a"]);
        for value in values {
            let value = HeaderValue::from_static(value);
            asked.headers_mut().append(name, value);
        }
        check(&asked, &[]).err().map(|failure| failure.code)
    }

    #[test]
    fn a_body_has_no_encoding_but_chunks() {
        for coding in ["chunked", "Chunked"] {
            assert_eq!(refused("transfer-encoding", &[coding]), None, "{coding}");
        }
        let codings: [&[&str]; 5] = [
            &["gzip, chunked"],
            &["gzip", "chunked"],
            &["chunked, chunked"],
            &["chunked", "chunked"],
            &["identity"],
        ];
        for codings in codings {
            let code = refused("transfer-encoding", codings);
            assert_eq!(code, Some(ErrorCode::BadRequest), "{codings:?}");
        }
        for coding in ["gzip", "identity"] {
            let code = refused("content-encoding", &[coding]);
            assert_eq!(code, Some(ErrorCode::UnsupportedMediaType), "{coding}");
        }
    }

    #[test]
    fn a_request_is_for_one_server() {
        for (target, host) in [
            ("/healthz", "gateway"),
            ("/healthz", "gateway.example:7878"),
            ("/healthz", "127.0.0.1:1"),
            ("/healthz", "[::1]:7878"),
            ("/healthz", "[::1]"),
            ("/healthz", "a_b:"),
            ("http://Gateway:1/healthz", "gateway:1"),
        ] {
            let checked = check(&request(target, &[host]), &[]);
            assert!(checked.is_ok(), "{target} {host}: {checked:?}");
        }
        for (target, hosts) in [
            ("/healthz", &[][..]),
            ("/healthz", &["a", "a"][..]),
            ("/healthz", &["a", "b"][..]),
            ("/healthz", &[""][..]),
            ("/healthz", &["a b"][..]),
            ("/healthz", &["a,b"][..]),
            ("/healthz", &["a/b"][..]),
            ("/healthz", &["user@a"][..]),
            ("/healthz", &["a:b"][..]),
            ("/healthz", &["a:70000"][..]),
            ("/healthz", &["a:+1"][..]),
            ("/healthz", &["[::1"][..]),
            ("/healthz", &["http://a"][..]),
            ("/healthz", &["%61"][..]),
            ("http://a/healthz", &["b"][..]),
            ("http://a/healthz", &[][..]),
            ("http://u@a/healthz", &["a"][..]),
            ("ftp://a/healthz", &["a"][..]),
        ] {
            let failure = check(&request(target, hosts), &[]).unwrap_err();
            assert_eq!(failure.code, ErrorCode::BadRequest, "{target} {hosts:?}");
        }
        let names = ["locks.example".to_owned(), "[::1]".to_owned()];
        for (host, ours) in [
            ("locks.example", true),
            ("LOCKS.example:7878", true),
            ("[::1]:7878", true),
            ("locks.example.evil", false),
            ("evil", false),
            ("127.0.0.1", false),
        ] {
            let checked = check(&request("/healthz", &[host]), &names);
            assert_eq!(checked.is_ok(), ours, "{host}");
        }
        let mut old = request("/healthz", &[]);
        *old.version_mut() = Version::HTTP_10;
        assert!(check(&old, &[]).is_ok());
    }
}

//! Counts and times every request under its route, never under its path, and takes no more of them
//! at once than the configuration says.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::MatchedPath;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_wire::v1::paths;

use super::conform;
use super::extract;
use super::problem;
use super::verbs;
use crate::limiting::ClientAddress;
use crate::listener::Peer;
use crate::services::App;

/// What a refused client is told to wait.
const RETRY_AFTER_MS: u64 = 200;

/// The gate of one listener.
#[derive(Debug)]
pub(super) struct Gate {
    app: Arc<App>,
    under_way: AtomicUsize,
}

/// A request under way; its place is given back also if its client leaves.
struct UnderWay<'a>(&'a AtomicUsize);

impl Gate {
    pub(super) fn new(app: Arc<App>) -> Arc<Self> {
        Arc::new(Self {
            app,
            under_way: AtomicUsize::new(0),
        })
    }

    /// Takes a place, or none if the gateway is full; returns how many were taken before.
    fn enter(&self) -> (Option<UnderWay<'_>>, usize) {
        let place = UnderWay(&self.under_way);
        let before = self.under_way.fetch_add(1, Relaxed);
        let has_room = before < self.app.config.limits.requests_max;
        (has_room.then_some(place), before)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What those ask who watch over the gateway: a full one must not look dead to them.
const ALWAYS_SERVED: [&str; 3] = [paths::HEALTHZ, paths::READYZ, paths::METRICS];

/// The one layer around every handler.
pub(super) async fn count(
    State(gate): State<Arc<Gate>>,
    mut request: Request,
    next: Next,
) -> Response {
    let app = &gate.app;
    let began = app.clock.monotonic();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("none", MatchedPath::as_str);
    let method = label(request.method());
    // The parser goes by the chunks and drops a length that stood beside them; whoever forwarded
    // the request may have gone by that length. What follows could be anybody's, so the
    // connection is closed.
    let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let client = client_of(app, &request);
    request.extensions_mut().insert(client);
    let (place, others) = gate.enter();
    // With fewer requests in flight in total, no client can exceed its limit.
    let is_crowded = others >= app.config.limits.concurrent_requests_per_key_max;
    let admitted = match place {
        _ if ALWAYS_SERVED.contains(&route) => Ok(()),
        Some(_) => app.limiter.admit_address(client.group()),
        None => Err(Failure {
            retry_after_ms: Some(RETRY_AFTER_MS),
            ..Failure::new(FailureKind::Overloaded, "too many requests under way")
        }),
    };
    let mut response = if let Err(failure) = admitted {
        problem::respond(failure, &extract::request_id(request.headers()))
    } else if let Err(failure) = conform::check(&request, &app.config.listen.hosts) {
        conform::refuse(failure, &extract::request_id(request.headers()))
    } else if !verbs::takes(route, request.uri().path(), request.method()) {
        let request_id = extract::request_id(request.headers());
        verbs::refuse(route, request.uri().path(), &request_id)
    } else if is_crowded && !ALWAYS_SERVED.contains(&route) {
        within_limit(app, client, request, next).await
    } else {
        next.run(request).await
    };
    if chunked {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    // Answers hold secrets (leases, keys), or are true only now.
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let took = app.clock.monotonic() - began;
    app.metrics
        .served(route, method, response.status().as_u16(), took);
    response
}

/// Runs a request within its client's limit of requests in flight.
async fn within_limit(
    app: &App,
    client: ClientAddress,
    mut request: Request,
    next: Next,
) -> Response {
    let credential = request.headers().get(header::AUTHORIZATION);
    let (namespace, _) = verbs::namespace_and_verb(request.uri().path());
    let in_flight = app
        .limiter
        .begin(client.group(), credential, namespace.as_deref())
        .await;
    request.extensions_mut().insert(in_flight.clone());
    let response = next.run(request).await;
    in_flight.release();
    response
}

/// Whose request it is, as far as limits are concerned.
fn client_of(app: &App, request: &Request) -> ClientAddress {
    let peer = request.extensions().get::<Peer>();
    // Only a test calls a router without a listener.
    let peer = peer.map_or(IpAddr::from(Ipv4Addr::LOCALHOST), |peer| peer.address);
    app.limiter.proxies().client_of(peer, request.headers())
}

/// A method's label in metrics: clients may make up others.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

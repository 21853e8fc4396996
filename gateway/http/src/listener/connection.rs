//! One connection, from its handshake to its end.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::Request;
use axum::http::Response;
use axum::http::header;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use leasehold_core::config::Limits;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tower::Service;

use super::proxy_protocol;
use super::reader::ClientStream;
use super::registry::Place;
use super::unread::RequestBody;
use super::unread::is_drained;
use super::vitals::Order;
use super::vitals::Phase;
use super::vitals::Vitals;
use super::watched::WatchedBody;
use super::watched::WatchedStream;

/// Marks a request with a line in its head that ended with LF alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BareLineFeed;

/// What every connection of a listener needs.
#[derive(Clone)]
pub(super) struct Connections {
    http: http1::Builder,
    router: Router,
    acceptor: Option<TlsAcceptor>,
    handshake_deadline: Duration,
}

/// The other end of a connection, as requests on it see it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Whose connection it is: the peer's address, or the client's that a proxy has reported at its
    /// beginning.
    pub(crate) address: IpAddr,
    vitals: Arc<Vitals>,
}

impl Peer {
    /// The answer under way is a watch, whose client must read it in time.
    pub(crate) fn watches(&self) {
        self.vitals.watches();
    }
}

impl Connections {
    pub(super) fn new(limits: &Limits, router: Router, acceptor: Option<TlsAcceptor>) -> Self {
        let mut http = http1::Builder::new();
        // The sweeper keeps the deadlines; a timer for each request would cost more than the rest.
        http.header_read_timeout(None);
        http.max_header_size(limits.header_bytes_max);
        http.max_buf_size(limits.header_bytes_max);
        let handshake_deadline = Duration::from_millis(limits.header_deadline_ms);
        Self {
            http,
            router,
            acceptor,
            handshake_deadline,
        }
    }

    /// Serves one connection until its end. `has_header`: it begins with a header of the PROXY
    /// protocol.
    pub(super) async fn serve(
        self,
        mut stream: TcpStream,
        address: IpAddr,
        mut place: Place,
        has_header: bool,
    ) {
        let mut peer = Peer {
            address,
            vitals: place.vitals.clone(),
        };
        if has_header {
            match self.in_time(&peer, proxy_protocol::read(&mut stream)).await {
                Some(Ok(None)) => {}
                Some(Ok(Some(client))) => {
                    peer.address = client.to_canonical();
                    if place.belongs_to(peer.address.into()).is_err() {
                        return;
                    }
                }
                Some(Err(error)) => {
                    return tracing::debug!(%error, "connection.proxy header failed");
                }
                None => return,
            }
        }
        let Some(acceptor) = &self.acceptor else {
            return self.serve_stream(stream, peer).await;
        };
        match self.in_time(&peer, acceptor.accept(stream)).await {
            Some(Ok(stream)) => self.serve_stream(stream, peer).await,
            Some(Err(error)) => tracing::debug!(%error, "connection.handshake failed"),
            None => {}
        }
    }

    /// What a step of the handshake came to; `None` if it took too long, or the connection's place
    /// is needed.
    async fn in_time<F: Future>(&self, peer: &Peer, step: F) -> Option<F::Output> {
        tokio::select! {
            done = tokio::time::timeout(self.handshake_deadline, step) => match done {
                Ok(done) => Some(done),
                Err(_) => {
                    tracing::debug!("connection.handshake took too long");
                    None
                }
            },
            _ = peer.vitals.ordered() => None,
        }
    }

    async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S, peer: Peer) {
        let vitals = peer.vitals.clone();
        let router = self.router;
        let service = service_fn(|request| answer(router.clone(), peer.clone(), request));
        let stream = TokioIo::new(ClientStream::new(stream, vitals.clone()));
        let stream = WatchedStream::new(stream, vitals.clone());
        let mut connection = pin!(self.http.serve_connection(stream, service));
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection.failed");
                    }
                    return;
                }
                order = vitals.ordered() => match order {
                    // It is answered already.
                    Order::Drain if vitals.lingers() => return,
                    Order::Drain => connection.as_mut().graceful_shutdown(),
                    Order::Close => return,
                },
            }
        }
    }
}

async fn answer(
    mut router: Router,
    peer: Peer,
    mut request: Request<Incoming>,
) -> Result<Response<WatchedBody>, Infallible> {
    let vitals = peer.vitals.clone();
    vitals.enter(Phase::Busy);
    request.extensions_mut().insert(peer);
    if vitals.has_bare_line_feed() {
        request.extensions_mut().insert(BareLineFeed);
    }
    // Reading the rest of such a body would ask the client to send it.
    let is_held_back = request.headers().contains_key(header::EXPECT);
    let request = request.map(|body| RequestBody::new(body, vitals.clone()));
    let mut response = router.call(request).await?;
    if let Some(rest) = vitals.take_unread()
        && (is_held_back || !is_drained(rest).await)
    {
        vitals.linger();
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    Ok(response.map(|body| WatchedBody::new(body, vitals)))
}

//! One connection, from its handshake to its end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::http::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tower::Service;

use super::registry::Order;
use super::registry::Registry;
use super::vitals::Phase;
use super::vitals::Vitals;
use super::watched::WatchedBody;
use super::watched::WatchedStream;
use crate::config::Limits;

/// What every connection of a listener needs.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    http: http1::Builder,
    router: Router,
    registry: Arc<Registry>,
    handshake_deadline: Duration,
}

impl Connections {
    pub(super) fn new(limits: &Limits, router: Router, registry: Arc<Registry>) -> Self {
        let mut http = http1::Builder::new();
        // The sweeper keeps the deadlines; a timer for each request would cost more than the rest.
        http.header_read_timeout(None);
        http.max_header_size(limits.header_bytes_max);
        http.max_buf_size(limits.header_bytes_max);
        let handshake_deadline = Duration::from_millis(limits.header_deadline_ms);
        Self {
            http,
            router,
            registry,
            handshake_deadline,
        }
    }

    /// Serves one connection until its end.
    pub(super) async fn serve(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        let Some(acceptor) = acceptor else {
            return self.serve_stream(stream).await;
        };
        match tokio::time::timeout(self.handshake_deadline, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.serve_stream(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "connection.handshake failed"),
            Err(_) => tracing::debug!("connection.handshake took too long"),
        }
    }

    async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S) {
        let place = self.registry.enter();
        let vitals = place.vitals.clone();
        let router = self.router;
        let service = service_fn(|request| answer(router.clone(), vitals.clone(), request));
        let stream = WatchedStream::new(TokioIo::new(stream), vitals.clone());
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
                    Order::Drain => connection.as_mut().graceful_shutdown(),
                    Order::Close => return,
                },
            }
        }
    }
}

async fn answer(
    mut router: Router,
    vitals: Arc<Vitals>,
    request: Request<Incoming>,
) -> Result<Response<WatchedBody>, Infallible> {
    vitals.enter(Phase::Busy);
    let response = router.call(request).await?;
    Ok(response.map(|body| WatchedBody::new(body, vitals)))
}

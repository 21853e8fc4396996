//! Our own accept loop: a cap on connections, and a deadline on everything that a client may be
//! slow at. The stock loop keeps half-sent headers open without limit.

mod connection;
mod counted;
mod error;
mod head;
mod proxy_protocol;
mod reader;
mod registry;
mod tls;
mod unread;
mod vitals;
mod watched;

use std::net::IpAddr;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use leasehold_core::config::Limits;
use leasehold_core::config::Tls;
use leasehold_core::tasks::Supervised;
use leasehold_core::tasks::TaskMetrics;
use leasehold_core::tasks::supervise;
use leasehold_core::telemetry::ConnectionMetrics;
use prometheus::IntCounter;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;

use self::connection::Connections;
use self::registry::Full;
use self::registry::Place;
use self::registry::Registry;
use self::vitals::Order;
use crate::limiting::Proxies;

pub(crate) use self::connection::BareLineFeed;
pub(crate) use self::connection::Peer;
pub use self::error::ListenError;

/// How long to wait when the process has no file descriptors left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Most bytes of answers that the kernel keeps for a connection and has not sent: the client reads
/// too slowly.
const UNSENT_BYTES_MAX: u32 = 128 * 1_024;
/// The answer to a connection beyond its address's limit. It has a length, so that a client need not
/// wait for the end.
const TOO_MANY_CONNECTIONS: &str = "HTTP/1.1 429 Too Many Requests\r\n\
    connection: close\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n\
    content-length: 225\r\n\r\n\
    {\"type\":\"urn:leasehold:error:rate_limited\",\"title\":\"rate limited\",\"status\":429,\
    \"detail\":\"too many connections from one address\",\"code\":\"rate_limited\",\
    \"retryable\":true,\"effect\":\"none\",\"request_id\":\"none\",\"retry_after_ms\":1000}";

/// A bound address, served until it is drained.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    scheme: &'static str,
    registry: Arc<Registry>,
    drain_deadline: Duration,
    stop: watch::Sender<bool>,
    accepting: Supervised,
    /// Sweeps for as long as the listener lives.
    _sweeping: Supervised,
}

impl Listener {
    /// Binds `address` (port 0 picks a free one) and serves `router` there.
    ///
    /// # Errors
    /// The address cannot be bound, or certificate and key cannot be used.
    pub(crate) async fn bind(
        address: SocketAddr,
        tls: Option<&Tls>,
        limits: &Limits,
        router: Router,
        (proxies, metrics): (Proxies, &ConnectionMetrics),
    ) -> Result<Self, ListenError> {
        let acceptor = tls.map(tls::acceptor).transpose()?;
        let failed = |error: std::io::Error| ListenError::Bind {
            address,
            problem: error.to_string(),
        };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let registry = Arc::new(Registry::new(limits, metrics.clone()));
        let (stop, stopped) = watch::channel(false);
        let connections = Connections::new(limits, router, acceptor.clone());
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let admission = Arc::new(Admission {
            registry: registry.clone(),
            proxies,
            refused: metrics.refused.clone(),
            plain: acceptor.is_none(),
        });
        // Shared, so that a loop that failed is started again on the same socket.
        let socket = Arc::new(socket);
        let accepting = supervise("accept", &TaskMetrics::default(), move || {
            let (socket, connections) = (socket.clone(), connections.clone());
            let accepting = accept(socket, admission.clone(), connections, stopped.clone());
            accepting.map(ControlFlow::Break)
        });
        let swept = registry.clone();
        let sweeping = supervise("sweep", &TaskMetrics::default(), move || {
            registry::sweep(swept.clone()).map(ControlFlow::Continue)
        });
        let drain_deadline = Duration::from_millis(limits.drain_deadline_ms);
        Ok(Self {
            address,
            scheme,
            registry,
            drain_deadline,
            stop,
            accepting,
            _sweeping: sweeping,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Takes no more connections, lets requests under way finish within the drain's deadline, and
    /// closes what is left. Long polls and watches must be told to end by the app.
    pub async fn drain(mut self) {
        self.stop.send_replace(true);
        // The socket is closed when the loop has ended.
        self.accepting.finished().await;
        self.registry.order_all(Order::Drain);
        if tokio::time::timeout(self.drain_deadline, self.registry.emptied())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = self.registry.len(),
                "listener.drain cut connections off"
            );
            self.registry.order_all(Order::Close);
            self.registry.emptied().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.registry.order_all(Order::Close);
    }
}

/// Decides which connections are served.
struct Admission {
    registry: Arc<Registry>,
    proxies: Proxies,
    refused: IntCounter,
    plain: bool,
}

async fn accept(
    socket: Arc<TcpListener>,
    admission: Arc<Admission>,
    connections: Connections,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let taken = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            taken = take(&socket, &admission) => taken,
        };
        let (stream, peer, place) = match taken {
            Ok(Some(taken)) => taken,
            Ok(None) => continue,
            Err(error) if is_the_clients(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "listener.accept failed");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        let connection = connections.clone();
        let has_header = admission.proxies.begins_with_header(peer);
        tokio::spawn(connection.serve(stream, peer, place, has_header));
    }
}

/// Accepts a connection, and finds a place for it. While there is none, further clients wait in the
/// kernel's backlog.
async fn take(
    socket: &TcpListener,
    admission: &Admission,
) -> std::io::Result<Option<(TcpStream, IpAddr, Place)>> {
    let (stream, peer) = socket.accept().await?;
    // Answers are written whole; waiting for more would only add latency. A socket that refuses
    // this is closed already.
    let _ = stream.set_nodelay(true);
    // What the client does not read must not pile up in the kernel.
    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
    let peer = peer.ip().to_canonical();
    loop {
        match admission
            .registry
            .enter(peer.into(), admission.proxies.trusts(peer))
        {
            Ok(place) => return Ok(Some((stream, peer, place))),
            Err(Full::Listener) => admission.registry.room().await,
            Err(Full::Address) => {
                admission.refused.inc();
                if admission.plain {
                    refuse(stream);
                }
                return Ok(None);
            }
        }
    }
}

/// Answers a connection that gets no place, as far as its socket takes the answer at once.
fn refuse(stream: TcpStream) {
    use std::io::Write;
    if let Ok(mut stream) = stream.into_std() {
        // Whoever cannot take it sees a closed connection, which is as true.
        let _ = stream.write(TOO_MANY_CONNECTIONS.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
}

/// The client went away between its connect and our accept.
fn is_the_clients(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests;

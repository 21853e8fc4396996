//! Our own accept loop: a cap on connections, and a deadline on everything that a client may be
//! slow at. The stock loop keeps half-sent headers open without limit.

mod connection;
mod error;
mod registry;
mod tls;
mod vitals;
mod watched;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use prometheus::IntGauge;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use self::connection::Connections;
use self::registry::Order;
use self::registry::Registry;
use crate::config::Limits;
use crate::config::Tls;

pub(crate) use self::error::ListenError;

/// How long to wait when the process has no file descriptors left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// A bound address, served until it is drained.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    scheme: &'static str,
    registry: Arc<Registry>,
    drain_deadline: Duration,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    sweeping: JoinHandle<()>,
}

impl Listener {
    /// Binds `address` (port 0 picks a free one) and serves `router` there. `open` is kept at the
    /// number of open connections.
    ///
    /// # Errors
    /// The address cannot be bound, or certificate and key cannot be used.
    pub(crate) async fn bind(
        address: SocketAddr,
        tls: Option<&Tls>,
        limits: &Limits,
        router: Router,
        open: IntGauge,
    ) -> Result<Self, ListenError> {
        let acceptor = tls.map(tls::acceptor).transpose()?;
        let failed = |error: std::io::Error| ListenError::Bind {
            address,
            problem: error.to_string(),
        };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let registry = Arc::new(Registry::new(limits, open));
        let (stop, stopped) = watch::channel(false);
        let connections = Connections::new(limits, router, registry.clone());
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let permits = Arc::new(Semaphore::new(limits.connections_max));
        let accepting = tokio::spawn(accept(socket, acceptor, connections, permits, stopped));
        let sweeping = tokio::spawn(registry::sweep(registry.clone()));
        let drain_deadline = Duration::from_millis(limits.drain_deadline_ms);
        Ok(Self {
            address,
            scheme,
            registry,
            drain_deadline,
            stop,
            accepting,
            sweeping,
        })
    }

    /// Where it listens.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http` or `https`.
    #[must_use]
    pub(crate) fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Takes no more connections, lets requests under way finish within the drain's deadline, and
    /// closes what is left. Long polls and watches must be told to end by the app.
    pub(crate) async fn drain(mut self) {
        self.stop.send_replace(true);
        // The socket is closed when the loop has ended.
        if let Err(error) = (&mut self.accepting).await {
            tracing::error!(%error, "listener.accept failed");
        }
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
        self.accepting.abort();
        self.sweeping.abort();
        self.registry.order_all(Order::Close);
    }
}

async fn accept(
    socket: TcpListener,
    acceptor: Option<TlsAcceptor>,
    connections: Connections,
    permits: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        // A place first: clients beyond the cap wait in the kernel's backlog.
        let taken = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            taken = take(&socket, &permits) => taken,
        };
        let (stream, permit) = match taken {
            Ok(taken) => taken,
            Err(error) if is_the_clients(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "listener.accept failed");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        // Answers are written whole; waiting for more would only add latency. A socket that
        // refuses this is closed already.
        let _ = stream.set_nodelay(true);
        let (connections, acceptor) = (connections.clone(), acceptor.clone());
        tokio::spawn(async move {
            connections.serve(stream, acceptor).await;
            drop(permit);
        });
    }
}

async fn take(
    socket: &TcpListener,
    permits: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = permits
        .clone()
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, _) = socket.accept().await?;
    Ok((stream, permit))
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

//! The peers' own listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::watch;

use super::Host;
use super::connection;
use crate::OpenError;
use crate::folder::Released;
use crate::peer::Security;
use crate::peer::handshake;

/// Connections at once: every peer has one, and there are few peers.
const CONNECTIONS_MAX: usize = 64;
/// From the connection to the end of the handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// After an error of the accepting socket.
const PAUSE: Duration = Duration::from_millis(100);

/// Where peers dial.
#[derive(Debug)]
pub(crate) struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    /// Goes after the socket.
    held: watch::Sender<()>,
}

impl Listener {
    /// Binds the address, if peers may be heard there.
    ///
    /// # Errors
    /// It cannot be bound, or is beyond loopback without TLS.
    pub(crate) async fn bind(at: SocketAddr, security: &Security) -> Result<Self, OpenError> {
        security.check(at)?;
        let failed = |error| OpenError::Peers(format!("{at}: {error}"));
        let tcp = TcpListener::bind(at).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        Ok(Self {
            tcp,
            address,
            held: watch::Sender::new(()),
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resolves when nobody listens any more, so that the address can be bound again.
    pub(crate) fn unbound(&self) -> Released {
        Released::of(&self.held)
    }

    /// Accepts until the node has ended: while it closes, others still need its answers.
    pub(crate) async fn run(self, host: Arc<Host>, mut ended: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let accepted = tokio::select! {
                accepted = self.tcp.accept() => accepted,
                _ = ended.wait_for(|ended| *ended) => return,
            };
            let tcp = match accepted {
                Ok((tcp, _)) => tcp,
                Err(error) => {
                    tracing::warn!(%error, "peer.accept failed");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            // One too many is closed at once: a peer tries again.
            if let Ok(place) = places.clone().try_acquire_owned() {
                let (host, ended) = (host.clone(), ended.clone());
                tokio::spawn(async move {
                    let _place = place;
                    let mut silent = host.peers.silent();
                    tokio::select! {
                        () = greet(host, tcp, ended) => {}
                        _ = silent.wait_for(|silent| *silent) => {}
                    }
                });
            }
        }
    }
}

async fn greet(host: Arc<Host>, tcp: TcpStream, ended: watch::Receiver<bool>) {
    let greeting = async {
        tcp.set_nodelay(true)?;
        let mut stream = host.peers.security().accept(tcp).await?;
        let said = handshake::accept(&mut *stream, host.peers.identity()).await?;
        Ok::<_, std::io::Error>((stream, said))
    };
    match tokio::time::timeout(HANDSHAKE_MAX, greeting).await {
        Ok(Ok((stream, said))) => {
            tracing::debug!(node = said.1, "peer.accepted");
            connection::serve(host, stream, said, ended).await;
        }
        Ok(Err(error)) => tracing::warn!(%error, "peer.refused"),
        Err(_) => tracing::warn!("peer.refused: no handshake in time"),
    }
}

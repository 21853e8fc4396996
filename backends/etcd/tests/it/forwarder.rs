//! An address before a member that can be cut off.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Leads connections to a member, unless it is cut.
pub(crate) struct Forwarder {
    pub(crate) url: String,
    open: Arc<watch::Sender<bool>>,
    accepting: JoinHandle<()>,
}

impl Forwarder {
    pub(crate) async fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let open = Arc::new(watch::Sender::new(true));
        let states = open.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut open = states.subscribe();
                tokio::spawn(async move {
                    if !*open.borrow_and_update() {
                        return;
                    }
                    let Ok(mut member) = TcpStream::connect(("127.0.0.1", target)).await else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut member) => {}
                        _ = open.changed() => {}
                    }
                });
            }
        });
        Self {
            url: format!("http://127.0.0.1:{port}"),
            open,
            accepting,
        }
    }

    /// Cuts all connections and takes none, or takes them again.
    pub(crate) fn open(&self, open: bool) {
        self.open.send_replace(open);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

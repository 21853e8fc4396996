//! An address that leads to one server or another.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Takes connections, and leads them to where it points. Moving it cuts those that are open.
#[derive(Debug)]
pub struct Forwarder {
    port: u16,
    target: Arc<watch::Sender<u16>>,
    accepting: JoinHandle<()>,
}

impl Forwarder {
    /// An address that leads to `target` at first.
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let target = Arc::new(watch::Sender::new(target));
        let targets = target.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(lead(client, targets.subscribe()));
            }
        });
        Self {
            port,
            target,
            accepting,
        }
    }

    /// Leads to another port from now on.
    pub fn lead_to(&self, port: u16) {
        self.target.send_replace(port);
    }

    /// How a database of the server behind it is reached.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn lead(mut client: TcpStream, mut target: watch::Receiver<u16>) {
    let port = *target.borrow_and_update();
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = target.changed() => {}
    }
}

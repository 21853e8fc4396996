use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use leasehold_core::config::ListenProxies;
use leasehold_core::telemetry::Metrics;
use prometheus::IntGauge;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::*;

mod addresses;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn limits() -> Limits {
    Limits {
        header_deadline_ms: 150,
        idle_deadline_ms: 300,
        drain_deadline_ms: 5_000,
        ..Limits::default()
    }
}

fn counters() -> ConnectionMetrics {
    Metrics::new().connections().clone()
}

/// A server whose `/held` answers once `release` is notified, and whose `/endless` never ends.
struct Server {
    listener: Listener,
    open: IntGauge,
    counters: ConnectionMetrics,
    held: Arc<Notify>,
    release: Arc<Notify>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        Self::start_with(limits, None).await.unwrap()
    }

    async fn start_with(limits: Limits, tls: Option<&Tls>) -> Result<Self, ListenError> {
        Self::start_behind(limits, tls, Proxies::new(&ListenProxies::default())).await
    }

    /// Starts one that trusts these proxies.
    async fn start_behind(
        limits: Limits,
        tls: Option<&Tls>,
        proxies: Proxies,
    ) -> Result<Self, ListenError> {
        let (held, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (arrived, released) = (held.clone(), release.clone());
        let hold = move || async move {
            arrived.notify_one();
            released.notified().await;
            "held"
        };
        let endless = || async {
            let chunk = || Ok::<_, io::Error>(bytes::Bytes::from_static(&[b'x'; 65_536]));
            axum::body::Body::from_stream(futures_util::stream::repeat_with(chunk))
        };
        let router = Router::new()
            .route("/", get(|| async { "ok" }))
            .route("/held", get(hold))
            .route("/endless", get(endless));
        let counters = counters();
        let open = counters.open.clone();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let with = (proxies, &counters);
        let listener = Listener::bind(address, tls, &limits, router, with).await?;
        Ok(Self {
            listener,
            open,
            counters,
            held,
            release,
        })
    }

    /// A connection from another address of this machine.
    async fn connect_from(&self, address: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((address, 0))).unwrap();
        socket.connect(self.listener.address()).await.unwrap()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.listener.address()).await.unwrap()
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

/// Reads one answer with the body `ok` or `held`, leaving the connection open.
async fn answer(stream: &mut (impl AsyncRead + Unpin), body: &str) {
    let mut text = Vec::new();
    let end = format!("\r\n\r\n{body}");
    let read = async {
        while !text.ends_with(end.as_bytes()) {
            text.push(stream.read_u8().await?);
        }
        io::Result::Ok(())
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    assert!(
        text.starts_with(b"HTTP/1.1 200 OK"),
        "{}",
        String::from_utf8_lossy(&text)
    );
}

/// What comes until the other side closes.
async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    // A reset is a close, too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text))
        .await
        .expect("it is closed");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_half_sent_head_is_not_kept() {
    let server = Server::start(limits()).await;
    let mut slow = server.connect().await;
    send(&mut slow, "GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
    assert_eq!(until_closed(&mut slow).await, "");
    // Nor one that follows a good request.
    let mut second = server.connect().await;
    send(&mut second, &request("/")).await;
    answer(&mut second, "ok").await;
    send(&mut second, "GET / HT").await;
    assert_eq!(until_closed(&mut second).await, "");
}

#[tokio::test]
async fn a_dripping_head_gets_no_more_time() {
    let server = Server::start(limits()).await;
    let slow = server.connect().await;
    let (mut reading, mut writing) = slow.into_split();
    send(&mut writing, "GET / HTTP/1.1\r\nx: ").await;
    let drip = async {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let closed = async {
        tokio::select! {
            () = drip => String::new(),
            text = until_closed(&mut reading) => text,
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, closed).await.unwrap(), "");
}

#[tokio::test]
async fn silent_and_idle_connections_are_closed() {
    let server = Server::start(limits()).await;
    let mut silent = server.connect().await;
    assert_eq!(until_closed(&mut silent).await, "");
    let mut idle = server.connect().await;
    for _ in 0..3 {
        send(&mut idle, &request("/")).await;
        answer(&mut idle, "ok").await;
    }
    assert_eq!(until_closed(&mut idle).await, "");
    assert_eq!(server.open.get(), 0);
}

#[tokio::test]
async fn a_request_under_way_is_not_idle() {
    let server = Server::start(limits()).await;
    let mut waiting = server.connect().await;
    send(&mut waiting, &request("/held")).await;
    server.held.notified().await;
    // Another connection that lives and ends by the idle deadline shows that the time has passed.
    let mut witness = server.connect().await;
    send(&mut witness, &request("/")).await;
    answer(&mut witness, "ok").await;
    until_closed(&mut witness).await;
    server.release.notify_one();
    answer(&mut waiting, "held").await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_hung_up_on() {
    let server = Server::start(limits()).await;
    let mut deaf = server.connect().await;
    send(&mut deaf, &request("/endless")).await;
    let gone = async {
        // It is open once the answer has begun, and closed without a byte of it being read.
        deaf.readable().await.unwrap();
        while server.open.get() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn huge_heads_are_refused() {
    let server = Server::start(limits()).await;
    let mut huge = server.connect().await;
    let head = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx-huge: {}\r\n\r\n",
        "x".repeat(64 * 1_024)
    );
    // The server may hang up before it was sent whole.
    let _ = huge.write_all(head.as_bytes()).await;
    let text = until_closed(&mut huge).await;
    assert!(
        text.is_empty() || text.starts_with("HTTP/1.1 431"),
        "{text}"
    );
    let mut many = server.connect().await;
    let head = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
    send(&mut many, &head).await;
    let text = until_closed(&mut many).await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_their_turn() {
    let server = Server::start(Limits {
        connections_max: 1,
        ..limits()
    })
    .await;
    let mut first = server.connect().await;
    send(&mut first, &request("/held")).await;
    server.held.notified().await;
    let mut second = server.connect().await;
    send(&mut second, &request("/")).await;
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(300), second.read(&mut byte)).await;
    assert!(early.is_err(), "answered beyond the cap");
    assert_eq!(server.open.get(), 1);
    server.release.notify_one();
    answer(&mut first, "held").await;
    drop(first);
    answer(&mut second, "ok").await;
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_takes_no_more() {
    let Server {
        listener,
        held,
        release,
        open,
        ..
    } = Server::start(Limits {
        idle_deadline_ms: 60_000,
        header_deadline_ms: 60_000,
        ..limits()
    })
    .await;
    let address = listener.address();
    let mut idle = TcpStream::connect(address).await.unwrap();
    send(&mut idle, &request("/")).await;
    answer(&mut idle, "ok").await;
    let mut waiting = TcpStream::connect(address).await.unwrap();
    send(&mut waiting, &request("/held")).await;
    held.notified().await;
    let drain = tokio::spawn(listener.drain());
    assert_eq!(until_closed(&mut idle).await, "");
    assert!(!drain.is_finished());
    release.notify_one();
    answer(&mut waiting, "held").await;
    tokio::time::timeout(PATIENCE, drain)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(open.get(), 0);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_drain_does_not_wait_for_ever() {
    let Server { listener, held, .. } = Server::start(Limits {
        drain_deadline_ms: 50,
        ..limits()
    })
    .await;
    let mut waiting = TcpStream::connect(listener.address()).await.unwrap();
    send(&mut waiting, &request("/held")).await;
    held.notified().await;
    tokio::time::timeout(PATIENCE, listener.drain())
        .await
        .unwrap();
    assert_eq!(until_closed(&mut waiting).await, "");
}

fn certificate(folder: &std::path::Path) -> Tls {
    let (cert, key) = (folder.join("a.crt"), folder.join("a.key"));
    std::fs::write(&cert, include_str!("tests/localhost.crt")).unwrap();
    std::fs::write(&key, include_str!("tests/localhost.key")).unwrap();
    Tls { cert, key }
}

#[tokio::test]
async fn tls_answers_and_half_handshakes_are_not_kept() {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let folder = tempfile::tempdir().unwrap();
    let tls = certificate(folder.path());
    let server = Server::start_with(limits(), Some(&tls)).await.unwrap();
    assert_eq!(server.listener.scheme(), "https");
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&tls.cert).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut stream = connector
        .connect(name, server.connect().await)
        .await
        .unwrap();
    send(&mut stream, &request("/")).await;
    answer(&mut stream, "ok").await;

    let mut half = server.connect().await;
    half.write_all(&[22, 3, 1]).await.unwrap();
    until_closed(&mut half).await;
    let mut plain = server.connect().await;
    send(&mut plain, &request("/")).await;
    assert!(!until_closed(&mut plain).await.contains("HTTP/1.1 200"));
}

#[tokio::test]
async fn bad_tls_files_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let good = certificate(folder.path());
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    let absent = folder.path().join("absent.pem");
    for (cert, key, names) in [
        (&absent, &good.key, "absent.pem"),
        (&empty, &good.key, "empty.pem"),
        (&good.cert, &absent, "absent.pem"),
        (&good.cert, &empty, "empty.pem"),
        (&good.cert, &good.cert, "a.crt"),
    ] {
        let tls = Tls {
            cert: cert.clone(),
            key: key.clone(),
        };
        let error = Server::start_with(limits(), Some(&tls))
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(names), "{error}");
        assert!(!error.contains("BEGIN"), "{error}");
    }
}

#[tokio::test]
async fn a_taken_address_is_an_error() {
    let server = Server::start(limits()).await;
    let counters = counters();
    let with = (Proxies::new(&ListenProxies::default()), &counters);
    let address = server.listener.address();
    let error = Listener::bind(address, None, &limits(), Router::new(), with)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ListenError::Bind { address: taken, .. } if taken == address),
        "{error}"
    );
}

//! One connection to one server.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use secrecy::ExposeSecret;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::task::JoinHandle;
use tokio_postgres::AsyncMessage;
use tokio_postgres::Client;
use tokio_postgres::Config;
use tokio_postgres::NoTls;
use tokio_postgres::config::Host;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::Severity;

use crate::OpenError;
use crate::PostgresConfig;
use crate::error;
use crate::tls::Tls;

/// A connection, and the task that drives it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// Whether the server has warned of something. The one warning that matters comes with a
    /// commit that did not reach the standby, because somebody cancelled the wait for it.
    warned: Arc<AtomicBool>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    /// A connection that hangs must not be kept by its task.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Whether the server has warned of something since this was asked last.
    pub(crate) fn take_warning(&self) -> bool {
        self.warned.swap(false, Ordering::SeqCst)
    }
}

/// The servers of a store, and how to reach each.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    pub(crate) each: Vec<Server>,
    deadline: Duration,
    tls: Option<Tls>,
}

/// One server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// For logs.
    pub(crate) name: String,
    config: Config,
}

impl Servers {
    /// Reads the URL, which may name several hosts.
    pub(crate) fn of(config: &PostgresConfig) -> Result<Self, OpenError> {
        let bad = |problem: String| OpenError::Config(problem);
        let url: Config = config
            .url
            .parse()
            .map_err(|error: tokio_postgres::Error| bad(error::describe(&error)))?;
        if url.get_password().is_some() {
            return Err(bad("the url must not hold the password".to_owned()));
        }
        let tls = config.tls_ca.as_deref().map(Tls::of).transpose()?;
        if tls.is_none() && url.get_ssl_mode() == SslMode::Require {
            return Err(bad("sslmode=require needs the authorities' file".to_owned()));
        }
        let (hosts, ports) = (url.get_hosts(), url.get_ports());
        if hosts.is_empty() {
            return Err(bad("the url names no host".to_owned()));
        }
        let mut each = Vec::with_capacity(hosts.len());
        for (at, host) in hosts.iter().enumerate() {
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
            if tls.is_none() && !config.insecure_without_tls && !is_local(host) {
                let problem = format!("{} is another machine: use TLS", host_name(host));
                return Err(bad(problem));
            }
            let mut one = Config::new();
            match host {
                Host::Tcp(name) => one.host(name),
                Host::Unix(path) => one.host_path(path),
            };
            one.port(port)
                .application_name("leasehold")
                .connect_timeout(config.transaction_deadline)
                .keepalives_idle(Duration::from_secs(30))
                .tcp_user_timeout(config.transaction_deadline)
                .ssl_mode(match tls {
                    Some(_) => SslMode::Require,
                    None => SslMode::Disable,
                });
            if let Some(user) = url.get_user() {
                one.user(user);
            }
            if let Some(database) = url.get_dbname() {
                one.dbname(database);
            }
            if let Some(password) = &config.password {
                one.password(password.expose_secret());
            }
            each.push(Server {
                name: format!("{}:{port}", host_name(host)),
                config: one,
            });
        }
        Ok(Self {
            each,
            deadline: config.transaction_deadline,
            tls,
        })
    }

    /// Limits how long one of them may take to answer.
    pub(crate) async fn within<T>(
        &self,
        server: &Server,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let late = |_| error::unavailable(format!("{} does not answer", server.name));
        let done = tokio::time::timeout(self.deadline, work).await;
        done.map_err(late)?
    }

    /// Connects to one of them.
    pub(crate) async fn connect(&self, server: &Server) -> Result<Connection, BackendError> {
        let refused = |failure: tokio_postgres::Error| {
            error::unavailable(format!("{}: {}", server.name, error::describe(&failure)))
        };
        match &self.tls {
            Some(tls) => {
                let connected = server.config.connect(tls.clone()).await;
                let (client, connection) = connected.map_err(refused)?;
                Ok(drive(client, connection))
            }
            None => {
                let connected = server.config.connect(NoTls).await;
                let (client, connection) = connected.map_err(refused)?;
                Ok(drive(client, connection))
            }
        }
    }
}

fn drive<S, T>(client: Client, mut connection: tokio_postgres::Connection<S, T>) -> Connection
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let warned = Arc::new(AtomicBool::new(false));
    let flag = warned.clone();
    let driver = tokio::spawn(async move {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            match message {
                Ok(AsyncMessage::Notice(notice))
                    if notice.parsed_severity() == Some(Severity::Warning) =>
                {
                    tracing::warn!(message = notice.message(), "postgres warns");
                    flag.store(true, Ordering::SeqCst);
                }
                Ok(_) => {}
                // Whoever waits for an answer is told.
                Err(_) => return,
            }
        }
    });
    Connection {
        client,
        warned,
        driver,
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            let address: Result<std::net::IpAddr, _> = name.parse();
            name == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
    }
}

fn host_name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    }
}

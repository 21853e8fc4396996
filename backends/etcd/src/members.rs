//! The members of the cluster, and the way to one of them.

use std::net::IpAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tonic::transport::Endpoint;

use crate::EtcdConfig;
use crate::OpenError;
use crate::client::Client;
use crate::client::Login;
use crate::error;
use crate::tls;

/// A quiet connection is asked for a sign of life so often; a server takes more than one in five
/// seconds for an attack.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The members, and who to be there.
#[derive(Debug)]
pub(crate) struct Members {
    each: Vec<Member>,
    /// Which to try first.
    next: AtomicUsize,
    deadline: Duration,
    login: Option<Login>,
}

#[derive(Debug)]
struct Member {
    /// For logs.
    name: String,
    endpoint: Endpoint,
}

impl Members {
    pub(crate) fn of(config: &EtcdConfig) -> Result<Self, OpenError> {
        let bad = |problem: &str| Err(OpenError::Config(problem.to_owned()));
        let login = match (&config.user, &config.password) {
            (None, None) => None,
            (Some(user), Some(password)) => Some(Login {
                user: user.clone(),
                password: password.clone(),
            }),
            _ => return bad("user and password belong together"),
        };
        if config.endpoints.is_empty() {
            return bad("no endpoint is given");
        }
        let tls = tls::of(config)?;
        let mut each = Vec::with_capacity(config.endpoints.len());
        for url in &config.endpoints {
            each.push(Member::of(config, url, tls.clone())?);
        }
        Ok(Self {
            each,
            next: AtomicUsize::new(0),
            deadline: config.transaction_deadline,
            login,
        })
    }

    /// Connects to the first that takes it, beginning behind the one that was taken last; answers
    /// its name, too.
    pub(crate) async fn connect(&self) -> Result<(Client, &str), OpenError> {
        let first = self.next.load(Ordering::Relaxed);
        let mut problems = Vec::new();
        for at in (0..self.each.len()).map(|n| (first + n) % self.each.len()) {
            let Some(member) = self.each.get(at) else {
                continue;
            };
            self.next.store(at + 1, Ordering::Relaxed);
            match self.try_member(member).await {
                Ok(client) => return Ok((client, &member.name)),
                Err(problem) => problems.push(format!("{}: {problem}", member.name)),
            }
        }
        Err(OpenError::Unavailable(problems.join("; ")))
    }

    async fn try_member(&self, member: &Member) -> Result<Client, String> {
        let connecting = tokio::time::timeout(self.deadline, member.endpoint.connect());
        let connected = connecting.await.map_err(|_| "does not answer".to_owned())?;
        let channel = connected.map_err(|failure| error::causes(&failure))?;
        let client = Client::over(channel, self.deadline, self.login.clone()).await;
        client.map_err(|status| error::describe(&status))
    }
}

impl Member {
    fn of(
        config: &EtcdConfig,
        url: &str,
        tls: Option<tonic::transport::ClientTlsConfig>,
    ) -> Result<Self, OpenError> {
        let bad = |problem: String| OpenError::Config(format!("{url}: {problem}"));
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|e| bad(error::causes(&e)))?;
        let uri = endpoint.uri().clone();
        let Some(host) = uri.host() else {
            return Err(bad("it names no host".to_owned()));
        };
        if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(bad("it must not hold a user".to_owned()));
        }
        let endpoint = match (uri.scheme_str(), tls) {
            (Some("https"), Some(tls)) => endpoint
                .tls_config(tls)
                .map_err(|e| bad(error::causes(&e)))?,
            (Some("https"), None) => return Err(bad("https needs tls_ca".to_owned())),
            (Some("http"), Some(_)) => return Err(bad("tls_ca needs https".to_owned())),
            (Some("http"), None) if config.insecure_without_tls || is_local(host) => endpoint,
            (Some("http"), None) => return Err(bad("it is another machine: use TLS".to_owned())),
            _ => return Err(bad("it is neither http nor https".to_owned())),
        };
        Ok(Self {
            name: format!("{host}:{}", uri.port_u16().unwrap_or(2379)),
            endpoint: endpoint
                .connect_timeout(config.transaction_deadline)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(config.transaction_deadline)
                .keep_alive_while_idle(true),
        })
    }
}

fn is_local(host: &str) -> bool {
    let address: Result<IpAddr, _> = host.trim_matches(['[', ']']).parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

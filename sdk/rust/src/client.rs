//! One gateway, and who calls it.

use std::fmt;
use std::time::Duration;

use leasehold_wire::v1::error::Problem;
use leasehold_wire::v1::locks as wire;
use leasehold_wire::v1::paths;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// How long a call may take, waits not counted.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A key or token that does not print.
#[derive(Clone, Default)]
pub struct Key(String);

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self(text.trim().to_owned())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// One gateway, and who calls it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    key: Key,
}

impl Client {
    /// A client of the gateway at `url`. Nothing is sent yet.
    ///
    /// # Errors
    /// The URL is none, or TLS cannot be set up.
    pub fn new(url: &str, key: Key) -> Result<Self, Error> {
        // Refused if the program has chosen a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let usage = |error: reqwest::Error| Error::Usage(error.to_string());
        reqwest::Url::parse(url).map_err(|error| Error::Usage(format!("{url}: {error}")))?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(usage)?;
        Ok(Self {
            http,
            url: url.trim_end_matches('/').to_owned(),
            key,
        })
    }

    /// Takes a lock, or waits for it if `wait_ms` is given.
    ///
    /// # Errors
    /// It was not granted, or nobody knows. Ask again with the same `request_id` then.
    pub async fn acquire(
        &self,
        namespace: &str,
        lock: &str,
        request: &wire::AcquireRequest,
    ) -> Result<wire::Grant, Error> {
        let wait = Duration::from_millis(request.wait_ms.unwrap_or(0));
        let path = paths::lock(namespace, lock, Some("acquire"));
        self.call(Method::POST, &path, Some(request), CALL_TIMEOUT + wait)
            .await
    }

    /// Lengthens a lease.
    ///
    /// # Errors
    /// It was not lengthened, or nobody knows.
    pub async fn renew(
        &self,
        namespace: &str,
        lock: &str,
        request: &wire::RenewRequest,
    ) -> Result<wire::Grant, Error> {
        self.post(&paths::lock(namespace, lock, Some("renew")), request)
            .await
    }

    /// Gives a lease back.
    ///
    /// # Errors
    /// The lease was over already, or nobody knows.
    pub async fn release(
        &self,
        namespace: &str,
        lock: &str,
        lease_id: &str,
    ) -> Result<wire::ReleaseResponse, Error> {
        let request = wire::ReleaseRequest {
            lease_id: lease_id.to_owned(),
            request_id: None,
        };
        self.post(&paths::lock(namespace, lock, Some("release")), &request)
            .await
    }

    /// GET of any path.
    ///
    /// # Errors
    /// The gateway refuses, or does not answer.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.call(Method::GET, path, None::<&()>, CALL_TIMEOUT)
            .await
    }

    /// POST to any path.
    ///
    /// # Errors
    /// The gateway refuses, or does not answer.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Error> {
        self.call(Method::POST, path, Some(body), CALL_TIMEOUT)
            .await
    }

    /// PUT to any path.
    ///
    /// # Errors
    /// The gateway refuses, or does not answer.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Error> {
        self.call(Method::PUT, path, Some(body), CALL_TIMEOUT).await
    }

    /// DELETE of any path.
    ///
    /// # Errors
    /// The gateway refuses, or does not answer.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.call(Method::DELETE, path, None::<&()>, CALL_TIMEOUT)
            .await
    }

    /// PUT of a policy module.
    ///
    /// # Errors
    /// The gateway refuses, or does not answer.
    pub async fn upload<T: DeserializeOwned>(&self, path: &str, wasm: Vec<u8>) -> Result<T, Error> {
        let request = self.request(Method::PUT, path, Duration::from_secs(60));
        answer(
            request
                .header("content-type", "application/wasm")
                .body(wasm),
        )
        .await
    }

    /// A stream of Server-Sent Events, chunk by chunk, without end.
    ///
    /// # Errors
    /// The gateway refuses, or does not answer.
    pub async fn stream(&self, path: &str) -> Result<reqwest::Response, Error> {
        let request = self
            .http
            .get(format!("{}{path}", self.url))
            .bearer_auth(&self.key.0);
        let response = request.send().await.map_err(|error| lost(&error))?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(refused(response).await)
        }
    }

    fn request(&self, method: Method, path: &str, timeout: Duration) -> reqwest::RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .timeout(timeout);
        request.bearer_auth(&self.key.0)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
        timeout: Duration,
    ) -> Result<T, Error> {
        let request = self.request(method, path, timeout);
        answer(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }
}

async fn answer<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T, Error> {
    let response = request.send().await.map_err(|error| lost(&error))?;
    if !response.status().is_success() {
        return Err(refused(response).await);
    }
    response.json().await.map_err(|error| lost(&error))
}

async fn refused(response: reqwest::Response) -> Error {
    let status = response.status();
    match response.json::<Problem>().await {
        Ok(problem) => Error::Problem(Box::new(problem)),
        Err(_) => Error::Transport {
            message: format!("the gateway answered {status} without a problem document"),
            may_have_taken_effect: status.is_server_error(),
        },
    }
}

/// No answer. Only a connection that was never made is certain to have had no effect.
fn lost(error: &reqwest::Error) -> Error {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        message = format!("{message}: {inner}");
        cause = inner.source();
    }
    Error::Transport {
        message,
        may_have_taken_effect: !error.is_connect() && !error.is_builder(),
    }
}

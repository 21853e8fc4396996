//! One gateway, and who calls it.

use std::fmt;
use std::time::Duration;

use leasehold_wire::v1::locks as wire;
use leasehold_wire::v1::paths;
use reqwest::Method;
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Download;
use crate::Error;
use crate::EventStream;
use crate::answer;
use crate::backoff::Backoff;

/// How long a call may take, waits not counted.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a request whose answer was lost is sent in all, if its repetition is harmless.
const SENDS_MAX: u32 = 3;

/// How long an upload may take: the gateway compiles the module and runs its cases.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the gateway may take to prepare a download.
const DOWNLOAD_BEGINS_WITHIN: Duration = Duration::from_secs(60);

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
        Url::parse(url).map_err(|error| Error::Usage(format!("{url}: {error}")))?;
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

    /// Takes a lock, or waits for it if `wait_ms` is given. If the answer is lost and the request
    /// has a `request_id`, the same is asked again a few times: it gets the same lease.
    ///
    /// # Errors
    /// It was not granted, or nobody knows. Ask again with the same `request_id` then.
    pub async fn acquire(
        &self,
        namespace: &str,
        lock: &str,
        request: &wire::AcquireRequest,
    ) -> Result<wire::Grant, Error> {
        let timeout = CALL_TIMEOUT + Duration::from_millis(request.wait_ms.unwrap_or(0));
        let path = paths::lock(namespace, lock, Some("acquire"));
        let sends = sends(request.request_id.is_some());
        self.call_until_heard(&path, request, timeout, sends).await
    }

    /// Lengthens a lease. If the answer is lost and the request has a `request_id`, the same is
    /// asked again a few times.
    ///
    /// # Errors
    /// It was not lengthened, or nobody knows.
    pub async fn renew(
        &self,
        namespace: &str,
        lock: &str,
        request: &wire::RenewRequest,
    ) -> Result<wire::Grant, Error> {
        let path = paths::lock(namespace, lock, Some("renew"));
        let sends = sends(request.request_id.is_some());
        self.call_until_heard(&path, request, CALL_TIMEOUT, sends)
            .await
    }

    /// Gives a lease back. If the answer is lost and the request has a `request_id`, the same is
    /// asked again a few times.
    ///
    /// # Errors
    /// The lease was over already, or nobody knows.
    pub async fn release(
        &self,
        namespace: &str,
        lock: &str,
        request: &wire::ReleaseRequest,
    ) -> Result<wire::ReleaseResponse, Error> {
        let path = paths::lock(namespace, lock, Some("release"));
        let sends = sends(request.request_id.is_some());
        self.call_until_heard(&path, request, CALL_TIMEOUT, sends)
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
        let request = self.request(Method::PUT, path, UPLOAD_TIMEOUT)?;
        let request = request.header("content-type", "application/wasm");
        answer::of(request.body(wasm)).await
    }

    /// Follows a watch, from now on or after the event with this id. It ends with its connection;
    /// [`watch`](Self::watch) goes on by itself.
    ///
    /// # Errors
    /// The gateway refuses, or does not answer.
    pub async fn events(&self, path: &str, after: Option<&str>) -> Result<EventStream, Error> {
        let request = self.http.get(self.address(path)?).bearer_auth(&self.key.0);
        let request = match after {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let answered = tokio::time::timeout(CALL_TIMEOUT, request.send()).await;
        let response = answered
            .map_err(|_| Error::Transport {
                message: "no answer to a watch".to_owned(),
                may_have_taken_effect: false,
            })?
            .map_err(|error| answer::lost(&error))?;
        if response.status().is_success() {
            Ok(EventStream::new(response))
        } else {
            Err(answer::refused(response).await)
        }
    }

    /// GET of a body that is too long to be held.
    ///
    /// # Errors
    /// The gateway refuses, or does not answer.
    pub async fn download(&self, path: &str) -> Result<Download, Error> {
        let request = self.http.get(self.address(path)?).bearer_auth(&self.key.0);
        let answered = tokio::time::timeout(DOWNLOAD_BEGINS_WITHIN, request.send()).await;
        let response = answered
            .map_err(|_| Error::Transport {
                message: "no answer to a download".to_owned(),
                may_have_taken_effect: false,
            })?
            .map_err(|error| answer::lost(&error))?;
        match response.status().is_success() {
            true => Ok(Download::new(response)),
            false => Err(answer::refused(response).await),
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        timeout: Duration,
    ) -> Result<reqwest::RequestBuilder, Error> {
        let request = self.http.request(method, self.address(path)?);
        Ok(request.timeout(timeout).bearer_auth(&self.key.0))
    }

    /// The URL of a path. URLs resolve `.` and `..`, however they are encoded, so a name that
    /// holds them would become another name.
    fn address(&self, path: &str) -> Result<Url, Error> {
        let text = format!("{}{path}", self.url);
        let url = Url::parse(&text).map_err(|error| Error::Usage(format!("{text}: {error}")))?;
        let (wanted, _) = path.split_once('?').unwrap_or((path, ""));
        if url.path().ends_with(wanted) {
            Ok(url)
        } else {
            let message = format!("{path}: a name cannot have . or .. between slashes");
            Err(Error::Usage(message))
        }
    }

    /// POSTs the same up to `sends` times, as long as the answer is lost.
    async fn call_until_heard<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
        timeout: Duration,
        sends: u32,
    ) -> Result<T, Error> {
        let mut backoff = Backoff::default();
        loop {
            let answer = self.call(Method::POST, path, Some(body), timeout).await;
            let lost = matches!(&answer, Err(error) if error.is_lost_answer());
            let pause = backoff.pause(None);
            if !lost || backoff.failures() >= sends {
                return answer;
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
        timeout: Duration,
    ) -> Result<T, Error> {
        let request = self.request(method, path, timeout)?;
        answer::of(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }
}

/// Only what has an id is the same request when it comes again.
fn sends(has_id: bool) -> u32 {
    if has_id { SENDS_MAX } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_becomes_another() {
        let client = Client::new("http://gateway/base/", Key::default()).unwrap();
        let address = |path: &str| client.address(path);
        let plain = paths::lock("demo", "a b/c:d?e", Some("acquire"));
        assert_eq!(
            address(&plain).unwrap().as_str(),
            "http://gateway/base/v1/namespaces/demo/locks/a%20b/c%3Ad%3Fe:acquire"
        );
        assert!(address("/v1/audit/holders?lock=demo/../x").is_ok());
        for name in ["..", "a/../b", "a/./b", "../../x"] {
            let path = paths::lock("demo", name, None);
            assert!(matches!(address(&path), Err(Error::Usage(_))), "{name}");
        }
        let key = paths::member(paths::KEYS, "../namespaces/demo");
        assert!(!address(&key).is_ok_and(|url| url.path().contains("namespaces/")));
    }

    #[test]
    fn keys_do_not_print() {
        let client = Client::new("http://gateway", Key::from("lh_secret".to_owned())).unwrap();
        assert!(!format!("{client:?}").contains("lh_secret"));
    }
}

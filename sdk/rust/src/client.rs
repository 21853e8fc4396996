//! The gateways, and who calls them.

mod calls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use leasehold_wire::v1::locks as wire;
use leasehold_wire::v1::paths;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::calls::Repeat;
use self::calls::address;
use self::calls::until_heard;
use crate::Download;
use crate::Error;
use crate::EventStream;
use crate::deadline::Moment;
use crate::gateways::Gateways;

/// How long connecting to the only gateway may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connecting may take where another gateway can be asked instead.
const CONNECT_TIMEOUT_OF_SEVERAL: Duration = Duration::from_secs(2);
/// How long a call may take, waits not counted.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a request whose answer was lost is sent in all, if its repetition is harmless.
const SENDS_MAX: u32 = 3;

/// How long a push may take: the gateway compiles the module and runs its cases.
const PUSH_TIMEOUT: Duration = Duration::from_secs(60);

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

/// The gateways, and who calls them. Cheap to clone.
///
/// If several gateways are given, each call goes to the one that served last. One that cannot be
/// reached, or answers that it cannot serve, is followed by the next. A request whose answer was
/// lost goes on to the next only if doing it twice is harmless.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    gateways: Arc<Gateways>,
    key: Key,
}

impl Client {
    /// A client of the gateway at `urls`, or of several, separated by commas or white space.
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// An URL is invalid, or TLS cannot be set up.
    pub fn new(urls: &str, key: Key) -> Result<Self, Error> {
        // Refused if the program has chosen a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let usage = |error: reqwest::Error| Error::Usage(crate::answer::told(&error));
        let gateways = Gateways::parse(urls)?;
        let connect_timeout = match gateways.count() {
            1 => CONNECT_TIMEOUT,
            _ => CONNECT_TIMEOUT_OF_SEVERAL,
        };
        if !key.0.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = "the key holds characters that no key has, such as spaces or line breaks";
            return Err(Error::Usage(message.to_owned()));
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(connect_timeout)
            .build()
            .map_err(usage)?;
        Ok(Self {
            http,
            gateways: Arc::new(gateways),
            key,
        })
    }

    /// Takes a lock, or waits for it if `wait_ms` is given. If the answer is lost and the request
    /// has a `request_id`, the same is asked again a few times, and at least for the rest of the
    /// wait: it gets the same lease.
    ///
    /// # Errors
    /// It was not granted, or nobody knows. Ask again with the same `request_id` then.
    pub async fn acquire(
        &self,
        namespace: &str,
        lock: &str,
        request: &wire::AcquireRequest,
    ) -> Result<wire::Grant, Error> {
        let path = paths::lock(namespace, lock, Some("acquire"));
        let Some(_) = &request.request_id else {
            let timeout = timeout_of(request);
            return self.post_once(&path, request, timeout).await;
        };
        let wait = Duration::from_millis(request.wait_ms.unwrap_or(0));
        let begun = Moment::now();
        let left = || wait.saturating_sub(begun.elapsed());
        let ask = || async {
            let mut request = request.clone();
            request.wait_ms = request.wait_ms.map(|_| wire_ms(left()));
            let timeout = timeout_of(&request);
            self.post_repeatable(&path, &request, timeout).await
        };
        let again = |failures| failures < SENDS_MAX || !left().is_zero();
        until_heard(ask, again).await
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
        let has_id = request.request_id.is_some();
        self.post_identified(&path, request, has_id).await
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
        let has_id = request.request_id.is_some();
        self.post_identified(&path, request, has_id).await
    }

    /// GET of any path.
    ///
    /// # Errors
    /// The gateway refuses, or does not answer.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let send = |base: &str| self.request(Method::GET, base, path, CALL_TIMEOUT);
        let answer = self.call(Repeat::Harmless, send).await;
        answer.map_err(Error::of_a_read)
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
        self.post_once(path, body, CALL_TIMEOUT).await
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
        let send = |base: &str| {
            let request = self.request(Method::PUT, base, path, CALL_TIMEOUT)?;
            Ok(request.json(body))
        };
        self.call(Repeat::Never, send).await
    }

    /// DELETE of any path.
    ///
    /// # Errors
    /// The gateway refuses, or does not answer.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let send = |base: &str| self.request(Method::DELETE, base, path, CALL_TIMEOUT);
        self.call(Repeat::Never, send).await
    }

    /// PUT of a policy module, with files of signatures in base64.
    ///
    /// # Errors
    /// The gateway refuses, or does not answer.
    pub async fn push<T: DeserializeOwned>(
        &self,
        path: &str,
        wasm: Vec<u8>,
        signatures: &[String],
    ) -> Result<T, Error> {
        let wasm = bytes::Bytes::from(wasm);
        let send = |base: &str| {
            let request = self.request(Method::PUT, base, path, PUSH_TIMEOUT)?;
            let mut request = request.header("content-type", "application/wasm");
            for file in signatures {
                request = request.header("leasehold-policy-signatures", file);
            }
            Ok(request.body(wasm.clone()))
        };
        self.call(Repeat::Never, send).await
    }

    /// Follows a watch, from now on or after the event with this id. It ends with its connection;
    /// [`watch`](Self::watch) goes on by itself.
    ///
    /// # Errors
    /// The gateway refuses, or does not answer.
    pub async fn events(&self, path: &str, after: Option<&str>) -> Result<EventStream, Error> {
        let begin = |base: &str| {
            let request = self.http.get(address(base, path)?);
            let request = request.bearer_auth(&self.key.0);
            Ok(match after {
                Some(id) => request.header("last-event-id", id),
                None => request,
            })
        };
        let begun = self
            .begin(begin, CALL_TIMEOUT, "no answer to a watch")
            .await;
        begun.map(EventStream::new)
    }

    /// GET of a body that is too long to be held.
    ///
    /// # Errors
    /// The gateway refuses, or does not answer.
    pub async fn download(&self, path: &str) -> Result<Download, Error> {
        let begin = |base: &str| {
            let request = self.http.get(address(base, path)?);
            Ok(request.bearer_auth(&self.key.0))
        };
        let silence = "no answer to a download";
        let begun = self.begin(begin, DOWNLOAD_BEGINS_WITHIN, silence).await;
        begun.map(Download::new)
    }

    /// The gateways of this client.
    pub(crate) fn gateways(&self) -> &Gateways {
        &self.gateways
    }
}

/// How long an acquire may take.
fn timeout_of(request: &wire::AcquireRequest) -> Duration {
    CALL_TIMEOUT + Duration::from_millis(request.wait_ms.unwrap_or(0))
}

/// Whole milliseconds, rounded up.
fn wire_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

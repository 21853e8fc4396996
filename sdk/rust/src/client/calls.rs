//! How a client calls: one gateway after the other, and again if an answer was lost.

use std::time::Duration;

use reqwest::Method;
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CALL_TIMEOUT;
use super::Client;
use super::SENDS_MAX;
use crate::Error;
use crate::answer;
use crate::backoff::Backoff;

/// Whether a request may be sent to another gateway after its answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It reads, or has a `request_id`: doing it twice is harmless.
    Harmless,
    /// Only if it cannot have arrived.
    Never,
}

impl Client {
    pub(super) fn request(
        &self,
        method: Method,
        base: &str,
        path: &str,
        timeout: Duration,
    ) -> Result<reqwest::RequestBuilder, Error> {
        let request = self.http.request(method, address(base, path)?);
        Ok(request.timeout(timeout).bearer_auth(&self.key.0))
    }

    /// POSTs; the same up to `SENDS_MAX` times if it has an id, as long as the answer is lost.
    pub(super) async fn post_identified<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
        has_id: bool,
    ) -> Result<T, Error> {
        if !has_id {
            return self.post_once(path, body, CALL_TIMEOUT).await;
        }
        let ask = || self.post_repeatable(path, body, CALL_TIMEOUT);
        until_heard(ask, |failures| failures < SENDS_MAX).await
    }

    pub(super) async fn post_repeatable<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
        timeout: Duration,
    ) -> Result<T, Error> {
        let send = |base: &str| {
            let request = self.request(Method::POST, base, path, timeout)?;
            Ok(request.json(body))
        };
        self.call(Repeat::Harmless, send).await
    }

    pub(super) async fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
        timeout: Duration,
    ) -> Result<T, Error> {
        let send = |base: &str| {
            let request = self.request(Method::POST, base, path, timeout)?;
            Ok(request.json(body))
        };
        self.call(Repeat::Never, send).await
    }

    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        repeat: Repeat,
        request: impl Fn(&str) -> Result<reqwest::RequestBuilder, Error>,
    ) -> Result<T, Error> {
        let call = |base: String| {
            let request = request(&base);
            async move { answer::of(request?).await }
        };
        self.in_turn(repeat, call).await
    }

    /// Begins a body that may be long or endless: the answer's head must come in time.
    pub(super) async fn begin(
        &self,
        request: impl Fn(&str) -> Result<reqwest::RequestBuilder, Error>,
        within: Duration,
        silence: &str,
    ) -> Result<reqwest::Response, Error> {
        let call = |base: String| {
            let request = request(&base);
            async move {
                let answered = tokio::time::timeout(within, request?.send()).await;
                let response = answered
                    .map_err(|_| Error::Transport {
                        message: silence.to_owned(),
                        may_have_taken_effect: false,
                    })?
                    .map_err(|error| answer::lost(&error))?;
                match response.status().is_success() {
                    true => Ok(response),
                    false => Err(answer::refused(response).await),
                }
            }
        };
        self.in_turn(Repeat::Harmless, call).await
    }

    /// Calls one gateway after the other, each at most once, until one serves or refuses.
    async fn in_turn<T, F: Future<Output = Result<T, Error>>>(
        &self,
        repeat: Repeat,
        call: impl Fn(String) -> F,
    ) -> Result<T, Error> {
        let mut lost_before = false;
        let mut left = self.gateways.count();
        loop {
            let (index, base) = self.gateways.current();
            let error = match call(base.to_owned()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let lost = error.is_lost_answer();
            left -= 1;
            let another_may_serve = error.is_of_this_gateway();
            if another_may_serve {
                self.gateways.pass_over(index);
            }
            if left == 0 || !another_may_serve || (lost && repeat == Repeat::Never) {
                return Err(if lost_before {
                    error.after_a_lost_answer()
                } else {
                    error
                });
            }
            lost_before |= lost;
        }
    }
}

/// The URL of a path. URLs resolve `.` and `..`, however they are encoded, so a name that holds
/// them would become another name.
pub(super) fn address(base: &str, path: &str) -> Result<Url, Error> {
    let text = format!("{base}{path}");
    let url = Url::parse(&text).map_err(|error| Error::Usage(format!("{text}: {error}")))?;
    let (wanted, _) = path.split_once('?').unwrap_or((path, ""));
    if url.path().ends_with(wanted) {
        Ok(url)
    } else {
        let message = format!("{path}: a name cannot have . or .. between slashes");
        Err(Error::Usage(message))
    }
}

/// Asks the same until an answer is heard. After a lost answer, an error that had no effect itself
/// does not undo what the request may have done before: it is not the last word while `again`, and
/// is reported as of unknown effect.
pub(super) async fn until_heard<T, F: Future<Output = Result<T, Error>>>(
    ask: impl Fn() -> F,
    again: impl Fn(u32) -> bool,
) -> Result<T, Error> {
    let mut backoff = Backoff::default();
    let mut lost = false;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if lost => error.after_a_lost_answer(),
            Err(error) => error,
        };
        lost |= error.is_lost_answer();
        let pause = backoff.pause(error.retry_after_ms());
        let heard = !error.may_have_taken_effect() || !error.is_retryable();
        if !lost || heard || !again(backoff.failures()) {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
    }
}

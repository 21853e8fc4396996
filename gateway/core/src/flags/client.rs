//! One request of OFREP's bulk evaluation.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::FLAG_ANSWER_BYTES_MAX;
use leasehold_domain::limits::FLAG_RETRY_AFTER_MS_MAX;
use leasehold_domain::limits::FLAG_TEXT_BYTES_MAX;
use reqwest::StatusCode;
use reqwest::header;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderName;
use reqwest::header::HeaderValue;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::config::FlagService;
use crate::config::FlagServiceAuth;
use crate::input::with_causes;

/// The path of the bulk evaluation below the URL of the service.
const PATH: &str = "ofrep/v1/evaluate/flags";
/// Whom flags are evaluated for. All gateways are one, so that they get the same answers.
const TARGETING_KEY: &str = "leasehold";

/// Why the client of the flag service cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FlagClientError(String);

/// Asks a flag service.
#[derive(Debug)]
pub(super) struct OfrepClient {
    http: reqwest::Client,
    url: String,
    headers: HeaderMap,
}

/// A poll that succeeded.
#[derive(Debug)]
pub(super) enum Polled {
    /// An answer, and its entity tag.
    Answer(Vec<u8>, Option<HeaderValue>),
    /// The answer with the entity tag that was sent still holds.
    Unchanged,
}

/// A poll that failed.
#[derive(Debug)]
pub(super) struct PollFailure {
    /// Its name in the metrics.
    pub(super) outcome: &'static str,
    /// What is wrong.
    pub(super) problem: String,
    /// How long the service asks not to be polled.
    pub(super) retry_after: Option<Duration>,
}

impl PollFailure {
    pub(super) fn new(outcome: &'static str, problem: impl Into<String>) -> Self {
        Self {
            outcome,
            problem: problem.into(),
            retry_after: None,
        }
    }
}

impl OfrepClient {
    /// Makes a client. Redirects are not followed: they would send the key elsewhere.
    ///
    /// # Errors
    /// The key cannot be read, or is not text for a header.
    pub(super) fn new(settings: &FlagService) -> Result<Self, FlagClientError> {
        // A second installation is refused, and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(Duration::from_millis(settings.timeout_ms))
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let http = http.map_err(|error| FlagClientError(error.to_string()))?;
        let mut headers = HeaderMap::new();
        let key = settings.key();
        let key = key.map_err(|error| FlagClientError(error.to_string()))?;
        if let Some(key) = key {
            let (name, text) = match settings.auth {
                FlagServiceAuth::Bearer => (
                    header::AUTHORIZATION,
                    format!("Bearer {}", key.expose_secret()),
                ),
                FlagServiceAuth::ApiKey => (
                    HeaderName::from_static("x-api-key"),
                    key.expose_secret().to_owned(),
                ),
            };
            let mut value = HeaderValue::try_from(text).map_err(|_| {
                let problem = "rollouts.flag_service.key_file: the key is not one line of ASCII";
                FlagClientError(problem.to_owned())
            })?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let url = format!("{}/{PATH}", settings.url.trim_end_matches('/'));
        Ok(Self { http, url, headers })
    }

    /// Asks for all flags, unless the answer with this entity tag still holds. `now` is for a
    /// `Retry-After` that is a date.
    pub(super) async fn poll(
        &self,
        known: Option<&HeaderValue>,
        now: WallMillis,
    ) -> Result<Polled, PollFailure> {
        let body = json!({ "context": { "targetingKey": TARGETING_KEY } });
        let mut request = self.http.post(&self.url).headers(self.headers.clone());
        if let Some(known) = known {
            request = request.header(header::IF_NONE_MATCH, known);
        }
        let response = request.json(&body).send().await.map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if known.is_some() => return Ok(Polled::Unchanged),
            status => {
                let outcome = match status {
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "refused",
                    StatusCode::TOO_MANY_REQUESTS => "limited",
                    _ => "failed",
                };
                return Err(PollFailure {
                    retry_after: retry_after(response.headers(), now),
                    ..PollFailure::new(outcome, format!("the flag service answers {status}"))
                });
            }
        }
        let tag = response.headers().get(header::ETAG).cloned();
        let tag = tag.filter(|tag| tag.len() <= FLAG_TEXT_BYTES_MAX);
        Ok(Polled::Answer(read(response).await?, tag))
    }
}

fn unreachable(error: reqwest::Error) -> PollFailure {
    PollFailure::new("unreachable", with_causes(&error.without_url()))
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, PollFailure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > FLAG_ANSWER_BYTES_MAX {
            let problem = format!("the answer has more than {FLAG_ANSWER_BYTES_MAX} bytes");
            return Err(PollFailure::new("malformed", problem));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads `Retry-After`, a number of seconds or a date.
fn retry_after(headers: &HeaderMap, now: WallMillis) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let ms = match text.trim().parse::<u64>() {
        Ok(seconds) => seconds.saturating_mul(1_000),
        Err(_) => {
            let date = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            let until = date.duration_since(Timestamp::UNIX_EPOCH).as_millis();
            u64::try_from(until).ok()?.saturating_sub(now.0)
        }
    };
    Some(Duration::from_millis(ms.min(FLAG_RETRY_AFTER_MS_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_as_seconds_or_as_a_date_and_is_bounded() {
        let read = |text: &'static str| {
            let value = HeaderValue::from_static(text);
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value)]);
            retry_after(&headers, WallMillis(784_111_777_000))
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        let date = read("Sun, 06 Nov 1994 08:49:47 GMT");
        assert_eq!(date, Some(Duration::from_secs(10)));
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        let most = Duration::from_millis(FLAG_RETRY_AFTER_MS_MAX);
        assert_eq!(read("18446744073709551615"), Some(most));
        assert_eq!(read("soon"), None);
    }
}

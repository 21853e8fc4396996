//! One client: its own connections, one call at a time, no retries that nobody sees. Every call
//! goes into the history as it went.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use serde_json::json;

use super::Answer;
use super::Ask;
use super::Call;
use super::Done;
use super::Recorder;
use super::Seen;
use crate::ADMIN_KEY;

/// How long a call may take, besides the time that it waits for its lock.
const DEADLINE: Duration = Duration::from_millis(4_500);
const CONNECT_DEADLINE: Duration = Duration::from_millis(1_500);

/// One client.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    client: u32,
    http: reqwest::Client,
    urls: Arc<[String]>,
    recorder: Arc<Recorder>,
}

/// What a call came to: the answer, and the lease's secret if it was a grant.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) answer: Answer,
    pub(crate) lease_id: Option<String>,
}

/// What is asked, of whom, about what.
#[derive(Debug, Clone)]
pub(crate) struct Question<'a> {
    pub(crate) gateway: usize,
    pub(crate) lock: &'a str,
    pub(crate) key: &'a str,
    /// The lease's secret, for renewals and releases.
    pub(crate) lease_id: &'a str,
    pub(crate) ask: Ask,
}

impl Caller {
    pub(crate) fn new(client: u32, urls: Arc<[String]>, recorder: Arc<Recorder>) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            // A connection for each call: one that broke before is never used, or tried again.
            .pool_max_idle_per_host(0)
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_DEADLINE)
            .build()?;
        Ok(Self {
            client,
            http,
            urls,
            recorder,
        })
    }

    pub(crate) fn gateways(&self) -> usize {
        self.urls.len()
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Asks once, and records what became of it.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Heard {
        let request = self.request(&question);
        let start_us = self.recorder.now_us();
        let came = async {
            let response = request.send().await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status.is_success(), response.text().await?))
        };
        let came = came.await;
        let end_us = self.recorder.now_us();
        let (answer, lease_id) = match came {
            Ok((good, text)) => understand(&question.ask, good, &text),
            Err(error) if error.is_connect() => (failed("connect", None), None),
            Err(error) => (unknown(&error.to_string()), None),
        };
        self.recorder.call(Call {
            client: self.client,
            gateway: u32::try_from(question.gateway).unwrap_or(u32::MAX),
            lock: question.lock.to_owned(),
            key: question.key.to_owned(),
            ask: question.ask,
            start_us,
            end_us,
            answer: answer.clone(),
        });
        Heard { answer, lease_id }
    }

    fn request(&self, question: &Question<'_>) -> reqwest::RequestBuilder {
        let url = &self.urls[question.gateway % self.urls.len()];
        let path = format!("{url}/v1/namespaces/demo/locks/{}", question.lock);
        let post = |verb: &str, body: &Value| self.http.post(format!("{path}:{verb}")).json(body);
        let mut deadline = DEADLINE;
        let request = match question.ask {
            Ask::Acquire { ttl_ms, wait_ms } => {
                deadline += Duration::from_millis(wait_ms);
                // Others see the key as the holder's instance.
                let mut body = json!({
                    "ttl_ms": ttl_ms, "request_id": question.key, "instance": question.key,
                });
                if wait_ms > 0 {
                    body["wait_ms"] = json!(wait_ms);
                }
                post("acquire", &body)
            }
            Ask::Renew { ttl_ms } => post(
                "renew",
                &json!({ "lease_id": question.lease_id, "ttl_ms": ttl_ms }),
            ),
            Ask::Release => post("release", &json!({ "lease_id": question.lease_id })),
            Ask::Validate { token } => post("validate", &json!({ "fencing_token": token })),
            Ask::Read => self.http.get(path),
        };
        request.bearer_auth(ADMIN_KEY).timeout(deadline)
    }
}

fn failed(code: &str, seen: Option<Seen>) -> Answer {
    Answer::Failed {
        code: code.to_owned(),
        seen,
    }
}

fn unknown(why: &str) -> Answer {
    Answer::Unknown {
        why: why.to_owned(),
    }
}

fn understand(ask: &Ask, good: bool, text: &str) -> (Answer, Option<String>) {
    let Ok(body) = serde_json::from_str::<Value>(text) else {
        return (unknown("no JSON"), None);
    };
    if !good {
        let code = body["code"].as_str().unwrap_or("no code");
        // Only a gateway that says so has certainly done nothing.
        return match body["effect"].as_str() {
            Some("none") => (failed(code, holder(&body)), None),
            _ => (unknown(code), None),
        };
    }
    let done = match ask {
        Ask::Acquire { .. } => granted(&body),
        Ask::Renew { .. } => {
            token(&body).map(|(token, lasts_ms)| Done::Renewed { token, lasts_ms })
        }
        Ask::Release => Some(Done::Released),
        Ask::Validate { .. } => body["current"]
            .as_bool()
            .map(|current| Done::Validated { current }),
        Ask::Read => Some(Done::Viewed {
            holder: holder(&body),
        }),
    };
    let lease_id = body["lease_id"].as_str().map(str::to_owned);
    match done {
        Some(done) => (Answer::Ok(done), lease_id),
        None => (unknown("an answer that says nothing"), None),
    }
}

fn token(body: &Value) -> Option<(u64, u64)> {
    Some((
        body["fencing_token"].as_u64()?,
        body["remaining_ms"].as_u64()?,
    ))
}

fn granted(body: &Value) -> Option<Done> {
    let (token, lasts_ms) = token(body)?;
    Some(Done::Granted {
        token,
        lasts_ms,
        repeated: body["repeated"].as_bool()?,
    })
}

fn holder(body: &Value) -> Option<Seen> {
    let holder = body["holders"].as_array()?.first()?;
    Some(Seen {
        key: holder["instance"].as_str()?.to_owned(),
        token: holder["fencing_token"].as_u64()?,
    })
}

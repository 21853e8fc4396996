//! One request to a witness (`c2sp.org/tlog-witness`).

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use leasehold_domain::Digest;
use leasehold_domain::limits::WITNESS_ANSWER_BYTES_MAX;
use leasehold_domain::limits::WITNESS_REQUEST_MS_MAX;
use reqwest::StatusCode;

use crate::config::Witness;
use crate::input::with_causes;

/// Asks one witness.
#[derive(Debug)]
pub(super) struct WitnessClient {
    http: reqwest::Client,
    url: String,
    /// Its public key.
    pub(super) key: String,
}

/// What a witness said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The lines of its signatures.
    Cosigned(String),
    /// It has cosigned a checkpoint of this size last.
    OtherSize(u64),
    /// It does not cosign; the status and what it says.
    Refused(String),
}

impl WitnessClient {
    /// Makes a client. Redirects are not followed.
    ///
    /// # Errors
    /// The system has no randomness, or no certificates.
    pub(super) fn new(witness: &Witness) -> Result<Self, String> {
        // A second installation is refused, and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(Duration::from_millis(WITNESS_REQUEST_MS_MAX))
            .redirect(reqwest::redirect::Policy::none())
            .build();
        Ok(Self {
            http: http.map_err(|error| error.to_string())?,
            url: format!("{}/add-checkpoint", witness.url.trim_end_matches('/')),
            key: witness.key.clone(),
        })
    }

    /// The witness's name.
    pub(super) fn name(&self) -> &str {
        self.key.split('+').next().unwrap_or_default()
    }

    /// Asks it to cosign a checkpoint, with the proof that the log grew from `old` entries.
    ///
    /// # Errors
    /// There is no answer, or none that can be understood; the text is for operators.
    pub(super) async fn ask(
        &self,
        old: u64,
        proof: &[Digest],
        checkpoint: &str,
    ) -> Result<Answer, String> {
        let mut body = format!("old {old}\n");
        for hash in proof {
            body.push_str(&BASE64_STANDARD.encode(hash.0));
            body.push('\n');
        }
        body.push('\n');
        body.push_str(checkpoint);
        let sent = self.http.post(&self.url).body(body).send().await;
        let response = sent.map_err(|error| with_causes(&error.without_url()))?;
        let status = response.status();
        let text = read(response).await?;
        match status {
            StatusCode::OK => Ok(Answer::Cosigned(text)),
            StatusCode::CONFLICT if text.trim().parse() != Ok(old) => match text.trim().parse() {
                Ok(size) => Ok(Answer::OtherSize(size)),
                Err(_) => Ok(refused(status, &text)),
            },
            // It is busy, or broken, and says nothing of the log.
            StatusCode::TOO_MANY_REQUESTS => Err(format!("it answers {status}")),
            status if status.is_server_error() => Err(format!("it answers {status}")),
            status => Ok(refused(status, &text)),
        }
    }
}

fn refused(status: StatusCode, text: &str) -> Answer {
    let words: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    Answer::Refused(format!("{status} {words}").trim().to_owned())
}

async fn read(mut response: reqwest::Response) -> Result<String, String> {
    let mut body = Vec::new();
    let failed = |error: reqwest::Error| with_causes(&error.without_url());
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > WITNESS_ANSWER_BYTES_MAX {
            return Err(format!(
                "its answer has more than {WITNESS_ANSWER_BYTES_MAX} bytes"
            ));
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| "its answer is not UTF-8".to_owned())
}

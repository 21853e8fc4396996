//! What came back, read with care: an answer that cannot be read is not a no.

use std::io::ErrorKind;

use leasehold_wire::v1::error::Problem;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// Sends a request, and reads the answer or the problem.
pub(crate) async fn of<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T, Error> {
    let response = request.send().await.map_err(|error| lost(&error))?;
    if !response.status().is_success() {
        return Err(refused(response).await);
    }
    // The gateway did it: that its answer cannot be read does not undo that.
    response.json().await.map_err(|error| Error::Transport {
        message: told(&error),
        may_have_taken_effect: true,
    })
}

/// The problem that an answer tells of.
pub(crate) async fn refused(response: reqwest::Response) -> Error {
    let status = response.status();
    let body = response.bytes().await.unwrap_or_default();
    problem(&body).unwrap_or_else(|| Error::Transport {
        message: format!("the gateway answered {status} without a problem document"),
        may_have_taken_effect: status.is_server_error(),
    })
}

/// What every problem document says, whatever its code.
#[derive(Deserialize)]
struct AnyProblem {
    code: String,
    detail: String,
    retryable: bool,
    effect: String,
    retry_after_ms: Option<u64>,
}

/// The problem in a body. One that this client does not know still says whether to ask again.
fn problem(body: &[u8]) -> Option<Error> {
    if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
        return Some(Error::Problem(Box::new(problem)));
    }
    let problem: AnyProblem = serde_json::from_slice(body).ok()?;
    Some(Error::Unknown {
        code: problem.code,
        detail: problem.detail,
        retryable: problem.retryable,
        may_have_taken_effect: problem.effect != "none",
        retry_after_ms: problem.retry_after_ms,
    })
}

/// No answer. Only a connection that was never made is certain to have had no effect.
pub(crate) fn lost(error: &reqwest::Error) -> Error {
    Error::Transport {
        message: told(error),
        may_have_taken_effect: !error.is_connect() && !error.is_builder(),
    }
}

/// What went wrong, for people: which gateway, and why.
pub(crate) fn told(error: &reqwest::Error) -> String {
    let url = error.url().map(|url| {
        let mut base = url.clone();
        base.set_path("");
        base.set_query(None);
        base.to_string().trim_end_matches('/').to_owned()
    });
    let gateway = url.unwrap_or_else(|| "the gateway".to_owned());
    let mut innermost: &dyn std::error::Error = error;
    let mut system = None;
    while let Some(inner) = innermost.source() {
        system = inner.downcast_ref::<std::io::Error>().or(system);
        innermost = inner;
    }
    let why = match system.map(std::io::Error::kind) {
        Some(ErrorKind::ConnectionRefused) => "nobody listens there".to_owned(),
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
            "the connection was broken".to_owned()
        }
        Some(ErrorKind::TimedOut) => "no answer in time".to_owned(),
        _ if error.is_timeout() => "no answer in time".to_owned(),
        _ => without_number(&innermost.to_string()),
    };
    if error.is_connect() {
        format!("cannot connect to {gateway}: {why}")
    } else if error.is_decode() || error.is_body() {
        format!("the answer of {gateway} cannot be read: {why}")
    } else {
        format!("no answer from {gateway}: {why}")
    }
}

/// The message without the system's error number.
fn without_number(message: &str) -> String {
    let end = message.find(" (os error ").unwrap_or(message.len());
    message[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_a_newer_gateway_is_still_understood() {
        let body = |code: &str, effect: &str| {
            let problem = serde_json::json!({ "type": "urn:x", "title": "x", "status": 429,
                "detail": "come back", "code": code, "retryable": true, "effect": effect,
                "request_id": "r", "retry_after_ms": 250 });
            problem.to_string().into_bytes()
        };
        let known = problem(&body("held", "none")).unwrap();
        assert!(known.problem().is_some());
        let newer = problem(&body("tide_is_out", "unknown")).unwrap();
        assert!(newer.problem().is_none());
        assert_eq!(newer.to_string(), "tide_is_out: come back");
        assert!(newer.is_retryable() && newer.may_have_taken_effect());
        assert_eq!(newer.retry_after_ms(), Some(250));
        assert!(problem(b"<html>").is_none() && problem(b"{}").is_none());
    }
}

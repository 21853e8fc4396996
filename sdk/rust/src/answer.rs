//! What came back, read with care: an answer that cannot be read is not a no.

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

/// An error with its causes, in one line.
fn told(error: &reqwest::Error) -> String {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        message = format!("{message}: {inner}");
        cause = inner.source();
    }
    message
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

//! What came back, read with care: an answer that cannot be read is not a no.

use leasehold_wire::v1::error::Problem;
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
    match response.json::<Problem>().await {
        Ok(problem) => Error::Problem(Box::new(problem)),
        Err(_) => Error::Transport {
            message: format!("the gateway answered {status} without a problem document"),
            may_have_taken_effect: status.is_server_error(),
        },
    }
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

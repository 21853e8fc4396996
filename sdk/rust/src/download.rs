//! A body that is too long to be held.

use std::time::Duration;

use crate::Error;
use crate::answer;

/// The longest silence in the middle of a body.
const SILENCE_LONGEST: Duration = Duration::from_secs(60);

/// A body, piece by piece.
#[derive(Debug)]
pub struct Download(reqwest::Response);

impl Download {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self(response)
    }

    /// The next piece, or nothing at the end.
    ///
    /// # Errors
    /// The connection broke, or was silent for too long: what came so far is not the whole.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        match tokio::time::timeout(SILENCE_LONGEST, self.0.chunk()).await {
            Ok(Ok(piece)) => Ok(piece.map(Into::into)),
            Ok(Err(error)) => Err(answer::lost(&error)),
            Err(_) => Err(Error::Transport {
                message: "the gateway has fallen silent".to_owned(),
                may_have_taken_effect: false,
            }),
        }
    }
}

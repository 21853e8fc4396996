//! Request ids: under the same one a request that is sent again is one request.

use leasehold_wire::v1::error::ErrorCode;
use uuid::Uuid;

use crate::Error;

/// How many ids one acquire may use up, so that it ends whatever the gateway answers.
const IDS_MAX: u32 = 8;

/// Returns a new request id: a version 7 UUID, which tells when it was made. A gateway refuses an
/// acquire whose id is older than a minute, unless its lease or its place in the queue stands: so
/// a duplicate that arrives late, over whichever way, takes no lock that nobody knows of.
#[must_use]
pub fn draw() -> String {
    Uuid::now_v7().to_string()
}

/// Returns a new request id that does not tell when it was made: for a program whose clock differs
/// from the gateway's by more than a minute. A duplicate that arrives later than a minute after
/// the end of its lease may be granted a lease of its own, which lasts for one ttl.
#[must_use]
pub fn draw_without_time() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The ids of one acquire whose caller gave none.
#[derive(Debug, Default)]
pub struct RequestIds {
    refused: bool,
    used: u32,
}

impl RequestIds {
    /// Returns the id with which to ask again at once, if the gateway said that nothing stands
    /// under the one before: its lease has ended, or it is too old. Neither had an effect. If two
    /// ids in a row are too old, the clocks differ, and the next one tells no time.
    pub fn after(&mut self, error: &Error) -> Option<String> {
        if error.held().is_some() {
            // The one under which it stands in the queue is good.
            self.used = 0;
        }
        let code = error.problem().map(|problem| problem.code);
        let too_old = code == Some(ErrorCode::RequestIdTooOld);
        let ended = code == Some(ErrorCode::LeaseEnded);
        if !(too_old || ended) || self.used >= IDS_MAX {
            self.refused = false;
            return None;
        }
        self.used += 1;
        let clocks_differ = too_old && std::mem::replace(&mut self.refused, too_old);
        Some(match clocks_differ {
            true => draw_without_time(),
            false => draw(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: ErrorCode) -> Error {
        let problem = serde_json::json!({
            "type": "", "title": "", "status": code.status(), "detail": "", "code": code,
            "retryable": false, "effect": "none", "request_id": "r",
        });
        Error::Problem(Box::new(serde_json::from_value(problem).unwrap()))
    }

    fn version(id: &str) -> usize {
        Uuid::parse_str(id).unwrap().get_version_num()
    }

    #[test]
    fn ids_tell_their_time_unless_the_clocks_differ() {
        assert_eq!((version(&draw()), draw().len()), (7, 36));
        assert_ne!(draw(), draw());
        let mut ids = RequestIds::default();
        assert_eq!(ids.after(&refused(ErrorCode::Denied)), None);
        let ended = ids.after(&refused(ErrorCode::LeaseEnded)).unwrap();
        assert_eq!(version(&ended), 7);
        let too_old = refused(ErrorCode::RequestIdTooOld);
        assert_eq!(version(&ids.after(&too_old).unwrap()), 7);
        let without = ids.after(&too_old).unwrap();
        assert_eq!((without.len(), without.contains('-')), (32, false));
        let more = std::iter::from_fn(|| ids.after(&too_old)).count();
        assert!(more < 8, "it asked {more} times more");
    }
}

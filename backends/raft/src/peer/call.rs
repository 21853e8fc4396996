//! One call to a peer: on its way, sent, answered or given up.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::frame::Frame;
use super::frame::Unnumbered;

const WAITING: u8 = 0;
const SENT: u8 = 1;
const GIVEN_UP: u8 = 2;

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// It was never sent, and never will be.
    #[error("not sent: {0}")]
    Unsent(String),
    /// It was sent; whether it was carried out is not known.
    #[error("no answer: {0}")]
    Lost(String),
}

/// Whether a call was sent. Sender and caller agree on it: a call that its caller has given up is
/// never sent afterwards.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<AtomicU8>);

impl Progress {
    /// The sender takes the call; false if its caller has given up.
    fn send(&self) -> bool {
        self.leave(SENT)
    }

    /// The caller gives up; false if the call was sent already.
    pub(super) fn give_up(&self) -> bool {
        self.leave(GIVEN_UP)
    }

    fn leave(&self, to: u8) -> bool {
        let left = self
            .0
            .compare_exchange(WAITING, to, Ordering::SeqCst, Ordering::SeqCst);
        left.is_ok()
    }
}

/// Who waits for an answer.
pub(super) type Reply = oneshot::Sender<Result<Frame, CallError>>;

/// A call on its way to the sender.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) body: Unnumbered,
    pub(super) progress: Progress,
    pub(super) reply: Reply,
}

impl Call {
    /// Takes the call for sending; none if its caller has given up.
    pub(super) fn take(self) -> Option<(Unnumbered, Reply)> {
        self.progress.send().then_some((self.body, self.reply))
    }

    /// The peer cannot be reached.
    pub(super) fn unsent(self, reason: &str) {
        // A caller that has left does not care.
        let _ = self.reply.send(Err(CallError::Unsent(reason.to_owned())));
    }
}

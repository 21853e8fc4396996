//! Where requests queue up, and who waits for their answers.

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::limits;
use leasehold_stored::Formed;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::entry::Answer;
use crate::entry::Item;
use crate::error;
use crate::outbox::Applied;
use crate::peer::Answered;

/// Bytes of one request: a module, with room to spare.
const REQUEST_BYTES_MAX: usize = 2 * limits::MODULE_BYTES_MAX;

/// Whether a request's write may wait for company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hurry {
    /// Somebody waits for its outcome.
    Now,
    /// It can only enter a queue: see the module.
    Patient,
}

impl Hurry {
    /// As far as this node knows.
    pub(crate) fn of(item: &Item, applied: &Applied) -> Self {
        let Item::Batch { commands, .. } = item else {
            return Self::Now;
        };
        // Looked at first, so that nobody else takes the lock.
        let may_wait = commands.iter().any(|command| command.action.may_wait());
        match may_wait && applied.read().state.is_patient(commands) {
            true => Self::Patient,
            false => Self::Now,
        }
    }
}

/// One request, and who waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(super) item: Item,
    pub(super) hurry: Hurry,
    /// What it takes in the log.
    pub(super) bytes: usize,
    pub(super) reply: Reply,
}

/// Where requests queue up.
#[derive(Debug, Clone)]
pub(crate) struct Queue(mpsc::Sender<Job>);

impl Queue {
    pub(crate) fn new(queue_max: usize) -> (Self, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel(queue_max);
        (Self(sender), receiver)
    }

    /// Proposes one item, and waits until it is applied.
    pub(crate) async fn propose(&self, item: Item, hurry: Hurry) -> Result<Answer, BackendError> {
        // Measured here and not by the batcher, of which there is one.
        let bytes = leasehold_stored::size(&item.form());
        if bytes > REQUEST_BYTES_MAX || item.weight() > limits::LEASES_PER_RENEWAL_MAX {
            return Err(BackendError::without_effect(
                ErrorKind::Invalid,
                format!("{} commands in {bytes} bytes are too much", item.weight()),
            ));
        }
        let (reply, answered) = oneshot::channel();
        let reply = Reply::Here(reply);
        self.push(Job {
            item,
            hurry,
            bytes,
            reply,
        })?;
        answered.await.unwrap_or_else(|_| Err(error::lost()))
    }

    /// Proposes what a follower has sent; none of it goes to another leader from here.
    pub(crate) async fn propose_forwarded(
        &self,
        items: Vec<Item>,
        applied: &Applied,
    ) -> Vec<Answered> {
        let pushed = items.into_iter().map(|item| {
            let bytes = leasehold_stored::size(&item.form());
            let (reply, answered) = oneshot::channel();
            let reply = Reply::There(reply);
            let job = Job {
                hurry: Hurry::of(&item, applied),
                item,
                bytes,
                reply,
            };
            self.push(job).map(|()| answered)
        });
        let pushed: Vec<_> = pushed.collect();
        let mut answers = Vec::with_capacity(pushed.len());
        for pushed in pushed {
            answers.push(match pushed {
                Ok(answered) => answered
                    .await
                    .unwrap_or_else(|_| Answered::Refused(error::lost().into())),
                Err(error) => Answered::Refused(error.into()),
            });
        }
        answers
    }

    fn push(&self, job: Job) -> Result<(), BackendError> {
        self.0.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                let detail = "too many requests wait for the log";
                BackendError::without_effect(ErrorKind::Overloaded, detail)
            }
            mpsc::error::TrySendError::Closed(_) => error::closed(),
        })
    }

    /// Answers when everything that was queued before is answered.
    pub(crate) async fn drain(&self) {
        let (reply, answered) = oneshot::channel();
        let last = Job {
            item: Item::Tick,
            hurry: Hurry::Now,
            bytes: 0,
            reply: Reply::Drained(reply),
        };
        if self.0.send(last).await.is_ok() {
            // An error means that the batcher has ended, and answers nobody any more.
            let _ = answered.await;
        }
    }
}

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Reply {
    /// A caller of this node.
    Here(oneshot::Sender<Result<Answer, BackendError>>),
    /// A follower, on behalf of a caller of its own.
    There(oneshot::Sender<Answered>),
    /// Whoever wants to know that all before it is answered; nothing is proposed for it.
    Drained(oneshot::Sender<()>),
}

impl Reply {
    /// Answers. A caller that has left does not care.
    pub(super) fn send(self, answer: Result<Answer, BackendError>) {
        match self {
            Self::Here(caller) => {
                let _ = caller.send(answer);
            }
            Self::There(follower) => {
                let _ = follower.send(match answer {
                    Ok(answer) => Answered::Done(answer),
                    Err(error) => Answered::Refused(error.into()),
                });
            }
            Self::Drained(waits) => {
                let _ = waits.send(());
            }
        }
    }
}

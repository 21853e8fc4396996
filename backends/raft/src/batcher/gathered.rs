//! One entry on its way: what to do, and who waits for it.

use leasehold_backend_api::BackendError;
use leasehold_domain::Action;
use leasehold_machine::PATIENCE;
use openraft::type_config::TypeConfigExt;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use super::queue::Hurry;
use super::queue::Job;
use super::queue::Reply;
use crate::entry::Item;
use crate::entry::Types;
use crate::peer::Answered;

/// Bytes of one entry, unless a single request is larger.
const ENTRY_BYTES_MAX: usize = 1_024 * 1_024;
/// What to do, and who waits for it.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) items: Vec<Item>,
    pub(super) replies: Vec<Reply>,
}

impl Gathered {
    /// Sends back what followers have sent: this node does not lead. What its own callers asked
    /// is left.
    pub(super) fn turn_away(self) -> Option<Self> {
        let mut own = Self::default();
        for (item, reply) in self.items.into_iter().zip(self.replies) {
            match reply {
                Reply::There(follower) => {
                    let _ = follower.send(Answered::NotLeader);
                }
                Reply::Here(_) | Reply::Drained(_) => own.push(item, reply),
            }
        }
        own.unless_empty()
    }

    pub(super) fn push(&mut self, item: Item, reply: Reply) {
        self.items.push(item);
        self.replies.push(reply);
    }

    pub(super) fn unless_empty(self) -> Option<Self> {
        (!self.items.is_empty()).then_some(self)
    }

    pub(super) fn refuse(self, error: &BackendError) {
        Self::fail(self.replies, error);
    }

    pub(super) fn fail(replies: Vec<Reply>, error: &BackendError) {
        for reply in replies {
            reply.send(Err(error.clone()));
        }
    }
}

/// Requests that are becoming one entry.
pub(super) struct Gathering {
    entry: Gathered,
    weight: usize,
    weight_max: usize,
    bytes: usize,
    /// Patient as long as all of its requests are.
    hurry: Hurry,
    /// Told when the entry is answered.
    drained: Option<oneshot::Sender<()>>,
}

impl Gathering {
    /// An entry with one request, which may be larger than `weight_max` commands.
    pub(super) fn new(first: Job, weight_max: usize) -> Self {
        let mut gathering = Self {
            weight: first.item.weight(),
            weight_max,
            bytes: first.bytes,
            hurry: first.hurry,
            entry: Gathered::default(),
            drained: None,
        };
        gathering.take(first);
        gathering
    }

    /// The entry, and who is to be told when it is answered.
    pub(super) fn finish(self) -> (Gathered, Option<oneshot::Sender<()>>) {
        (self.entry, self.drained)
    }

    /// Whether nobody waits for any of its requests.
    pub(super) fn is_patient(&self) -> bool {
        self.hurry == Hurry::Patient
    }

    /// Whether somebody wants to know that all before it is answered.
    pub(super) fn drains(&self) -> bool {
        self.drained.is_some()
    }

    /// Whether somebody leaves a queue, which must not be heard of before that somebody has come.
    pub(super) fn cancels(&self) -> bool {
        let cancels = |item: &Item| match item {
            Item::Batch { commands, .. } => commands
                .iter()
                .any(|command| matches!(command.action, Action::CancelWait { .. })),
            _ => false,
        };
        self.entry.items.iter().any(cancels)
    }

    /// Adds all requests that wait, as far as they fit, and if it may linger waits a little for one
    /// in a hurry if none is. Answers the request that did not fit.
    pub(super) async fn gather<C: Types>(
        &mut self,
        queue: &mut mpsc::Receiver<Job>,
        may_linger: bool,
    ) -> Option<Job> {
        let mut over = None;
        loop {
            while let Ok(job) = queue.try_recv() {
                if let Some(job) = self.add(job) {
                    return Some(job);
                }
            }
            if !may_linger || self.hurry == Hurry::Now {
                return None;
            }
            // Made only for those who linger: most never do.
            let over = over.get_or_insert_with(|| Box::pin(C::sleep(PATIENCE)));
            let job = tokio::select! {
                biased;
                job = queue.recv() => job?,
                () = over => return None,
            };
            if let Some(job) = self.add(job) {
                return Some(job);
            }
        }
    }

    /// Adds a request, or gives it back if it does not fit.
    fn add(&mut self, job: Job) -> Option<Job> {
        let (weight, bytes) = (self.weight + job.item.weight(), self.bytes + job.bytes);
        if weight > self.weight_max || bytes > ENTRY_BYTES_MAX {
            return Some(job);
        }
        (self.weight, self.bytes) = (weight, bytes);
        if job.hurry == Hurry::Now {
            self.hurry = Hurry::Now;
        }
        self.take(job);
        None
    }

    fn take(&mut self, job: Job) {
        match job.reply {
            Reply::Drained(waits) => self.drained = Some(waits),
            reply => self.entry.push(job.item, reply),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::entry::TypeConfig;

    const WEIGHT_MAX: usize = 100;

    fn job(hurry: Hurry) -> Job {
        Job {
            item: Item::Tick,
            hurry,
            bytes: 10,
            reply: Reply::Here(oneshot::channel().0),
        }
    }

    #[tokio::test]
    async fn a_request_in_a_hurry_does_not_wait_for_company() {
        let (_sender, mut queue) = mpsc::channel(8);
        let mut entry = Gathering::new(job(Hurry::Now), WEIGHT_MAX);
        assert!(
            entry
                .gather::<TypeConfig>(&mut queue, true)
                .now_or_never()
                .is_some()
        );
        assert_eq!(entry.finish().0.items.len(), 1);
    }

    #[tokio::test]
    async fn a_patient_one_goes_along_with_the_next_in_a_hurry() {
        let (sender, mut queue) = mpsc::channel(8);
        let mut entry = Gathering::new(job(Hurry::Patient), WEIGHT_MAX);
        sender.try_send(job(Hurry::Patient)).unwrap();
        {
            let mut gathering = std::pin::pin!(entry.gather::<TypeConfig>(&mut queue, true));
            assert!(gathering.as_mut().now_or_never().is_none());
            sender.try_send(job(Hurry::Now)).unwrap();
            sender.try_send(job(Hurry::Patient)).unwrap();
            assert!(gathering.now_or_never().is_some_and(|rest| rest.is_none()));
        }
        assert_eq!(entry.finish().0.items.len(), 4);
    }

    #[tokio::test]
    async fn a_patient_one_goes_at_once_where_it_may_not_linger() {
        let (_sender, mut queue) = mpsc::channel(8);
        let mut entry = Gathering::new(job(Hurry::Patient), WEIGHT_MAX);
        {
            let gathering = entry.gather::<TypeConfig>(&mut queue, false);
            assert!(gathering.now_or_never().is_some_and(|rest| rest.is_none()));
        }
        assert!(entry.is_patient());
    }

    #[tokio::test]
    async fn patience_ends() {
        let (_sender, mut queue) = mpsc::channel(8);
        let mut entry = Gathering::new(job(Hurry::Patient), WEIGHT_MAX);
        assert!(entry.gather::<TypeConfig>(&mut queue, true).await.is_none());
        assert_eq!(entry.finish().0.items.len(), 1);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_given_back() {
        for hurry in [Hurry::Now, Hurry::Patient] {
            let (sender, mut queue) = mpsc::channel(8);
            let mut large = job(hurry);
            large.bytes = ENTRY_BYTES_MAX;
            sender.try_send(large).unwrap();
            let mut entry = Gathering::new(job(hurry), WEIGHT_MAX);
            let rest = entry
                .gather::<TypeConfig>(&mut queue, true)
                .now_or_never()
                .unwrap();
            assert_eq!(rest.map(|job| job.bytes), Some(ENTRY_BYTES_MAX));
            assert_eq!(entry.finish().0.items.len(), 1);
        }
    }
}

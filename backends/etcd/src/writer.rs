//! Carries out batches, in one transaction each; and keeps the mirror up with what others write.

mod batch;
mod connect;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Levels;
use leasehold_backend_api::Poison;
use tokio::sync::RwLock;
use tokio::time::Sleep;

use crate::client::Client;
use crate::error;
use crate::feed::Feed;
use crate::feed::News;
use crate::feed::Written;
use crate::group::Touched;
use crate::history_growth::HistoryGrowth;
use crate::item::Answer;
use crate::item::Item;
use crate::keys::Keys;
use crate::members::Members;
use crate::mirror::HistoryMark;
use crate::mirror::Mirror;
use crate::outbox::Outbox;
use crate::queue::Job;
use crate::status::Status;
use crate::time::Timekeeper;

pub(crate) use self::connect::read_all;

/// What all parts of the gateway's side share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Held for writing while a write is under way, so that nobody sees what is not durable.
    pub(crate) mirror: RwLock<Mirror>,
    pub(crate) outbox: Outbox,
    /// Set when the store has stopped for good in this process.
    pub(crate) poison: Poison,
    pub(crate) status: Status,
    pub(crate) keeper: Arc<Timekeeper>,
    pub(crate) keys: Keys,
    pub(crate) members: Members,
    pub(crate) growth: HistoryGrowth,
    pub(crate) deadline: Duration,
    pub(crate) poll_every: Duration,
    /// The connection that the writer uses now.
    pub(crate) client: Mutex<Option<Client>>,
    /// The feature levels of a store that this build can use.
    pub(crate) levels: Levels,
    /// The history that was read first: this process serves no other.
    pub(crate) opened: OnceLock<HistoryMark>,
}

/// The one writer of this gateway.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    /// This gateway, in the names of its keys.
    id: u64,
    /// How many keys of events it has named.
    events: u64,
    connection: Option<Connection>,
    /// The cluster that the mirror is of; 0 before the first is met.
    cluster: u64,
    /// Locks that were lost against other gateways, and for how many transactions more they count
    /// as contended.
    hot: BTreeMap<Touched, u32>,
    /// Jobs that did not fit into the transaction.
    later: Vec<Job>,
    /// After a failed attempt to connect, and why it failed.
    rest: Option<(Pin<Box<Sleep>>, BackendError)>,
    pause: Duration,
}

/// A member, and the watch there.
#[derive(Debug)]
struct Connection {
    client: Client,
    feed: Feed,
}

/// A batch on its way: jobs are taken out when they are answered.
type Jobs = Vec<Option<Job>>;

impl Shared {
    /// The connection that the writer uses now.
    pub(crate) fn client(&self) -> Result<Client, BackendError> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        client
            .clone()
            .ok_or_else(|| error::unavailable("not connected"))
    }

    /// Refuses a store whose history an operator has started anew since this process opened it.
    fn check_history(&self, mirror: &Mirror) -> Result<(), BackendError> {
        match *self.opened.get_or_init(|| mirror.history) == mirror.history {
            true => Ok(()),
            false => Err(error::fenced(
                "an operator has started a new history of this store (`leasehold store \
                 accept-older`): stop this gateway, and start it with an empty data directory",
            )),
        }
    }

    /// Refuses a store of a feature level that this build does not support: another gateway may have
    /// raised it. Whatever else is computed from the mirror may be wrong then.
    fn check_level(&self, mirror: &Mirror) -> Result<(), BackendError> {
        let level = mirror.state.level();
        self.levels.admit(level).map_err(BackendError::outdated)
    }

    fn reached(&self, mirror: &Mirror) {
        let reached = self.keeper.clock().monotonic();
        let newest = self.outbox.end().cursor;
        self.status.reached(mirror, newest, reached);
        let revision = mirror.state.documents_revision();
        self.outbox.tell_documents(revision);
    }

    /// Follows one revision.
    fn follow(&self, mirror: &mut Mirror, written: Written) -> Result<(), BackendError> {
        let followed = mirror.follow(&self.keys, written)?;
        self.outbox.push(followed.made);
        self.outbox.forget(&followed.gone);
        self.status.follow(mirror, self.outbox.end().cursor);
        let revision = mirror.state.documents_revision();
        self.outbox.tell_documents(revision);
        Ok(())
    }
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, id: u64) -> Self {
        Self {
            shared,
            id,
            events: 0,
            connection: None,
            cluster: 0,
            hot: BTreeMap::new(),
            later: Vec::new(),
            rest: None,
            pause: connect::PAUSE_MIN,
        }
    }

    /// Whether an item's write may wait for company: see [`State::is_patient`].
    ///
    /// [`State::is_patient`]: leasehold_machine::State::is_patient
    pub(crate) fn is_patient(&self, item: &Item) -> bool {
        let Item::Batch(batch) = item else {
            return false;
        };
        // Nobody else holds the mirror for long, and the writer itself does not now.
        let mirror = self.shared.mirror.try_read();
        mirror.is_ok_and(|mirror| mirror.state.is_patient(&batch.commands))
    }

    /// The next news of the watch; waits for them.
    pub(crate) async fn news(&mut self) -> News {
        match &mut self.connection {
            Some(connection) => connection.feed.next().await,
            None => std::future::pending().await,
        }
    }

    /// Takes in news that came while there was nothing to do.
    pub(crate) async fn hear(&mut self, news: News) {
        let shared = self.shared.clone();
        let mut mirror = shared.mirror.write().await;
        let _guard = shared.poison.guard("writer");
        if let Err(failure) = self.take_in(&mut mirror, news) {
            self.lose(&failure);
        }
    }

    /// Carries out jobs, durably, and answers them. Those that lost against another gateway come
    /// back, to be tried again.
    pub(crate) async fn carry_out(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        let shared = self.shared.clone();
        let mut mirror = shared.mirror.write().await;
        let _guard = shared.poison.guard("writer");
        let mut jobs: Jobs = jobs.into_iter().map(Some).collect();
        if let Err(failure) = self.try_out(&mut mirror, &mut jobs).await {
            match failure.kind {
                ErrorKind::Contended => {}
                ErrorKind::Outdated => self.shared.status.trouble(failure.detail.clone()),
                _ => self.lose(&failure),
            }
            for job in jobs.iter_mut().filter_map(Option::take) {
                job.fail(failure.clone());
            }
        }
        let lost = jobs.into_iter().flatten();
        lost.chain(self.later.drain(..)).collect()
    }

    /// The connection cannot be trusted any more.
    fn lose(&mut self, failure: &BackendError) {
        if self.connection.take().is_some() {
            tracing::warn!(%failure, "etcd.connection lost");
        }
        *self
            .shared
            .client
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
        let trouble = format!("unreachable: {}", failure.detail);
        self.shared.status.trouble(trouble);
    }

    async fn try_out(&mut self, mirror: &mut Mirror, jobs: &mut Jobs) -> Result<(), BackendError> {
        self.connect(mirror).await?;
        self.drain(mirror)?;
        self.shared.check_level(mirror)?;
        let looks = |job: &Option<Job>| is(job, |item| matches!(item, Item::Look));
        if jobs.iter().all(looks) {
            let now = self.shared.keeper.clock().monotonic();
            if self.shared.status.age(now) >= self.shared.poll_every {
                self.confirm(mirror).await?;
            }
        } else {
            self.write_and_read(mirror, jobs).await?;
        }
        for job in jobs.iter_mut().filter(|job| looks(job)) {
            if let Some(job) = job.take() {
                job.answer(Answer::Looked);
            }
        }
        Ok(())
    }
}

/// Whether a job is there still, and asks for such a thing.
fn is(job: &Option<Job>, what: impl Fn(&Item) -> bool) -> bool {
    job.as_ref().is_some_and(|job| what(&job.item))
}

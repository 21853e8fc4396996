//! Carries out batches, in one transaction each; and keeps the mirror up with what others write.

mod connect;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::LockRef;
use leasehold_domain::limits::TOKENS_PER_WRITE;
use leasehold_machine::Moment;
use prost::bytes::Bytes;
use tokio::sync::RwLock;
use tokio::time::Sleep;

use crate::batcher::Job;
use crate::client::Client;
use crate::error;
use crate::feed::Feed;
use crate::feed::News;
use crate::feed::Written;
use crate::group;
use crate::item::Answer;
use crate::item::Item;
use crate::keys::Keys;
use crate::members::Members;
use crate::mirror::Mirror;
use crate::mirror::Prepared;
use crate::outbox::Outbox;
use crate::proto::TxnRequest;
use crate::status::Status;
use crate::time::Timekeeper;
use crate::transaction;
use crate::transaction::Done;
use crate::transaction::Part;

/// How often a request may lose against other gateways before it counts as contended.
const LOSSES_MAX: usize = 32;
/// For so many transactions a lock that was lost once is an island.
const HOT: u32 = 64;
/// How often one batch is worked out anew, because others wrote meanwhile or it was too large.
const LOOKS_MAX: usize = 16;

/// What all parts of the gateway's side share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Held for writing while a write is under way, so that nobody sees what is not durable.
    pub(crate) mirror: RwLock<Mirror>,
    pub(crate) outbox: Outbox,
    pub(crate) status: Status,
    pub(crate) keeper: Arc<Timekeeper>,
    pub(crate) keys: Keys,
    pub(crate) members: Members,
    pub(crate) deadline: Duration,
    pub(crate) poll_every: Duration,
    /// The connection that the writer uses now.
    pub(crate) client: Mutex<Option<Client>>,
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
    hot: BTreeMap<LockRef, u32>,
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
        if let Err(failure) = self.take_in(&mut mirror, news) {
            self.lose(&failure);
        }
    }

    /// Carries out jobs, durably, and answers them. Those that lost against another gateway come
    /// back, to be tried again.
    pub(crate) async fn carry_out(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        let shared = self.shared.clone();
        let mut mirror = shared.mirror.write().await;
        let mut jobs: Jobs = jobs.into_iter().map(Some).collect();
        if let Err(failure) = self.try_out(&mut mirror, &mut jobs).await {
            if failure.kind != ErrorKind::Contended {
                self.lose(&failure);
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
        self.shared.status.trouble(&failure.detail);
    }

    async fn try_out(&mut self, mirror: &mut Mirror, jobs: &mut Jobs) -> Result<(), BackendError> {
        self.connect(mirror).await?;
        self.drain(mirror)?;
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

    /// The writes, in one transaction, and then the reads: what the transaction has confirmed, or
    /// a question of its own.
    async fn write_and_read(
        &mut self,
        mirror: &mut Mirror,
        jobs: &mut Jobs,
    ) -> Result<(), BackendError> {
        let ticks = jobs
            .iter()
            .any(|job| is(job, |item| matches!(item, Item::Tick)));
        let mut ticks_max = if ticks { usize::MAX } else { 0 };
        for _ in 0..LOOKS_MAX {
            let mut due = match ticks_max {
                0 => Vec::new(),
                _ => mirror.due(self.shared.keeper.look()),
            };
            let more = Mirror::is_full(&due) || due.len() > ticks_max;
            due.truncate(ticks_max);
            ticks_max = due.len();
            let prepared = self.prepare(mirror, jobs, due);
            let parts = self.parts(mirror, &prepared);
            let parts = parts.inspect_err(|_| mirror.take_back_all(&prepared))?;
            if parts.iter().all(|(_, part)| part.operations.is_empty()) {
                mirror.take_back_all(&prepared);
                if !self.confirm(mirror).await? {
                    // Others wrote meanwhile: what was worked out is of yesterday.
                    continue;
                }
                let answers = prepared.into_iter().flat_map(|one| one.answers);
                answer(jobs, answers.collect());
            } else if !self.write(mirror, jobs, prepared, parts).await? {
                self.cut(jobs, &mut ticks_max);
                continue;
            }
            self.answer_rest(mirror, jobs, more);
            return Ok(());
        }
        let detail = "other gateways wrote all the time";
        Err(BackendError::without_effect(ErrorKind::Contended, detail))
    }

    /// Carries out all writes in memory, group by group.
    fn prepare(&self, mirror: &mut Mirror, jobs: &Jobs, due: Vec<LockRef>) -> Vec<Prepared> {
        let there = jobs.iter().enumerate();
        let there = there.filter_map(|(at, job)| Some((at, &job.as_ref()?.item)));
        let writes: Vec<(usize, &Item)> = there.filter(|(_, item)| item.writes()).collect();
        let groups = group::group(&writes, due, |lock| self.hot.contains_key(lock));
        let at = Moment {
            // Before it is sent: a lease that is granted by it was asked for before.
            now: self.shared.keeper.look(),
            wall: self.shared.keeper.clock().wall(),
            // The revision of what this is worked out from: every later write of the same lock
            // knows a greater one.
            token_floor: u64::try_from(mirror.head)
                .unwrap_or(0)
                .saturating_mul(TOKENS_PER_WRITE),
        };
        let each = groups.into_iter();
        each.map(|group| mirror.prepare(group, &writes, at))
            .collect()
    }

    /// What each group asks of etcd, and the key of its events.
    fn parts(
        &mut self,
        mirror: &Mirror,
        prepared: &[Prepared],
    ) -> Result<Vec<(Bytes, Part)>, BackendError> {
        let each = prepared.iter().map(|one| {
            self.events += 1;
            let key = self.shared.keys.events(self.id, self.events);
            let part = mirror.part(one, &self.shared.keys, key.clone());
            let part = part.map_err(|problem| error::corrupt("record", problem))?;
            Ok((key, part))
        });
        each.collect()
    }

    /// Makes what was prepared durable, as far as nobody else was faster. Answers whether it fits
    /// into one transaction; if not, nothing has happened.
    async fn write(
        &mut self,
        mirror: &mut Mirror,
        jobs: &mut Jobs,
        prepared: Vec<Prepared>,
        parts: Vec<(Bytes, Part)>,
    ) -> Result<bool, BackendError> {
        let (keys, parts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let Some(request) = transaction::of(parts, &self.shared.keys, self.id) else {
            mirror.take_back_all(&prepared);
            return Ok(false);
        };
        let sent = self.send(request, prepared.len()).await;
        let done = sent.inspect_err(|_| mirror.take_back_all(&prepared))?;
        for (one, held) in prepared.iter().zip(&done.held) {
            match held {
                true => mirror.settle(one, done.revision),
                false => mirror.take_back(one),
            }
        }
        self.settle(mirror, jobs, prepared, keys, &done).await?;
        Ok(true)
    }

    async fn send(&self, request: TxnRequest, parts: usize) -> Result<Done, BackendError> {
        let client = &self.connection()?.client;
        let answered = client.txn(request).await;
        let answered = answered.map_err(|status| error::written(&status))?;
        // It was carried out, whatever cannot be read of the answer.
        transaction::answered(&answered, parts)
            .map_err(|failure| BackendError::unknown(failure.kind, failure.detail))
    }

    /// Gives events their places, and answers; what was lost stays.
    async fn settle(
        &mut self,
        mirror: &mut Mirror,
        jobs: &mut Jobs,
        prepared: Vec<Prepared>,
        keys: Vec<Bytes>,
        done: &Done,
    ) -> Result<(), BackendError> {
        self.hot.retain(|_, left| {
            *left = left.saturating_sub(1);
            *left > 0
        });
        let missed = done.head > mirror.head;
        if missed {
            let to = if done.moved_head {
                done.revision
            } else {
                done.head
            };
            if let Err(failure) = self.catch_up(mirror, to).await {
                // What is in the mirror already, and not told of, must be read anew.
                mirror.head = 0;
                return Err(BackendError::unknown(failure.kind, failure.detail));
            }
        } else if done.moved_head {
            mirror.head = done.revision;
        }
        let (mut entries, mut commands) = (Vec::new(), 0);
        let mut answers = Vec::new();
        for ((mut one, key), held) in prepared.into_iter().zip(keys).zip(&done.held) {
            if !held {
                let lost = mirror.lost(&one);
                self.hot.extend(lost.into_iter().map(|lock| (lock, HOT)));
                lose(jobs, &one);
                continue;
            }
            commands += one.commands;
            answers.append(&mut one.answers);
            if !one.events.is_empty() {
                entries.push((key, one.events));
            }
        }
        if !missed {
            self.shared.outbox.push(entries);
        }
        if done.held.iter().any(|held| *held) {
            self.shared.status.wrote(commands);
        }
        self.shared.reached(mirror);
        answer(jobs, answers);
        Ok(())
    }

    /// Reads, and ticks that were a part of the transaction.
    fn answer_rest(&self, mirror: &Mirror, jobs: &mut Jobs, more: bool) {
        let now = self.shared.keeper.look();
        for place in jobs.iter_mut() {
            let answer = match place.as_ref().map(|job| &job.item) {
                Some(Item::Read(query)) => mirror.read(query, now),
                Some(Item::Tick) => Answer::Ticked { more },
                _ => continue,
            };
            if let Some(job) = place.take() {
                job.answer(answer);
            }
        }
    }

    /// Makes a batch smaller that does not fit into one transaction.
    fn cut(&mut self, jobs: &mut Jobs, ticks_max: &mut usize) {
        let writes = |item: &Item| item.writes() && !matches!(item, Item::Tick);
        let places = jobs.iter_mut().filter(|job| is(job, writes));
        let mut places: Vec<_> = places.collect();
        match places.len() {
            0 => *ticks_max = (*ticks_max / 2).max(1),
            1 if *ticks_max > 0 => *ticks_max = 0,
            1 => {
                let detail = "it does not fit into one transaction of etcd";
                let failure = BackendError::without_effect(ErrorKind::Invalid, detail);
                if let Some(job) = places.pop().and_then(Option::take) {
                    job.fail(failure);
                }
            }
            count => {
                let second = places.drain(count / 2..);
                self.later.extend(second.filter_map(Option::take));
                *ticks_max = 0;
            }
        }
    }
}

/// Whether a job is there still, and asks for such a thing.
fn is(job: &Option<Job>, what: impl Fn(&Item) -> bool) -> bool {
    job.as_ref().is_some_and(|job| what(&job.item))
}

fn answer(jobs: &mut Jobs, answers: Vec<(usize, Answer)>) {
    for (at, answer) in answers {
        if let Some(job) = jobs.get_mut(at).and_then(Option::take) {
            job.answer(answer);
        }
    }
}

/// Jobs of a group that lost stay, unless they have lost too often.
fn lose(jobs: &mut Jobs, prepared: &Prepared) {
    for at in &prepared.group.jobs {
        let Some(place) = jobs.get_mut(*at) else {
            continue;
        };
        if let Some(job) = place {
            job.losses += 1;
        }
        if let Some(job) = place.take_if(|job| job.losses >= LOSSES_MAX) {
            let detail = "other gateways were faster each time";
            job.fail(BackendError::without_effect(ErrorKind::Contended, detail));
        }
    }
}

//! Makes durable writes of batches: first as if no other gateway had written since the last, in
//! one round trip; and if one had, with the store's row held, in two.

mod refresh;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Levels;
use leasehold_backend_api::Poison;
use leasehold_domain::Clock;
use leasehold_machine::stored;
use tokio::sync::RwLock;
use tokio::time::Sleep;

use crate::OpenError;
use crate::catch_up::Head;
use crate::client::Servers;
use crate::error;
use crate::item::Answer;
use crate::item::Item;
use crate::known::Known;
use crate::mirror::Attempt;
use crate::mirror::Mirror;
use crate::mirror::Prepared;
use crate::outbox::Outbox;
use crate::primary::Primary;
use crate::status::Status;
use crate::time::Sample;
use crate::time::Timekeeper;
use crate::transaction::Transactions;
use crate::transaction::Write;
use crate::transaction::Written;

/// How often a batch is tried before it counts as contended. A batch that writes holds the row from the
/// second time on; one that only reads must be lucky, and a gateway that starts beside a busy one reads.
const TRIES_MAX: usize = 48;
/// After meeting another gateway's write, so many batches hold the row before they write.
const CROWDED: u32 = 16;
/// Pauses between attempts to connect begin with this and double.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// A server that is full is used on for so long before all of them are looked at again.
const MET_EVERY: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What all parts of the gateway's side share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Held for writing while a write is under way, so that nobody sees what is not durable.
    pub(crate) mirror: RwLock<Mirror>,
    pub(crate) outbox: Outbox,
    /// Set when the store has stopped for good in this process.
    pub(crate) poison: Poison,
    pub(crate) status: Status,
    pub(crate) keeper: Timekeeper,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) transactions: Transactions,
    pub(crate) servers: Servers,
    /// What the database's history must be.
    pub(crate) known: Known,
    pub(crate) allow_unreplicated: bool,
    /// The feature levels of a store that this build can use.
    pub(crate) levels: Levels,
    /// The timeline of the server that the writer has read the store from last; 0 before.
    pub(crate) accepted: AtomicI32,
}

/// The one writer of this gateway.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    primary: Option<Primary>,
    /// Whether the connection can be used on after a failure.
    intact: bool,
    /// When all servers were looked at last, on the gateway's clock.
    met: Duration,
    /// How many more batches expect company.
    crowded: u32,
    /// After a failed attempt to connect, and why it failed.
    rest: Option<(Pin<Box<Sleep>>, BackendError)>,
    pause: Duration,
}

impl Shared {
    /// Connects to the primary, if it is one as asked for.
    pub(crate) async fn connect(&self) -> Result<Primary, OpenError> {
        let primary = Primary::find(&self.servers, &self.known).await?;
        primary.check_replication(self.allow_unreplicated)?;
        Ok(primary)
    }

    /// The connection that is held, if it can be used on, or another; for what is done beside the
    /// writer. Never one to a primary that the writer has left for another.
    pub(crate) async fn connect_beside(
        &self,
        held: Option<Primary>,
    ) -> Result<Primary, BackendError> {
        let accepted = self.accepted.load(Ordering::SeqCst);
        if let Some(primary) = held
            && !primary.connection.client.is_closed()
            && primary.timeline >= accepted
        {
            return Ok(primary);
        }
        let connected = self.connect().await;
        let primary = connected.map_err(error::not_connected)?;
        match primary.timeline >= accepted {
            true => Ok(primary),
            false => Err(error::unavailable("only an old primary answers")),
        }
    }

    /// Refuses a store of a feature level that this build does not support: another gateway may have
    /// raised it. Whatever else is computed from the mirror may be wrong then.
    pub(crate) fn check_level(&self, mirror: &Mirror) -> Result<(), BackendError> {
        let level = mirror.state.level();
        self.levels.admit(level).map_err(BackendError::outdated)
    }

    /// Lets time go on from a write that was made elsewhere.
    fn follow_time(&self, head: &Head, received: Duration) {
        self.keeper.follow(head.now_us, head.clock_us, received);
    }

    fn sample(&self, clock_us: i64) -> Duration {
        let received = self.clock.monotonic();
        self.keeper.sample(Sample { clock_us, received });
        received
    }
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            primary: None,
            intact: false,
            met: Duration::ZERO,
            crowded: 0,
            rest: None,
            pause: PAUSE_MIN,
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

    /// Carries out items, durably. After an error nothing has happened, or nobody knows.
    pub(crate) async fn carry_out(&mut self, items: &[Item]) -> Result<Vec<Answer>, BackendError> {
        let shared = self.shared.clone();
        let mut mirror = shared.mirror.write().await;
        let _guard = shared.poison.guard("writer");
        self.intact = false;
        let done = self.try_out(&mut mirror, items).await;
        if let Err(failure) = &done
            && failure.kind != ErrorKind::Contended
        {
            // A refusal for the level leaves no transaction open.
            if !self.intact && failure.kind != ErrorKind::Outdated {
                // A transaction may be half-way on it; and another server may be the primary now.
                self.primary = None;
            }
            self.shared.status.trouble(failure);
        }
        done
    }

    async fn try_out(
        &mut self,
        mirror: &mut Mirror,
        items: &[Item],
    ) -> Result<Vec<Answer>, BackendError> {
        let connected = self.connect(mirror).await?;
        if items.iter().all(|item| matches!(item, Item::Look)) {
            if !connected {
                self.refresh(mirror).await?;
            }
            self.shared.check_level(mirror)?;
            return Ok(items.iter().map(|_| Answer::Done).collect());
        }
        let edits = items.iter().any(|item| matches!(item, Item::Edits(_)));
        for _ in 0..TRIES_MAX {
            let tried = match edits || self.crowded > 0 {
                true => self.try_holding(mirror, items).await?,
                false => self.try_alone(mirror, items).await?,
            };
            match tried {
                Some(answers) => return Ok(answers),
                None => self.crowded = CROWDED,
            }
        }
        let detail = "other gateways were faster each time";
        Err(BackendError::without_effect(ErrorKind::Contended, detail))
    }

    /// In one flight, on condition that the mirror is current.
    async fn try_alone(
        &mut self,
        mirror: &mut Mirror,
        items: &[Item],
    ) -> Result<Option<Vec<Answer>>, BackendError> {
        let prepared = self.prepare(mirror, items)?;
        if prepared.is_empty() {
            return self.confirm(mirror, prepared, items).await;
        }
        let primary = primary(&self.primary)?;
        let write = write_of(mirror, &prepared);
        let transactions = &self.shared.transactions;
        let writing = transactions.write(&primary.connection, &write);
        let written = transactions.within(writing).await;
        self.settle(mirror, prepared, items, written)
    }

    /// Holds the store's row, follows what others wrote, and then writes.
    async fn try_holding(
        &mut self,
        mirror: &mut Mirror,
        items: &[Item],
    ) -> Result<Option<Vec<Answer>>, BackendError> {
        let news = self.hold(mirror.version).await?;
        let before = mirror.version;
        if self.is_new_history(&news.head, mirror)? || !self.follow(mirror, &news).await? {
            self.roll_back().await?;
            self.refresh(mirror).await?;
            return Ok(None);
        }
        if before == mirror.version {
            self.crowded = self.crowded.saturating_sub(1);
        } else {
            self.crowded = CROWDED;
        }
        if let Err(outdated) = self.shared.check_level(mirror) {
            self.roll_back().await?;
            return Err(outdated);
        }
        let prepared = self.prepare(mirror, items)?;
        if prepared.is_empty() {
            self.roll_back().await?;
            return self.confirm(mirror, prepared, items).await;
        }
        let primary = primary(&self.primary)?;
        let transactions = &self.shared.transactions;
        let (write, connection) = (write_of(mirror, &prepared), &primary.connection);
        let written = if prepared.edited {
            let changes = mirror.changed_documents(&prepared);
            let writing = transactions.write_documents(connection, &write, &changes);
            transactions.within(writing).await
        } else {
            let writing = transactions.write_held(connection, &write);
            transactions.within(writing).await
        };
        self.settle(mirror, prepared, items, written)
    }

    fn prepare(&self, mirror: &mut Mirror, items: &[Item]) -> Result<Prepared, BackendError> {
        self.shared.check_level(mirror)?;
        // Stamped before it is sent: a lease that is granted by it begins no later than the
        // holder's answer, and was asked for before.
        let attempt = Attempt {
            version: mirror.version + 1,
            now_us: self.shared.keeper.look(&*self.shared.clock),
            wall: self.shared.clock.wall(),
        };
        Ok(mirror.prepare(items, attempt))
    }

    /// Nothing is to be written; but what is answered must not be old.
    async fn confirm(
        &self,
        mirror: &mut Mirror,
        prepared: Prepared,
        items: &[Item],
    ) -> Result<Option<Vec<Answer>>, BackendError> {
        let answers = mirror.take_back(prepared);
        if !items.iter().any(Item::tells) {
            return Ok(Some(answers));
        }
        let primary = primary(&self.primary)?;
        let transactions = &self.shared.transactions;
        let asking = transactions.confirm(&primary.connection, mirror.version, mirror.timeline);
        // Whatever became of the question, nothing was changed.
        let confirmed = transactions
            .within(asking)
            .await
            .map_err(|failure| BackendError::without_effect(failure.kind, failure.detail))?;
        Ok(match confirmed {
            Written::Full(failure) => return Err(failure),
            Written::Stale => None,
            Written::Done(clock_us) => {
                let received = self.shared.sample(clock_us);
                self.shared.known.confirmed(mirror.version);
                self.shared.status.reached(mirror, received);
                Some(answers)
            }
        })
    }

    fn settle(
        &mut self,
        mirror: &mut Mirror,
        prepared: Prepared,
        items: &[Item],
        written: Result<Written, BackendError>,
    ) -> Result<Option<Vec<Answer>>, BackendError> {
        match written {
            Ok(Written::Done(clock_us)) => {
                let received = self.shared.sample(clock_us);
                mirror.settle(&prepared);
                let commands = items.iter().map(Item::commands).sum();
                self.shared.status.wrote(commands);
                self.shared.known.confirmed(mirror.version);
                self.shared.status.reached(mirror, received);
                self.shared.outbox.push(prepared.events);
                let revision = mirror.state.documents_revision();
                self.shared.outbox.tell_documents(revision);
                Ok(Some(prepared.answers))
            }
            Ok(Written::Stale) => {
                mirror.take_back(prepared);
                Ok(None)
            }
            Ok(Written::Full(failure)) => {
                mirror.take_back(prepared);
                // Now and then: another may be the primary by now.
                let since = self.shared.clock.monotonic().saturating_sub(self.met);
                self.intact = since < MET_EVERY;
                Err(failure)
            }
            Err(failure) => {
                mirror.take_back(prepared);
                Err(failure)
            }
        }
    }

    /// Connects, unless it is connected, and reads what was missed. Answers whether it did.
    async fn connect(&mut self, mirror: &mut Mirror) -> Result<bool, BackendError> {
        let closed = |primary: &Primary| primary.connection.client.is_closed();
        if self
            .primary
            .as_ref()
            .is_some_and(|primary| !closed(primary))
        {
            return Ok(false);
        }
        if let Some((rest, failure)) = &mut self.rest {
            if rest.now_or_never().is_none() {
                return Err(failure.clone());
            }
            self.rest = None;
        }
        self.primary = None;
        let connected = match self.shared.connect().await {
            Ok(primary) => {
                self.shared.keeper.forget();
                self.met = self.shared.clock.monotonic();
                self.shared.status.moved(&primary);
                tracing::info!(primary = primary.describe(), "postgres connected");
                self.primary = Some(primary);
                self.refresh(mirror).await
            }
            Err(failure) => Err(error::not_connected(failure)),
        };
        if let Err(failure) = connected {
            tracing::warn!(%failure, "postgres cannot be used");
            self.primary = None;
            let rest = Box::pin(tokio::time::sleep(self.pause));
            self.rest = Some((rest, failure.clone()));
            self.pause = (self.pause * 2).min(PAUSE_MAX);
            return Err(failure);
        }
        self.pause = PAUSE_MIN;
        Ok(true)
    }
}

/// What a prepared write leaves in the database.
fn write_of(mirror: &Mirror, prepared: &Prepared) -> Write {
    Write {
        previous: mirror.version,
        version: prepared.attempt.version,
        now_us: prepared.attempt.now_us,
        newest: mirror.state.newest().0,
        documents: mirror.state.documents_revision(),
        timeline: mirror.timeline,
        changes: mirror.pack_changes(prepared),
        events: stored::pack(&prepared.events),
    }
}

fn primary(primary: &Option<Primary>) -> Result<&Primary, BackendError> {
    primary
        .as_ref()
        .ok_or_else(|| error::unavailable("not connected"))
}

//! The writer's way to where the store is: what other gateways wrote, and who is the primary.

use std::sync::atomic::Ordering;

use leasehold_backend_api::BackendError;
use leasehold_domain::Cursor;
use leasehold_domain::DocumentSet;
use tokio_postgres::types::Type;

use super::Writer;
use super::primary;
use crate::catch_up;
use crate::catch_up::Followed;
use crate::catch_up::Head;
use crate::catch_up::News;
use crate::catch_up::documents;
use crate::client::Connection;
use crate::error;
use crate::mirror::Mirror;
use crate::transaction::Parameter;
use crate::transaction::signed;

/// Added to the version, and so 1,024 times that to all tokens, when a server with another history
/// takes over: what an unreplicated primary wrote last may be lost, and its tokens must not be
/// given out again.
const HISTORY_JUMP: i64 = 1 << 26;

/// Also above what this gateway has seen, where that is gone.
const ADOPT: &str = "UPDATE leasehold.store SET version = greatest(version, $4) + $1, system = $2, \
    timeline = leasehold.timeline(), clock_us = leasehold.clock_us() WHERE version = $3";

impl Writer {
    /// Reads what was written elsewhere since the mirror's version.
    pub(super) async fn refresh(&self, mirror: &mut Mirror) -> Result<(), BackendError> {
        let connection = &primary(&self.primary)?.connection;
        let mut news = self.look(connection, mirror.version).await?;
        if self.is_new_history(&news.head, mirror)? {
            self.adopt(connection, &news.head).await?;
            news = self.look(connection, mirror.version).await?;
        }
        let (system, timeline) = (news.head.server_system, news.head.server_timeline);
        self.shared.known.accept(system, timeline).await?;
        if !self.follow(mirror, &news).await? {
            self.load(mirror).await?;
        }
        Ok(())
    }

    /// Whether the server has another history than the store's last write: it was promoted, or
    /// the store was moved to another cluster.
    pub(super) fn is_new_history(
        &self,
        head: &Head,
        mirror: &Mirror,
    ) -> Result<bool, BackendError> {
        if !head.replicated && !self.shared.allow_unreplicated {
            let problem = "the primary has no synchronous standby any more";
            return Err(error::unavailable(problem));
        }
        self.shared
            .known
            .check(head, self.shared.allow_unreplicated)?;
        if head.system != head.server_system {
            return Ok(true);
        }
        let known = head.timeline.max(mirror.timeline);
        if head.server_timeline < known {
            return Err(error::fenced(format!(
                "the server writes timeline {}, but the store is on {known}: an old primary",
                head.server_timeline
            )));
        }
        Ok(head.server_timeline > head.timeline)
    }

    /// Makes the server's history the store's.
    async fn adopt(&self, connection: &Connection, head: &Head) -> Result<(), BackendError> {
        tracing::warn!(
            from = head.timeline,
            to = head.server_timeline,
            "postgres.timeline changed: tokens jump"
        );
        let version = signed(head.version);
        let seen = self.shared.known.seen();
        let seen = signed(seen.map_or(0, |seen| seen.version));
        let parameters: [Parameter<'_>; 4] = [
            (&HISTORY_JUMP, Type::INT8),
            (&head.server_system, Type::INT8),
            (&version, Type::INT8),
            (&seen, Type::INT8),
        ];
        let adopting = async {
            let (begun, adopted, committed) = tokio::join!(
                self.shared.transactions.begin(connection),
                connection.client.execute_typed(ADOPT, &parameters),
                connection.client.batch_execute("COMMIT"),
            );
            begun.and(adopted).and(committed).map_err(harmless)
        };
        // If another gateway was faster, it has done the same.
        self.shared.transactions.within(adopting).await
    }

    /// The store's head, and the writes after a version, as of one point in time.
    async fn look(&self, connection: &Connection, version: u64) -> Result<News, BackendError> {
        let transactions = &self.shared.transactions;
        let looking = async {
            let (begun, news, committed) = tokio::join!(
                transactions.begin_snapshot(connection),
                catch_up::news(connection, version, false),
                connection.client.batch_execute("COMMIT"),
            );
            begun
                .and(news)
                .and_then(|news| committed.map(|()| news))
                .map_err(harmless)
        };
        transactions.within(looking).await.map_err(unwritten)
    }

    /// The same, in a transaction that holds the store's row and is still open.
    pub(super) async fn hold(&self, version: u64) -> Result<News, BackendError> {
        let connection = &primary(&self.primary)?.connection;
        let transactions = &self.shared.transactions;
        let holding = async {
            let (begun, news) = tokio::join!(
                transactions.begin(connection),
                catch_up::news(connection, version, true),
            );
            begun.and(news).map_err(harmless)
        };
        transactions.within(holding).await.map_err(unwritten)
    }

    pub(super) async fn roll_back(&self) -> Result<(), BackendError> {
        let connection = &primary(&self.primary)?.connection;
        let rolling = async {
            let rolled = connection.client.batch_execute("ROLLBACK").await;
            rolled.map_err(harmless)
        };
        let transactions = &self.shared.transactions;
        transactions.within(rolling).await.map_err(unwritten)
    }

    /// Lets the mirror follow. Answers whether it could: if not, it must be read anew.
    pub(super) async fn follow(
        &self,
        mirror: &mut Mirror,
        news: &News,
    ) -> Result<bool, BackendError> {
        let head = &news.head;
        let received = self.shared.sample(head.server_clock_us);
        self.shared.status.trimmed(head.trimmed);
        // Before anything is followed: what fails half-way would leave events out.
        let documents = match mirror.state.documents_revision() == head.documents {
            true => None,
            false => Some(self.documents(mirror, news).await?),
        };
        let before = mirror.version;
        let followed = news.follow(mirror).inspect_err(|_| {
            // It stopped half-way.
            mirror.timeline = 0;
        })?;
        let Followed::Here(events) = followed else {
            return Ok(false);
        };
        if mirror.version != before {
            self.shared.follow_time(head, received);
        }
        if let Some(documents) = documents {
            mirror.state.put_documents(documents);
        }
        self.accept(mirror);
        self.shared.status.reached(mirror, received);
        self.shared.outbox.push(events);
        self.shared.outbox.tell_documents(head.documents);
        Ok(true)
    }

    /// Reads the documents that the new writes changed, or all documents if others have changed since.
    async fn documents(&self, mirror: &Mirror, news: &News) -> Result<DocumentSet, BackendError> {
        let connection = &primary(&self.primary)?.connection;
        let transactions = &self.shared.transactions;
        let revision = news.head.documents;
        if let Some(names) = news.changed_documents()? {
            let known = mirror.state.all_documents().clone();
            let reading = documents::named(connection, &names, known, revision);
            let found = transactions.within(reading).await.map_err(unwritten)?;
            if let Some(documents) = found {
                return Ok(documents);
            }
        }
        let reading = transactions.within(documents::all(connection, revision));
        reading.await.map_err(unwritten)
    }

    /// Whatever is done beside the writer is not to be done on an older server.
    fn accept(&self, mirror: &Mirror) {
        let accepted = &self.shared.accepted;
        accepted.store(mirror.timeline, Ordering::SeqCst);
    }

    /// Reads the whole store.
    async fn load(&self, mirror: &mut Mirror) -> Result<(), BackendError> {
        let connection = &primary(&self.primary)?.connection;
        let transactions = &self.shared.transactions;
        let loading = async {
            let begun = transactions.begin_load(connection).await;
            begun.map_err(harmless)?;
            let loaded = catch_up::everything(connection).await?;
            let committed = connection.client.batch_execute("COMMIT").await;
            committed.map_err(harmless)?;
            Ok(loaded)
        };
        let loaded = transactions.within_load(loading).await;
        let (head, loaded) = loaded.map_err(unwritten)?;
        // The clock was read before everything else was: too little time is counted, not too much.
        let received = self.shared.sample(head.server_clock_us);
        self.shared.follow_time(&head, received);
        *mirror = loaded;
        self.accept(mirror);
        self.shared.status.trimmed(head.trimmed);
        self.shared.status.reached(mirror, received);
        self.shared.outbox.restart(Cursor(head.newest));
        self.shared.outbox.tell_documents(head.documents);
        tracing::info!(version = head.version, "postgres.store read");
        Ok(())
    }
}

/// Nothing was to be changed, so nothing has happened.
fn harmless(failure: tokio_postgres::Error) -> BackendError {
    error::without_effect(&failure)
}

/// The same, of an answer that was late.
fn unwritten(failure: BackendError) -> BackendError {
    BackendError::without_effect(failure.kind, failure.detail)
}

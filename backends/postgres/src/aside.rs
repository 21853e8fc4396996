//! What needs no place in the queue, on a connection of its own: old events, trims, blobs.

use std::sync::Arc;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::Event;
use leasehold_machine::stored;
use tokio::sync::Mutex;
use tokio::sync::MutexGuard;
use tokio_postgres::types::Type;

use crate::error;
use crate::primary::Primary;
use crate::transaction::Parameter;
use crate::transaction::signed;
use crate::transaction::unsigned;
use crate::writer::Shared;

const EVENTS: &str = "SELECT events FROM leasehold.log WHERE newest > $1 \
    ORDER BY newest, version LIMIT 256";
const ENROL: &str = "INSERT INTO leasehold.consumers (name, trimmed) \
    SELECT $1, coalesce(min(trimmed), 0) FROM leasehold.consumers ON CONFLICT (name) DO NOTHING";
const RETIRE: &str = "DELETE FROM leasehold.consumers WHERE name = $1";
/// The position of the ledger moves on with its chain, or not at all; and only in the history that
/// the gateway has opened.
const TRIM: &str = "UPDATE leasehold.consumers SET trimmed = greatest(trimmed, $2), \
    ledger_cursor = CASE WHEN $3 IS NULL OR $2 <= ledger_cursor THEN ledger_cursor ELSE $2 END, \
    ledger_chain = CASE WHEN $3 IS NULL OR $2 <= ledger_cursor THEN ledger_chain ELSE $3 END \
    WHERE name = $1 AND ($4 IS NULL OR EXISTS (SELECT FROM leasehold.history WHERE id = $4))";
const TRIMMED: &str = "SELECT coalesce(min(trimmed), 0) FROM leasehold.consumers";
/// Only while the server writes the store's timeline: an old primary takes nothing.
const PUT_BLOB: &str = "INSERT INTO leasehold.blobs (digest, body) \
    SELECT $1, $2 FROM leasehold.store WHERE timeline = leasehold.timeline() \
        AND ($3 OR current_setting('synchronous_standby_names') <> '') \
    ON CONFLICT (digest) DO NOTHING";
const GET_BLOB: &str = "SELECT body FROM leasehold.blobs WHERE digest = $1";

/// What needs no place in the queue.
#[derive(Debug)]
pub(crate) struct Aside {
    shared: Arc<Shared>,
    primary: Mutex<Option<Primary>>,
}

/// An answer of the database.
pub(crate) type Asked<T> = Result<T, tokio_postgres::Error>;

impl Aside {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            primary: Mutex::new(None),
        }
    }

    /// Takes the connection, or makes one. It is kept again only if all went well.
    pub(crate) async fn take(
        &self,
    ) -> Result<(MutexGuard<'_, Option<Primary>>, Primary), BackendError> {
        let mut held = self.primary.lock().await;
        let primary = self.shared.connect_beside(held.take()).await?;
        Ok((held, primary))
    }

    /// Does something within a transaction's deadline.
    pub(crate) async fn within<T>(
        &self,
        work: impl Future<Output = Asked<T>>,
    ) -> Result<T, BackendError> {
        let working = async {
            work.await.map_err(|failure| match failure.as_db_error() {
                Some(_) => error::without_effect(&failure),
                None => error::unknown(&failure),
            })
        };
        self.shared.transactions.within(working).await
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&self, primary: &Primary) -> Asked<()> {
        self.shared.transactions.begin(&primary.connection).await
    }

    /// What the gateway's other parts share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Whether a primary without a synchronous standby may be written to.
    pub(crate) fn allows_unreplicated(&self) -> bool {
        self.shared.allow_unreplicated
    }

    /// Makes a consumer known, so that events are kept for it from now on.
    ///
    /// `former` is a name that it had before, for which nothing needs to be kept any more. Returns
    /// whether it was unknown.
    pub(crate) async fn enrol(
        &self,
        consumer: &str,
        former: Option<&str>,
    ) -> Result<bool, BackendError> {
        let (mut held, primary) = self.take().await?;
        let client = &primary.connection.client;
        let parameters: [Parameter<'_>; 1] = [(&consumer, Type::TEXT)];
        let gone: [Parameter<'_>; 1] = [(&former, Type::TEXT)];
        let enrolling = async {
            let (begun, enrolled, retired, committed) = tokio::join!(
                self.begin(&primary),
                client.execute_typed(ENROL, &parameters),
                client.execute_typed(RETIRE, &gone),
                client.batch_execute("COMMIT"),
            );
            let made = begun.and(enrolled)?;
            retired.and(committed).map(|()| made > 0)
        };
        let is_new = self.within(enrolling).await?;
        keep(&mut held, primary)?;
        Ok(is_new)
    }

    /// Notes that a consumer has the events up to there, and the hash chain of its ledger there;
    /// answers up to where all have them.
    pub(crate) async fn trim(
        &self,
        consumer: &str,
        to: Cursor,
        chain: Option<Digest>,
    ) -> Result<Cursor, BackendError> {
        let (mut held, primary) = self.take().await?;
        let client = &primary.connection.client;
        let to = signed(to.0);
        let chain = chain.as_ref().map(|chain| &chain.0[..]);
        let history = self.shared.known.history();
        let parameters: [Parameter<'_>; 4] = [
            (&consumer, Type::TEXT),
            (&to, Type::INT8),
            (&chain, Type::BYTEA),
            (&history, Type::BYTEA),
        ];
        let trimming = async {
            let (begun, noted, trimmed, committed) = tokio::join!(
                self.shared.transactions.begin(&primary.connection),
                client.execute_typed(TRIM, &parameters),
                client.query_typed_one(TRIMMED, &[]),
                client.batch_execute("COMMIT"),
            );
            let trimmed = begun.and(noted).and(trimmed)?.try_get(0)?;
            committed.map(|()| Cursor(unsigned(trimmed)))
        };
        let trimmed = self.within(trimming).await?;
        keep(&mut held, primary)?;
        Ok(trimmed)
    }

    /// The next events after a cursor, read by a task of their own: whoever reads a stream may leave
    /// it alone half-way, and must not keep the connection from all others then.
    pub(crate) async fn events(
        self: &Arc<Self>,
        after: Cursor,
    ) -> Result<Vec<Arc<Event>>, BackendError> {
        let aside = self.clone();
        let reading = tokio::spawn(async move { aside.read_events(after).await });
        let stopped = |_| Err(error::unavailable("the reader of events has stopped"));
        reading.await.unwrap_or_else(stopped)
    }

    async fn read_events(&self, after: Cursor) -> Result<Vec<Arc<Event>>, BackendError> {
        let (mut held, primary) = self.take().await?;
        let from = signed(after.0);
        let parameters: [Parameter<'_>; 1] = [(&from, Type::INT8)];
        let asking = primary.connection.client.query_typed(EVENTS, &parameters);
        let rows = self.within(asking).await?;
        keep(&mut held, primary)?;
        let mut events = Vec::new();
        for row in rows {
            let bytes = row.try_get(0).map_err(|e| error::without_effect(&e))?;
            let made: Vec<Event> =
                stored::decode(bytes).map_err(|problem| error::corrupt("log.events", problem))?;
            let new = made.into_iter().filter(|event| event.cursor > after);
            events.extend(new.map(Arc::new));
        }
        Ok(events)
    }

    /// Keeps bytes under their digest.
    pub(crate) async fn put_blob(&self, digest: Digest, body: &[u8]) -> Result<(), BackendError> {
        let (mut held, primary) = self.take().await?;
        let client = &primary.connection.client;
        let (key, allowed): (&[u8], _) = (&digest.0, self.shared.allow_unreplicated);
        let put: [Parameter<'_>; 3] = [
            (&key, Type::BYTEA),
            (&body, Type::BYTEA),
            (&allowed, Type::BOOL),
        ];
        let get: [Parameter<'_>; 1] = [(&key, Type::BYTEA)];
        let putting = async {
            let (begun, put, there, committed) = tokio::join!(
                self.shared.transactions.begin(&primary.connection),
                client.execute_typed(PUT_BLOB, &put),
                client.query_typed_opt(GET_BLOB, &get),
                client.batch_execute("COMMIT"),
            );
            let there = begun.and(put).and(there)?.is_some();
            committed.map(|()| there)
        };
        let there = self.within(putting).await?;
        keep(&mut held, primary)?;
        match there {
            true => Ok(()),
            false => Err(error::unavailable("the server is not the primary any more")),
        }
    }

    /// The bytes of a digest.
    pub(crate) async fn get_blob(
        &self,
        digest: &Digest,
    ) -> Result<Option<Arc<[u8]>>, BackendError> {
        let (mut held, primary) = self.take().await?;
        let key: &[u8] = &digest.0;
        let get: [Parameter<'_>; 1] = [(&key, Type::BYTEA)];
        let asking = async {
            let row = primary
                .connection
                .client
                .query_typed_opt(GET_BLOB, &get)
                .await?;
            row.map(|row| row.try_get::<_, &[u8]>(0).map(Arc::from))
                .transpose()
        };
        let found = self.within(asking).await?;
        keep(&mut held, primary)?;
        Ok(found)
    }
}

/// Gives the connection back after all went well.
pub(crate) fn keep(held: &mut Option<Primary>, primary: Primary) -> Result<(), BackendError> {
    if primary.connection.take_warning() {
        let detail = "a commit came with a warning: the standby may not have it";
        return Err(BackendError::unknown(ErrorKind::Unavailable, detail));
    }
    *held = Some(primary);
    Ok(())
}

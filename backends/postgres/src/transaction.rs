//! The transactions: their statements, and what their failures mean.
//!
//! Everything that a transaction needs is set inside it, and no statement has a name, so that a
//! pooler may hand each transaction to another server process.

use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::DocumentChange;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use tokio_postgres::types::Type;

use crate::client::Connection;
use crate::error;

/// Moves the store on by one version and keeps what was written, if the store is still where the
/// writer believes it to be: same version, same timeline, and a standby to wait for. The function
/// is in the migrations: its plans are kept where a statement without a name is planned each time.
const WRITE: &str = "SELECT leasehold.advance($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

/// The same condition without a change. Written all the same: its commit waits for the standby,
/// which an old primary no longer has.
const CONFIRM_REPLICATED: &str = "UPDATE leasehold.store SET version = version \
    WHERE version = $1 AND timeline = $2 AND leasehold.timeline() = $2 \
        AND current_setting('synchronous_standby_names') <> '' \
    RETURNING leasehold.clock_us()";

/// Without a standby a write proves no more than a look.
const CONFIRM_ALONE: &str = "SELECT leasehold.clock_us() FROM leasehold.store \
    WHERE version = $1 AND timeline = $2 AND leasehold.timeline() = $2";

const PUT_DOCUMENTS: &str = "WITH gone AS ( \
    DELETE FROM leasehold.documents \
    USING unnest($5::text[], $6::text[]) AS gone (collection, id) \
    WHERE gone.collection = documents.collection AND gone.id = documents.id) \
INSERT INTO leasehold.documents (collection, id, revision, body) \
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[]) \
ON CONFLICT (collection, id) DO UPDATE SET revision = excluded.revision, body = excluded.body";

/// What a write leaves in the database.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) previous: u64,
    pub(crate) version: u64,
    pub(crate) now_us: u64,
    pub(crate) newest: u64,
    pub(crate) documents: u64,
    pub(crate) timeline: i32,
    pub(crate) changes: Vec<u8>,
    pub(crate) events: Vec<u8>,
}

/// What became of a write or a confirmation.
#[derive(Debug)]
pub(crate) enum Written {
    /// Done; the database's clock showed this.
    Done(i64),
    /// The store is not where the writer believed it to be. Nothing was written.
    Stale,
    /// The server has no room for it, and says so. Nothing was written, and the connection is as
    /// it was before.
    Full(BackendError),
}

/// How long it may take to read the whole store, or to fold all that has changed.
const LOAD_MAX: Duration = Duration::from_secs(120);

/// The settings of every transaction.
#[derive(Debug, Clone)]
pub(crate) struct Transactions {
    begin: String,
    begin_snapshot: String,
    begin_load: String,
    begin_fold: String,
    lock_timeout_ms: String,
    deadline: Duration,
    allow_unreplicated: bool,
}

/// A parameter of a statement, with its type: statements are not prepared.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// An answer, or why there is none; the effect is right for a statement before the commit.
type Answer<T> = Result<T, tokio_postgres::Error>;

impl Transactions {
    pub(crate) fn new(deadline: Duration, allow_unreplicated: bool) -> Self {
        // The server gives up before the gateway does: then the gateway knows what happened.
        let statement = (deadline.as_millis() * 4 / 5).max(1);
        let lock = (deadline.as_millis() / 2).max(1);
        let begin = |statement: u128| {
            format!(
                "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = {lock}; \
                 SET LOCAL statement_timeout = {statement}; \
                 SET LOCAL idle_in_transaction_session_timeout = {statement}"
            )
        };
        Self {
            begin: begin(statement),
            begin_fold: begin(LOAD_MAX.as_millis()),
            begin_snapshot: snapshot(statement),
            begin_load: snapshot(LOAD_MAX.as_millis()),
            lock_timeout_ms: lock.to_string(),
            deadline,
            allow_unreplicated,
        }
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&self, connection: &Connection) -> Answer<()> {
        connection.client.batch_execute(&self.begin).await
    }

    /// The same, with time to write all that has changed.
    pub(crate) async fn begin_fold(&self, connection: &Connection) -> Answer<()> {
        connection.client.batch_execute(&self.begin_fold).await
    }

    /// Begins one that reads, and sees one point in time.
    pub(crate) async fn begin_snapshot(&self, connection: &Connection) -> Answer<()> {
        connection.client.batch_execute(&self.begin_snapshot).await
    }

    /// The same, with time to read everything.
    pub(crate) async fn begin_load(&self, connection: &Connection) -> Answer<()> {
        connection.client.batch_execute(&self.begin_load).await
    }

    /// Limits how long a whole transaction may take. When it is over the connection must be given
    /// up, whatever it does then.
    pub(crate) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        limited(self.deadline, work).await
    }

    /// The same, for what concerns all locks.
    pub(crate) async fn within_load<T, E: From<BackendError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        limited(LOAD_MAX, work).await
    }

    /// A whole write in one flight, and one statement: the server commits it before it is ready for
    /// the next. Nothing in it waits but for the store's row, and that is limited.
    pub(crate) async fn write(
        &self,
        connection: &Connection,
        write: &Write,
    ) -> Result<Written, BackendError> {
        let written = self.write_statement(connection, write).await;
        settle(connection, Ok(()), written, Ok(()))
    }

    /// The second flight of a transaction that holds the store's row: write and commit.
    pub(crate) async fn write_held(
        &self,
        connection: &Connection,
        write: &Write,
    ) -> Result<Written, BackendError> {
        let (written, committed) = tokio::join!(
            self.write_statement(connection, write),
            connection.client.batch_execute("COMMIT"),
        );
        settle(connection, Ok(()), written, committed)
    }

    /// The same, with the documents that the write changes.
    pub(crate) async fn write_documents(
        &self,
        connection: &Connection,
        write: &Write,
        changes: &[DocumentChange<'_>],
    ) -> Result<Written, BackendError> {
        let before = |failure| error::without_effect(&failure);
        let written = self.write_statement(connection, write).await;
        let clock_us = written.map_err(before)?;
        if clock_us.is_none() {
            connection
                .client
                .batch_execute("ROLLBACK")
                .await
                .map_err(before)?;
            return Ok(Written::Stale);
        }
        let put = || changes.iter().filter_map(|change| change.after);
        let collections: Vec<&str> = put().map(|d| &*d.collection).collect();
        let ids: Vec<&str> = put().map(|d| &*d.id).collect();
        let revisions: Vec<i64> = put().map(|d| signed(d.revision)).collect();
        let bodies: Vec<&[u8]> = put().map(|d| &*d.body).collect();
        let gone = || changes.iter().filter(|change| change.after.is_none());
        let gone_collections: Vec<&str> = gone().map(|change| change.collection).collect();
        let gone_ids: Vec<&str> = gone().map(|change| change.id).collect();
        let put: [Parameter<'_>; 6] = [
            (&collections, Type::TEXT_ARRAY),
            (&ids, Type::TEXT_ARRAY),
            (&revisions, Type::INT8_ARRAY),
            (&bodies, Type::BYTEA_ARRAY),
            (&gone_collections, Type::TEXT_ARRAY),
            (&gone_ids, Type::TEXT_ARRAY),
        ];
        connection
            .client
            .execute_typed(PUT_DOCUMENTS, &put)
            .await
            .map_err(before)?;
        let committed = connection.client.batch_execute("COMMIT").await;
        settle(connection, Ok(()), Ok(clock_us), committed)
    }

    async fn write_statement(&self, connection: &Connection, write: &Write) -> Answer<Option<i64>> {
        let (previous, version) = (signed(write.previous), signed(write.version));
        let (now_us, newest) = (signed(write.now_us), signed(write.newest));
        let documents = signed(write.documents);
        let parameters: [Parameter<'_>; 10] = [
            (&previous, Type::INT8),
            (&version, Type::INT8),
            (&now_us, Type::INT8),
            (&newest, Type::INT8),
            (&documents, Type::INT8),
            (&write.timeline, Type::INT4),
            (&self.allow_unreplicated, Type::BOOL),
            (&write.changes, Type::BYTEA),
            (&write.events, Type::BYTEA),
            (&self.lock_timeout_ms, Type::TEXT),
        ];
        let row = connection.client.query_typed_one(WRITE, &parameters);
        row.await?.try_get(0)
    }

    /// Makes sure that the store is still at that version, as far as a write would be.
    pub(crate) async fn confirm(
        &self,
        connection: &Connection,
        version: u64,
        timeline: i32,
    ) -> Result<Written, BackendError> {
        let version = signed(version);
        let parameters: [Parameter<'_>; 2] = [(&version, Type::INT8), (&timeline, Type::INT4)];
        let clock = |row: Option<Row>| row.map(|row| row.try_get(0)).transpose();
        if self.allow_unreplicated {
            let row = connection
                .client
                .query_typed_opt(CONFIRM_ALONE, &parameters);
            let row = row.await.and_then(clock);
            let row = row.map_err(|failure| error::without_effect(&failure))?;
            return Ok(row.map_or(Written::Stale, Written::Done));
        }
        let (begun, row, committed) = tokio::join!(
            self.begin(connection),
            connection
                .client
                .query_typed_opt(CONFIRM_REPLICATED, &parameters),
            connection.client.batch_execute("COMMIT"),
        );
        settle(connection, begun, row.and_then(clock), committed)
    }
}

async fn limited<T, E: From<BackendError>>(
    most: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let late = || BackendError::unknown(ErrorKind::Deadline, "the database does not answer");
    let done = tokio::time::timeout(most, work).await;
    done.unwrap_or_else(|_| Err(late().into()))
}

fn snapshot(statement_timeout_ms: u128) -> String {
    format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
         SET LOCAL statement_timeout = {statement_timeout_ms}"
    )
}

/// What a flight came to. Only what ends the connection, or the commit, leaves the effect open: a
/// statement that the server has refused has made a rollback of the commit behind it.
fn settle(
    connection: &Connection,
    begun: Answer<()>,
    written: Answer<Option<i64>>,
    committed: Answer<()>,
) -> Result<Written, BackendError> {
    let clock_us = match (begun, written) {
        (Ok(()), Ok(clock_us)) => clock_us,
        (Ok(()), Err(failure)) if committed.is_ok() && error::lacks_room(&failure) => {
            return Ok(Written::Full(error::without_effect(&failure)));
        }
        (Err(failure), _) | (_, Err(failure)) => {
            return Err(error::of_statement(&failure));
        }
    };
    let Some(clock_us) = clock_us else {
        return Ok(Written::Stale);
    };
    committed.map_err(|failure| error::unknown(&failure))?;
    if connection.take_warning() {
        let detail = "the commit came with a warning: the standby may not have it";
        return Err(BackendError::unknown(ErrorKind::Unavailable, detail));
    }
    Ok(Written::Done(clock_us))
}

/// The database's integers have a sign; ours never come near it.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// And back.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

//! A new history of the store, when an operator accepts a database that is older than its gateways
//! remember.
//!
//! One transaction replaces the history's identity, the log and the consumers, and moves the version
//! on. So a gateway that is still open finds another version with its next write, and another
//! identity when it looks why.

use async_trait::async_trait;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::HistoryStart;
use leasehold_backend_api::NewHistory;
use leasehold_backend_api::StartedHistory;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::Millis;
use leasehold_domain::limits::TOKENS_PER_WRITE;
use leasehold_machine::Moment;
use leasehold_machine::State;
use leasehold_machine::stored;
use tokio_postgres::types::Type;

use crate::PostgresBackend;
use crate::aside::Aside;
use crate::aside::keep;
use crate::catch_up;
use crate::catch_up::Head;
use crate::client::Connection;
use crate::error;
use crate::mirror::Changes;
use crate::mirror::Mirror;
use crate::transaction::Parameter;
use crate::transaction::signed;

/// Keeps all writers and folders out until the transaction ends.
const HOLD: &str = "SELECT FROM leasehold.store, leasehold.folded FOR UPDATE";
/// Nothing has the log's rows any more: their changes are in the records below.
const CLEAR: &str = "DELETE FROM leasehold.log; DELETE FROM leasehold.locks";
const IDENTIFY: &str = "UPDATE leasehold.history SET id = $1";
const ADVANCE: &str = "UPDATE leasehold.store SET version = $1, newest = $2, \
    clock_us = leasehold.clock_us() WHERE timeline = leasehold.timeline()";
const FOLD: &str = "UPDATE leasehold.folded SET version = $1";
const PUT: &str = "INSERT INTO leasehold.locks (namespace, name, record) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])";
const PUT_ENDED: &str = "INSERT INTO leasehold.ended (version, now_us, requests) \
    SELECT $1, $2, $3 WHERE length($3) > 0";
const LOG: &str = "INSERT INTO leasehold.log \
    (version, previous, now_us, newest, documents, changes, events) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
/// Other consumers' ledgers are of the old history.
const RETIRE: &str = "DELETE FROM leasehold.consumers WHERE name <> $1";
const CONSUME: &str = "UPDATE leasehold.consumers SET trimmed = $2, ledger_cursor = $2, \
    ledger_chain = $3 WHERE name = $1";

/// Namespaces, names and records of locks.
type LockRows = (Vec<String>, Vec<String>, Vec<Vec<u8>>);

/// What the transaction writes.
struct NewStore {
    version: u64,
    newest: Cursor,
    now_us: u64,
    documents: u64,
    /// All locks.
    locks: LockRows,
    events: Vec<u8>,
    changes: Vec<u8>,
    ended: Vec<u8>,
}

impl NewStore {
    fn of((head, mirror): (Head, Mirror), start: &HistoryStart) -> Self {
        // Not the next version: nobody follows the log from the old history into the new one.
        let version = start.revision_min.max(head.version + 2);
        let mut state = mirror.state;
        let at = Moment {
            level: state.level(),
            now: Millis(head.now_us / 1_000),
            wall: start.wall,
            token_floor: version.saturating_mul(TOKENS_PER_WRITE),
        };
        state.lengthen_leases();
        let (after, change) = (start.after.cursor, start.change.clone());
        let events: Vec<Event> = state.start_history(after, change, &start.unrecorded, at);
        let ended = mirror.unfolded_ended.iter().map(|(_, one)| one);
        let ended = match mirror.unfolded_ended.is_empty() {
            true => Vec::new(),
            false => stored::pack(ended),
        };
        Self {
            version,
            newest: state.newest(),
            now_us: head.now_us,
            documents: head.documents,
            locks: encoded(&state),
            events: stored::pack(&events),
            changes: Changes::default().pack(),
            ended,
        }
    }

    async fn write(
        &self,
        connection: &Connection,
        consumer: &str,
        start: &HistoryStart,
    ) -> Result<(), BackendError> {
        let failed = |failure| error::without_effect(&failure);
        let client = &connection.client;
        let (version, before) = (signed(self.version), signed(self.version - 1));
        let (newest, now_us) = (signed(self.newest.0), signed(self.now_us));
        let (after, chain) = (signed(start.after.cursor.0), start.after.chain.0.as_slice());
        let documents = signed(self.documents);
        let id = start.id.as_bytes().as_slice();
        client.batch_execute(CLEAR).await.map_err(failed)?;
        let statements: [(&str, &[Parameter<'_>]); 8] = [
            (IDENTIFY, &[(&id, Type::BYTEA)]),
            (ADVANCE, &[(&version, Type::INT8), (&newest, Type::INT8)]),
            (FOLD, &[(&version, Type::INT8)]),
            (
                PUT,
                &[
                    (&self.locks.0, Type::TEXT_ARRAY),
                    (&self.locks.1, Type::TEXT_ARRAY),
                    (&self.locks.2, Type::BYTEA_ARRAY),
                ],
            ),
            (
                PUT_ENDED,
                &[
                    (&version, Type::INT8),
                    (&now_us, Type::INT8),
                    (&self.ended, Type::BYTEA),
                ],
            ),
            (
                LOG,
                &[
                    (&version, Type::INT8),
                    (&before, Type::INT8),
                    (&now_us, Type::INT8),
                    (&newest, Type::INT8),
                    (&documents, Type::INT8),
                    (&self.changes, Type::BYTEA),
                    (&self.events, Type::BYTEA),
                ],
            ),
            (RETIRE, &[(&consumer, Type::TEXT)]),
            (
                CONSUME,
                &[
                    (&consumer, Type::TEXT),
                    (&after, Type::INT8),
                    (&chain, Type::BYTEA),
                ],
            ),
        ];
        for (statement, parameters) in statements {
            let written = client.execute_typed(statement, parameters).await;
            let written = written.map_err(failed)?;
            if written != 1 && [IDENTIFY, ADVANCE, FOLD, LOG, CONSUME].contains(&statement) {
                return Err(error::unavailable(
                    "it is not the store's primary any more, or this gateway is none of its consumers",
                ));
            }
        }
        Ok(())
    }
}

fn encoded(state: &State) -> LockRows {
    let (mut namespaces, mut names, mut records) = (Vec::new(), Vec::new(), Vec::new());
    for (lock, record) in state.records() {
        namespaces.push(lock.namespace.to_string());
        names.push(lock.lock.to_string());
        records.push(stored::encode(record));
    }
    (namespaces, names, records)
}

impl Aside {
    async fn start_history(
        &self,
        consumer: &str,
        start: &HistoryStart,
    ) -> Result<StartedHistory, BackendError> {
        let failed = |failure| error::without_effect(&failure);
        let (mut held, primary) = self.take().await?;
        let connection = &primary.connection;
        let transactions = &self.shared().transactions;
        let starting = async {
            let begun = transactions.begin_fold(connection).await;
            begun.map_err(failed)?;
            let holding = connection.client.batch_execute(HOLD).await;
            holding.map_err(failed)?;
            let (head, mirror) = catch_up::everything(connection).await?;
            if head.newest != start.newest.0 {
                let detail = format!(
                    "the store's newest event is {}, not {}",
                    head.newest, start.newest.0
                );
                return Err(BackendError::without_effect(ErrorKind::Contended, detail));
            }
            let new = NewStore::of((head, mirror), start);
            new.write(connection, consumer, start).await?;
            let committed = connection.client.batch_execute("COMMIT").await;
            committed.map_err(|failure| error::unknown(&failure))?;
            if connection.take_warning() {
                let detail = "the commit came with a warning: the standby may not have it";
                return Err(BackendError::unknown(ErrorKind::Unavailable, detail));
            }
            Ok(new.version)
        };
        // After a failure the connection is dropped, which rolls back.
        let revision = transactions.within_load(starting).await?;
        keep(&mut held, primary)?;
        Ok(StartedHistory {
            event: Cursor(start.after.cursor.0 + 1),
            revision,
        })
    }
}

#[async_trait]
impl NewHistory for PostgresBackend {
    async fn start_history(&self, start: HistoryStart) -> Result<StartedHistory, BackendError> {
        self.aside.start_history(&self.consumer, &start).await
    }
}

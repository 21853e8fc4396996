//! Moves changed records from the log into their rows, so that the log stays short, and a lock that
//! changes often is written to its row once in a while.

use std::sync::Arc;

use leasehold_backend_api::BackendError;
use leasehold_domain::LockRef;
use leasehold_domain::limits::ENDED_LEASE_MEMORY_MS;
use leasehold_machine::stored;
use tokio_postgres::types::Type;

use crate::client::Connection;
use crate::error;
use crate::primary::Primary;
use crate::transaction::Parameter;
use crate::transaction::signed;
use crate::transaction::unsigned;
use crate::writer::Shared;

const FOLDED: &str = "SELECT version FROM leasehold.folded FOR UPDATE";
/// Only while the server writes the store's timeline, on its cluster: neither an old primary nor a
/// restored copy may be folded by what was read elsewhere.
const MOVE: &str = "UPDATE leasehold.folded SET version = $1 WHERE EXISTS ( \
    SELECT FROM leasehold.store WHERE timeline = $2 AND leasehold.timeline() = $2 \
        AND system = $3 AND system = (SELECT system_identifier FROM pg_control_system()))";
const PUT: &str = "INSERT INTO leasehold.locks (namespace, name, record) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[]) \
    ON CONFLICT (namespace, name) DO UPDATE SET record = excluded.record";
const TAKE: &str = "DELETE FROM leasehold.locks USING unnest($1::text[], $2::text[]) \
    AS gone (namespace, name) \
    WHERE locks.namespace = gone.namespace AND locks.name = gone.name";
const PUT_ENDED: &str = "INSERT INTO leasehold.ended (version, now_us, requests) \
    SELECT $1, $2, $3 WHERE length($3) > 0";
const FORGET_ENDED: &str = "DELETE FROM leasehold.ended WHERE now_us < $1";
/// Rows that are folded and read by all. Those since the last fold stay for gateways that follow.
const PURGE: &str = "DELETE FROM leasehold.log WHERE version <= $1 \
    AND newest <= (SELECT coalesce(min(trimmed), 0) FROM leasehold.consumers)";

/// Folds the log, on a connection of its own.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) shared: Arc<Shared>,
    primary: Option<Primary>,
}

/// The changed records as of one version.
#[derive(Debug, Default)]
struct Changed {
    version: u64,
    timeline: i32,
    system: i64,
    put: (Vec<String>, Vec<String>, Vec<Vec<u8>>),
    gone: (Vec<String>, Vec<String>),
    now_us: u64,
    /// Acquires whose leases have ended, packed; empty if there are none.
    ended: Vec<u8>,
}

impl Changed {
    /// Rows of ended acquires that were folded before this are forgotten: each of their entries
    /// is older than the row.
    fn faded_us(&self) -> u64 {
        let memory_us = ENDED_LEASE_MEMORY_MS.saturating_mul(1_000);
        self.now_us.saturating_sub(memory_us)
    }
}

impl Folder {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            primary: None,
        }
    }

    /// Folds what has changed since the last fold.
    pub(crate) async fn fold(&mut self) -> Result<(), BackendError> {
        let changed = self.changed().await?;
        if changed.timeline == 0 {
            return Ok(());
        }
        let primary = self.shared.connect_beside(self.primary.take()).await?;
        let writing = self.write(&primary.connection, &changed);
        self.shared.transactions.within_load(writing).await?;
        // After a failure the connection is not used again.
        self.primary = Some(primary);
        Ok(())
    }

    async fn changed(&self) -> Result<Changed, BackendError> {
        let mirror = self.shared.mirror.read().await;
        // What this build cannot read it must not write anew.
        self.shared.check_level(&mirror)?;
        let mut changed = Changed {
            version: mirror.version,
            timeline: mirror.timeline,
            system: mirror.system,
            now_us: mirror.now_us,
            ..Changed::default()
        };
        if !mirror.unfolded_ended.is_empty() {
            let ended = mirror.unfolded_ended.iter().map(|(_, one)| one);
            changed.ended = stored::pack(ended);
        }
        for lock in mirror.unfolded.keys() {
            let LockRef {
                namespace,
                lock: name,
            } = lock;
            let (namespace, name) = (namespace.to_string(), name.to_string());
            match mirror.state.record(lock) {
                None => {
                    changed.gone.0.push(namespace);
                    changed.gone.1.push(name);
                }
                Some(record) => {
                    let bytes = stored::encode(record);
                    changed.put.0.push(namespace);
                    changed.put.1.push(name);
                    changed.put.2.push(bytes);
                }
            }
        }
        Ok(changed)
    }

    async fn write(&self, connection: &Connection, changed: &Changed) -> Result<(), BackendError> {
        let failed = |failure| error::without_effect(&failure);
        let client = &connection.client;
        let begun = self.shared.transactions.begin_fold(connection).await;
        begun.map_err(failed)?;
        let folded = client.query_typed_one(FOLDED, &[]).await.map_err(failed)?;
        let folded = unsigned(folded.try_get(0).map_err(failed)?);
        if folded >= changed.version {
            client.batch_execute("ROLLBACK").await.map_err(failed)?;
            self.forget(folded).await;
            return Ok(());
        }
        let version = signed(changed.version);
        let parameters: [Parameter<'_>; 3] = [
            (&version, Type::INT8),
            (&changed.timeline, Type::INT4),
            (&changed.system, Type::INT8),
        ];
        let moved = client.execute_typed(MOVE, &parameters).await;
        if moved.map_err(failed)? != 1 {
            return Err(error::unavailable("it is not the store's primary any more"));
        }
        let (put, gone, before) = (&changed.put, &changed.gone, signed(folded));
        let put: [Parameter<'_>; 3] = [
            (&put.0, Type::TEXT_ARRAY),
            (&put.1, Type::TEXT_ARRAY),
            (&put.2, Type::BYTEA_ARRAY),
        ];
        let gone: [Parameter<'_>; 2] = [(&gone.0, Type::TEXT_ARRAY), (&gone.1, Type::TEXT_ARRAY)];
        let purge: [Parameter<'_>; 1] = [(&before, Type::INT8)];
        let (now_us, faded_us) = (signed(changed.now_us), signed(changed.faded_us()));
        let put_ended: [Parameter<'_>; 3] = [
            (&version, Type::INT8),
            (&now_us, Type::INT8),
            (&changed.ended, Type::BYTEA),
        ];
        let forget_ended: [Parameter<'_>; 1] = [(&faded_us, Type::INT8)];
        let (put, gone, purged, kept, faded, committed) = tokio::join!(
            client.execute_typed(PUT, &put),
            client.execute_typed(TAKE, &gone),
            client.execute_typed(PURGE, &purge),
            client.execute_typed(PUT_ENDED, &put_ended),
            client.execute_typed(FORGET_ENDED, &forget_ended),
            client.batch_execute("COMMIT"),
        );
        put.and(gone).and(purged).map_err(failed)?;
        kept.and(faded).map_err(failed)?;
        committed.map_err(failed)?;
        self.forget(changed.version).await;
        Ok(())
    }

    /// What is folded need not be folded again.
    async fn forget(&self, folded: u64) {
        let mut mirror = self.shared.mirror.write().await;
        mirror.unfolded.retain(|_, version| *version > folded);
        mirror
            .unfolded_ended
            .retain(|(version, _)| *version > folded);
    }
}

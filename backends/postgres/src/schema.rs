//! The schema and its migrations: embedded, in order, forward only.

use tokio_postgres::types::Type;

use crate::OpenError;
use crate::client::Connection;
use crate::error;
use crate::transaction::Transactions;

/// The migrations, the first first. One that was released is never changed.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/1.sql"),
    include_str!("../migrations/2.sql"),
    include_str!("../migrations/3.sql"),
    include_str!("../migrations/4.sql"),
    include_str!("../migrations/5.sql"),
    include_str!("../migrations/6.sql"),
];
/// One gateway migrates at a time. The lock ends with the transaction.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7245893047213465)";
const PREPARE: &str = "CREATE SCHEMA IF NOT EXISTS leasehold; \
    CREATE TABLE IF NOT EXISTS leasehold.migrations ( \
        number integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())";
const KNOWN: &str = "SELECT to_regclass('leasehold.migrations') IS NOT NULL";
const LAST: &str = "SELECT coalesce(max(number), 0) FROM leasehold.migrations";
const APPLIED: &str = "INSERT INTO leasehold.migrations (number) VALUES ($1)";

/// Brings the schema up to date, each migration in a transaction of its own.
///
/// # Errors
/// The database has a newer schema, or refuses.
pub(crate) async fn migrate(
    connection: &Connection,
    transactions: &Transactions,
) -> Result<(), OpenError> {
    let failed = |failure| OpenError::from(error::without_effect(&failure));
    let client = &connection.client;
    let row = client.query_typed_one(KNOWN, &[]).await.map_err(failed)?;
    // Looked at first, so that a role without the right to make tables can use ready ones.
    if row.try_get::<_, bool>(0).map_err(failed)? && last(connection).await? == known() {
        return Ok(());
    }
    loop {
        transactions.begin(connection).await.map_err(failed)?;
        client.query_typed_one(LOCK, &[]).await.map_err(failed)?;
        client.batch_execute(PREPARE).await.map_err(failed)?;
        let found = last(connection).await?;
        let next = usize::try_from(found).unwrap_or(usize::MAX);
        let Some(migration) = MIGRATIONS.get(next) else {
            client.batch_execute("ROLLBACK").await.map_err(failed)?;
            return match found == known() {
                true => Ok(()),
                false => Err(OpenError::Newer {
                    found,
                    known: known(),
                }),
            };
        };
        client.batch_execute(migration).await.map_err(failed)?;
        let number = found + 1;
        client
            .execute_typed(APPLIED, &[(&number, Type::INT4)])
            .await
            .map_err(failed)?;
        client.batch_execute("COMMIT").await.map_err(failed)?;
        tracing::info!(number, "postgres.migration applied");
    }
}

async fn last(connection: &Connection) -> Result<i32, OpenError> {
    let failed = |failure| OpenError::from(error::without_effect(&failure));
    let row = connection.client.query_typed_one(LAST, &[]).await;
    row.map_err(failed)?.try_get(0).map_err(failed)
}

fn known() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

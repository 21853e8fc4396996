//! The schema and its migrations: embedded, in order, forward only.
//!
//! A migration is applied when the store's feature level reaches the one that it is for: no older build
//! can be started on the store any more. A change that replaces something is made in two: the migration
//! of level N adds the new form, and the one of level N + 1 removes the old one, when no gateway that
//! may still run uses it.

use leasehold_backend_api::Levels;
use leasehold_domain::FeatureLevel;
use tokio_postgres::types::Type;

use crate::OpenError;
use crate::client::Connection;
use crate::error;
use crate::transaction::Parameter;
use crate::transaction::Transactions;

/// A migration, and the feature level from which on it is applied.
type Step = (FeatureLevel, &'static str);

/// The migrations, the first first, with levels that do not fall. One that was released is never
/// changed.
const MIGRATIONS: &[Step] = &[
    (FeatureLevel::FIRST, include_str!("../migrations/1.sql")),
    (FeatureLevel::FIRST, include_str!("../migrations/2.sql")),
    (FeatureLevel::FIRST, include_str!("../migrations/3.sql")),
    (FeatureLevel::FIRST, include_str!("../migrations/4.sql")),
    (FeatureLevel::FIRST, include_str!("../migrations/5.sql")),
    (FeatureLevel::FIRST, include_str!("../migrations/6.sql")),
];
/// What a debug build with a level that the source does not know migrates, so that tests of upgrades
/// see both halves of a change.
const REHEARSAL: [Step; 2] = [
    (
        FeatureLevel(FeatureLevel::NEWEST.0 + 1),
        "CREATE TABLE leasehold.rehearsal (at bigint)",
    ),
    (
        FeatureLevel(FeatureLevel::NEWEST.0 + 2),
        "DROP TABLE leasehold.rehearsal",
    ),
];
/// One gateway migrates at a time. The lock ends with the transaction.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7245893047213465)";
const PREPARE: &str = "CREATE SCHEMA IF NOT EXISTS leasehold; \
    CREATE TABLE IF NOT EXISTS leasehold.migrations ( \
        number integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())";
const KNOWN: &str = "SELECT to_regclass('leasehold.migrations') IS NOT NULL";
const LEVEL: &str = "SELECT body FROM leasehold.documents WHERE collection = $1 AND id = $2";
const LAST: &str = "SELECT coalesce(max(number), 0) FROM leasehold.migrations";
const APPLIED: &str = "INSERT INTO leasehold.migrations (number) VALUES ($1)";

/// Brings the schema to what the store's feature level allows, each migration in a transaction of its
/// own.
///
/// # Errors
/// The store has a level that the build does not support, or a newer schema, or the database refuses.
pub(crate) async fn migrate(
    connection: &Connection,
    transactions: &Transactions,
    levels: Levels,
) -> Result<(), OpenError> {
    let failed = |failure| OpenError::from(error::without_effect(&failure));
    let client = &connection.client;
    let all = migrations(levels);
    let row = client.query_typed_one(KNOWN, &[]).await.map_err(failed)?;
    // Looked at first, so that a role without the right to make tables can use ready ones.
    if row.try_get::<_, bool>(0).map_err(failed)? && next(connection, &all, levels).await?.is_none()
    {
        return Ok(());
    }
    loop {
        transactions.begin(connection).await.map_err(failed)?;
        client.query_typed_one(LOCK, &[]).await.map_err(failed)?;
        client.batch_execute(PREPARE).await.map_err(failed)?;
        let Some((number, migration)) = next(connection, &all, levels).await? else {
            client.batch_execute("ROLLBACK").await.map_err(failed)?;
            return Ok(());
        };
        client.batch_execute(migration).await.map_err(failed)?;
        client
            .execute_typed(APPLIED, &[(&number, Type::INT4)])
            .await
            .map_err(failed)?;
        client.batch_execute("COMMIT").await.map_err(failed)?;
        tracing::info!(number, "postgres.migration applied");
    }
}

fn migrations(levels: Levels) -> Vec<Step> {
    let mut all = MIGRATIONS.to_vec();
    if levels.max > FeatureLevel::NEWEST {
        all.extend(REHEARSAL);
    }
    all
}

/// Returns the number of the next migration that the store's level allows, and the migration; `None`
/// if there is none.
async fn next(
    connection: &Connection,
    all: &[Step],
    levels: Levels,
) -> Result<Option<(i32, &'static str)>, OpenError> {
    let found = last(connection).await?;
    let level = match found {
        // It has no documents yet.
        0 => FeatureLevel::FIRST,
        _ => level(connection).await?,
    };
    levels
        .admit(level)
        .map_err(|problem| OpenError::Level(problem.to_string()))?;
    let known = i32::try_from(all.len()).unwrap_or(i32::MAX);
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    let next = all.get(usize::try_from(found).unwrap_or(usize::MAX));
    let allowed = next.filter(|(of, _)| *of <= level);
    Ok(allowed.map(|(_, migration)| (found + 1, *migration)))
}

/// Returns the feature level that the store's documents name.
async fn level(connection: &Connection) -> Result<FeatureLevel, OpenError> {
    let failed = |failure| OpenError::from(error::without_effect(&failure));
    let (collection, id) = (FeatureLevel::COLLECTION, FeatureLevel::DOCUMENT);
    let parameters: [Parameter<'_>; 2] = [(&collection, Type::TEXT), (&id, Type::TEXT)];
    let rows = connection.client.query_typed(LEVEL, &parameters).await;
    let rows = rows.map_err(failed)?;
    let Some(row) = rows.first() else {
        return Ok(FeatureLevel::FIRST);
    };
    let body: &[u8] = row.try_get(0).map_err(failed)?;
    Ok(FeatureLevel::read(body))
}

async fn last(connection: &Connection) -> Result<i32, OpenError> {
    let failed = |failure| OpenError::from(error::without_effect(&failure));
    let row = connection.client.query_typed_one(LAST, &[]).await;
    row.map_err(failed)?.try_get(0).map_err(failed)
}

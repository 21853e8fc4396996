//! The schema of the file: numbered migrations, forward only, each applied once. The number of the
//! last one is the file's `user_version`.

use rusqlite::Connection;
use rusqlite::Transaction;
use rusqlite_migration::Error;
use rusqlite_migration::HookResult;
use rusqlite_migration::M;
use rusqlite_migration::Migrations;

use super::LedgerOptions;
use crate::OpenError;

/// "LSLD", as the migrations set it.
const APPLICATION: i64 = 0x4c53_4c44;

/// Files up to this schema were written before the first release, and are not read.
const BEFORE_RELEASE_MAX: i64 = 1;

/// The row of `meta` with the version of the build that migrated the file last. Absent in files that
/// were made before it was kept.
const BUILD: &str = "build";

/// The migrations, the first first. The position is the number of the schema that it leads to.
fn migrations(options: &LedgerOptions) -> Vec<M<'static>> {
    let options = options.clone();
    vec![
        // Of builds before the first release; a new file goes on to the next at once.
        M::up(""),
        M::up_with_hook(
            include_str!("../../migrations/2.sql"),
            move |transaction: &Transaction<'_>| -> HookResult {
                let sql = "INSERT INTO meta VALUES \
                    ('backend', ?1), ('segment_events', ?2), ('segment_bytes', ?3)";
                let values = (
                    &options.backend,
                    options.segment_events,
                    options.segment_bytes,
                );
                transaction.execute(sql, values)?;
                Ok(())
            },
        ),
    ]
}

/// Returns whether the file has no table yet.
pub(super) fn is_new(connection: &Connection) -> Result<bool, rusqlite::Error> {
    let sql = "SELECT count(*) FROM sqlite_schema";
    connection.query_row(sql, [], |row| row.get(0).map(|tables: i64| tables == 0))
}

/// Makes the schema of an empty file, or brings an older one up to date: all in one transaction, so
/// that a crash leaves the file as it was.
///
/// # Errors
/// The file is no ledger, or has a schema that this build does not read. It is not changed then.
pub(super) fn migrate(
    connection: &mut Connection,
    options: &LedgerOptions,
) -> Result<(), OpenError> {
    apply(connection, migrations(options))
}

/// Applies the migrations that the file lacks.
pub(super) fn apply(
    connection: &mut Connection,
    migrations: Vec<M<'static>>,
) -> Result<(), OpenError> {
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    let found = match is_new(connection)? {
        true => 0,
        false => checked(connection, known)?,
    };
    if found == known {
        return Ok(());
    }
    let migrations = Migrations::new(migrations);
    migrations.to_latest(connection).map_err(failure)?;
    let sql = "INSERT OR REPLACE INTO meta VALUES (?1, ?2)";
    connection.execute(sql, (BUILD, env!("CARGO_PKG_VERSION")))?;
    if found > 0 {
        tracing::info!(found, known, "ledger.schema migrated");
    }
    Ok(())
}

/// Returns the schema of a file that is not empty, if this build reads it.
fn checked(connection: &Connection, known: i64) -> Result<i64, OpenError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if pragma("application_id")? != APPLICATION {
        return Err(OpenError::NotALedger);
    }
    let found = pragma("user_version")?;
    if found <= BEFORE_RELEASE_MAX {
        return Err(OpenError::BeforeRelease(found));
    }
    if found > known {
        // A newer schema may have no such table.
        let sql = "SELECT value FROM meta WHERE name = ?1";
        let build = connection.query_row(sql, [BUILD], |row| row.get::<_, String>(0));
        let build = build.map_or("a newer build".to_owned(), |build| format!("build {build}"));
        return Err(OpenError::NewerSchema {
            found,
            known,
            build,
        });
    }
    Ok(found)
}

/// A step that failed was rolled back.
fn failure(error: Error) -> OpenError {
    match error {
        Error::RusqliteError { err, .. } => OpenError::Sqlite(err),
        other => OpenError::Migration(other.to_string()),
    }
}

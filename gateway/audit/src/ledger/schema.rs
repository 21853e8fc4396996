//! The schema of the file: numbered migrations, forward only, each applied once. The number of the
//! last one is the file's `user_version`.
//!
//! A migration is applied when the feature level of the store reaches the one that it is for. A change
//! that replaces something is made in two: the migration of level N adds the new form, and the one of
//! level N + 1 removes the old one. So a build of level N finds what it needs from the moment at which
//! its level is raised, and until then the build before can be started on the file again.

use leasehold_backend_api::Levels;
use leasehold_domain::FeatureLevel;
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

/// A migration, and the feature level from which on it is applied.
pub(super) type Step = (FeatureLevel, M<'static>);

/// The migrations, the first first, with levels that do not fall. The position is the number of the
/// schema that it leads to.
fn migrations(options: &LedgerOptions) -> Vec<Step> {
    let options = options.clone();
    let first = M::up_with_hook(
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
    );
    let mut all = vec![
        // Of builds before the first release; a new file goes on to the next at once.
        (FeatureLevel::FIRST, M::up("")),
        (FeatureLevel::FIRST, first),
    ];
    if Levels::of_build().max > FeatureLevel::NEWEST {
        all.extend(rehearsal());
    }
    all
}

/// What a debug build with a level that the source does not know migrates, so that tests of upgrades
/// see both halves of a change.
fn rehearsal() -> [Step; 2] {
    let next = FeatureLevel(FeatureLevel::NEWEST.0 + 1);
    let last = FeatureLevel(next.0 + 1);
    [
        (next, M::up("CREATE TABLE rehearsal (at INTEGER)")),
        (last, M::up("DROP TABLE rehearsal")),
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
    apply(connection, migrations(options), options.level)
}

/// Applies the migrations that the file lacks and the level allows.
pub(super) fn apply(
    connection: &mut Connection,
    migrations: Vec<Step>,
    level: FeatureLevel,
) -> Result<(), OpenError> {
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    let allowed = migrations.iter().take_while(|(of, _)| *of <= level).count();
    let found = match is_new(connection)? {
        true => 0,
        false => checked(connection, known)?,
    };
    let to = i64::try_from(allowed).unwrap_or(i64::MAX);
    if found >= to {
        return Ok(());
    }
    let migrations = migrations.into_iter().map(|(_, migration)| migration);
    let migrations = Migrations::new(migrations.collect());
    migrations
        .to_version(connection, allowed)
        .map_err(failure)?;
    let sql = "INSERT OR REPLACE INTO meta VALUES (?1, ?2)";
    connection.execute(sql, (BUILD, env!("CARGO_PKG_VERSION")))?;
    if found > 0 {
        tracing::info!(found, to, level = level.0, "ledger.schema migrated");
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

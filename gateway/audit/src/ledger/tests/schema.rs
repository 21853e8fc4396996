//! Files of every schema: `golden/ledger-N.sql` is a ledger as the build wrote it that introduced
//! schema N.

use std::fmt::Write as _;
use std::path::Path;

use leasehold_backend_api::Ledger;
use leasehold_domain::Cursor;
use leasehold_domain::FeatureLevel;
use leasehold_domain::WallMillis;
use rusqlite::Connection;
use rusqlite_migration::M;

use super::model;
use super::open;
use super::options;
use crate::OpenError;
use crate::SqliteLedger;
use crate::ledger::schema;

/// The hash chain after the ten events of the golden file.
const CHAIN: &str = "d92f25d3d42e394aa24bff137230f3fe1dd0477621d3a8bdc1cf4898239584c8";
const FIRST: FeatureLevel = FeatureLevel::FIRST;
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/ledger-2.sql");

/// The file as text: its numbers, tables and rows.
fn dump(path: &Path) -> String {
    let connection = Connection::open(path).unwrap();
    let mut text = String::new();
    for name in ["application_id", "user_version"] {
        let value: i64 = connection
            .pragma_query_value(None, name, |row| row.get(0))
            .unwrap();
        writeln!(text, "PRAGMA {name} = {value};").unwrap();
    }
    let sql = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
    let mut tables = connection.prepare(sql).unwrap();
    let tables = tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    let tables: Vec<(String, String)> = tables.unwrap().map(Result::unwrap).collect();
    for (table, sql) in tables {
        writeln!(text, "{sql};").unwrap();
        let all = connection
            .prepare(&format!("SELECT * FROM {table}"))
            .unwrap();
        let columns: Vec<_> = all
            .column_names()
            .into_iter()
            .map(|c| format!("quote({c})"))
            .collect();
        let sql = format!("SELECT {} FROM {table}", columns.join("||', '||"));
        let mut rows = connection.prepare(&sql).unwrap();
        let rows = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
        for row in rows {
            writeln!(text, "INSERT INTO {table} VALUES ({});", row.unwrap()).unwrap();
        }
        drop(all);
    }
    text
}

/// What is declared in the file `ledger`: all of the dump but its rows, without its layout.
fn tables(folder: &Path) -> String {
    let dump = dump(&folder.join("ledger"));
    let lines = dump.lines().filter(|line| !line.starts_with("INSERT"));
    let words = lines.flat_map(str::split_whitespace);
    words.collect::<Vec<_>>().join(" ")
}

/// Makes the file `ledger` of a dump.
fn restore(folder: &Path, dump: &str) {
    let connection = Connection::open(folder.join("ledger")).unwrap();
    let sql = format!("PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; BEGIN; {dump} COMMIT;");
    connection.execute_batch(&sql).unwrap();
}

fn change(folder: &Path, sql: &str) {
    let connection = Connection::open(folder.join("ledger")).unwrap();
    connection.execute_batch(sql).unwrap();
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "a maintainer's own switch, as for the stored forms"
)]
async fn a_file_of_schema_2_is_opened_and_verified() {
    let mut steps = model::acquire_and_release(10);
    steps.iter_mut().for_each(|step| step.judged = true);
    let (events, held) = model::holds(steps);
    if std::env::var("LEASEHOLD_UPDATE").is_ok() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(folder.path(), 4, true);
        ledger.append(events.clone()).await.unwrap();
        drop(ledger);
        drop(open(folder.path(), 4, true));
        std::fs::write(GOLDEN, dump(&folder.path().join("ledger"))).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    restore(folder.path(), &std::fs::read_to_string(GOLDEN).unwrap());
    let ledger = open(folder.path(), 4, true);
    let head = ledger.head();
    assert_eq!(
        (head.cursor, head.chain.to_string().as_str()),
        (Cursor(10), CHAIN)
    );
    assert_eq!(ledger.verify().await.unwrap(), None);
    for at in 0..12 {
        let lock = "a/x".parse().unwrap();
        let found = ledger.holders(&lock, WallMillis(at)).await.unwrap();
        assert_eq!(found.holds, model::holders(&held, &lock, at));
    }
    // It goes on as any other, and has the tables of a file that is made now.
    let more = model::holds(model::acquire_and_release(14)).0;
    let followed = [&events[..], &more[10..]].concat();
    assert_eq!(ledger.append(followed).await.unwrap().cursor, Cursor(14));
    drop(ledger);
    let made = tempfile::tempdir().unwrap();
    drop(open(made.path(), 4, true));
    assert_eq!(tables(folder.path()), tables(made.path()));
}

fn refused(folder: &Path) -> OpenError {
    let before = dump(&folder.join("ledger"));
    let refused = SqliteLedger::open(&folder.join("ledger"), options(4)).unwrap_err();
    assert_eq!(dump(&folder.join("ledger")), before);
    refused
}

#[test]
fn a_file_of_a_newer_build_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), 4, true));
    change(
        folder.path(),
        "CREATE TABLE later (x); PRAGMA user_version = 3",
    );
    let message = refused(folder.path()).to_string();
    let ours = env!("CARGO_PKG_VERSION");
    for part in [
        format!("has schema 3, written by build {ours}"),
        format!("this build, {ours}, reads schemas up to 2"),
        "restore a backup".to_owned(),
    ] {
        assert!(message.contains(&part), "{message}");
    }
    // One that does not say which build wrote it.
    change(folder.path(), "DROP TABLE meta; PRAGMA user_version = 9");
    let refused = refused(folder.path());
    let OpenError::NewerSchema {
        found: 9,
        known: 2,
        build,
    } = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(build, "a newer build");
}

#[test]
fn a_file_from_before_the_first_release_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), 4, true));
    for schema in [0, 1] {
        change(folder.path(), &format!("PRAGMA user_version = {schema}"));
        let refused = refused(folder.path());
        assert!(
            matches!(refused, OpenError::BeforeRelease(found) if found == schema),
            "{refused:?}"
        );
    }
}

fn steps(steps: &[(FeatureLevel, &'static str)]) -> Vec<schema::Step> {
    let step = |(level, sql): &(FeatureLevel, &'static str)| (*level, M::up(sql));
    steps.iter().map(step).collect()
}

/// What the build after this one will do: its migration is applied to a file of today, once, or not
/// at all.
#[test]
fn a_later_migration_is_applied_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    restore(folder.path(), &std::fs::read_to_string(GOLDEN).unwrap());
    let path = folder.path().join("ledger");
    let mut connection = Connection::open(&path).unwrap();
    let next = |sql| steps(&[(FIRST, ""), (FIRST, "never applied again"), (FIRST, sql)]);
    let before = dump(&path);
    let broken = "CREATE TABLE later (x); CREATE TABLE meta (x);";
    assert!(matches!(
        schema::apply(&mut connection, next(broken), FIRST),
        Err(OpenError::Sqlite(_))
    ));
    assert_eq!(dump(&path), before);
    for _ in 0..2 {
        schema::apply(&mut connection, next("CREATE TABLE later (x);"), FIRST).unwrap();
    }
    let tables = tables(folder.path());
    assert!(tables.contains("user_version = 3;"), "{tables}");
    assert!(tables.contains("CREATE TABLE later (x);"), "{tables}");
    // This build does not open it any more.
    assert!(matches!(
        refused(folder.path()),
        OpenError::NewerSchema { found: 3, .. }
    ));
}

/// A change in two halves: level 3 adds the new form, and level 4 removes the old one. The build before
/// opens the file until the level of its store is raised.
#[test]
fn a_migration_waits_for_the_level_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    restore(folder.path(), &std::fs::read_to_string(GOLDEN).unwrap());
    let mut connection = Connection::open(folder.path().join("ledger")).unwrap();
    let all = [
        (FIRST, ""),
        (FIRST, "never applied again"),
        (FeatureLevel(3), "ALTER TABLE chunks ADD COLUMN newer BLOB"),
        (FeatureLevel(4), "ALTER TABLE chunks DROP COLUMN newer"),
    ];
    let mut open = |known: usize, level: u16| {
        let known = steps(&all[..known]);
        schema::apply(&mut connection, known, FeatureLevel(level))
    };
    let schema = || {
        let tables = tables(folder.path());
        (
            tables.contains("newer"),
            tables.contains("user_version = 2;"),
        )
    };
    let (before, build, after) = (2, 3, 4);
    // The build of level 3 on a store of level 2, and back, and forth.
    for known in [before, build, before, build] {
        open(known, 2).unwrap();
        assert_eq!(schema(), (false, true));
    }
    open(build, 3).unwrap();
    assert_eq!(schema(), (true, false));
    assert!(matches!(
        open(before, 3),
        Err(OpenError::NewerSchema {
            found: 3,
            known: 2,
            ..
        })
    ));
    // The build of level 4, on a store of level 3: the old form stays until all builds know the new one.
    open(after, 3).unwrap();
    open(build, 3).unwrap();
    assert_eq!(schema(), (true, false));
    open(after, 4).unwrap();
    assert_eq!(schema(), (false, false));
    assert!(matches!(
        open(build, 4),
        Err(OpenError::NewerSchema {
            found: 4,
            known: 3,
            ..
        })
    ));
    // A command that does not know the level of the store leaves the file as it is.
    open(after, 1).unwrap();
    assert_eq!(schema(), (false, false));
}

/// The migration of a running ledger: what was appended is there, and appends go on.
#[tokio::test]
async fn a_ledger_that_runs_is_migrated_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path(), 4, true);
    let (events, _) = model::holds(model::acquire_and_release(10));
    ledger.append(events[..5].to_vec()).await.unwrap();
    ledger.raise_level(FeatureLevel(3)).await.unwrap();
    ledger.raise_level(FeatureLevel::FIRST).await.unwrap();
    assert_eq!(ledger.append(events).await.unwrap().cursor, Cursor(10));
    assert_eq!(ledger.verify().await.unwrap(), None);
}

//! Files of every schema: `golden/ledger-N.sql` is a ledger as the build wrote it that introduced
//! schema N.

use std::fmt::Write as _;
use std::path::Path;

use leasehold_backend_api::Ledger;
use leasehold_domain::Cursor;
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

/// What the build after this one will do: its migration is applied to a file of today, once, or not
/// at all.
#[test]
fn a_later_migration_is_applied_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    restore(folder.path(), &std::fs::read_to_string(GOLDEN).unwrap());
    let path = folder.path().join("ledger");
    let mut connection = Connection::open(&path).unwrap();
    let next = |sql| vec![M::up(""), M::up("never applied again"), M::up(sql)];
    let before = dump(&path);
    let broken = "CREATE TABLE later (x); CREATE TABLE meta (x);";
    assert!(matches!(
        schema::apply(&mut connection, next(broken)),
        Err(OpenError::Sqlite(_))
    ));
    assert_eq!(dump(&path), before);
    for _ in 0..2 {
        schema::apply(&mut connection, next("CREATE TABLE later (x);")).unwrap();
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

//! The ledger's rows in the database: one gateway at a time extends them, and all read the same.

use std::sync::Arc;

use leasehold_backend_api::LedgerArchive;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::LedgerPeers;
use leasehold_backend_api::LedgerRow;
use leasehold_backend_postgres::PostgresBackend;
use leasehold_backend_postgres::PostgresConfig;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::SystemClock;
use leasehold_test_servers::Postgres;

/// Rows whose chains are made up: their meaning is nothing to the store.
fn rows(from: u64, to: u64, by: &str) -> Vec<LedgerRow> {
    let row = |cursor: u64| LedgerRow {
        cursor: Cursor(cursor),
        body: format!("{{\"cursor\":{cursor},\"by\":\"{by}\"}}").into(),
        chain: Digest::of(format!("{cursor} {by}").as_bytes()),
    };
    (from..=to).map(row).collect()
}

fn end(rows: &[LedgerRow]) -> LedgerHead {
    let last = rows.last().expect("there are some");
    LedgerHead {
        cursor: last.cursor,
        chain: last.chain,
    }
}

async fn two(server: &Postgres) -> [Arc<PostgresBackend>; 2] {
    let mut config = PostgresConfig::new(server.url("postgres"));
    config.allow_unreplicated = true;
    let open = || async {
        let opened = PostgresBackend::open(config.clone(), Arc::new(SystemClock::new())).await;
        opened.expect("it opens")
    };
    [open().await, open().await]
}

#[test]
fn of_two_who_extend_it_one_wins() {
    leasehold_conformance::run(async {
        let server = Postgres::start().await;
        let [one, two] = two(&server).await;
        let mut known = one.archived().await.expect("an answer");
        assert_eq!((known.cursor, known.chain), (Cursor(0), Digest([0; 32])));
        let mut all = Vec::new();
        for round in 0..20 {
            let from = known.cursor.0 + 1;
            let (first, second) = (rows(from, from + 9, "one"), rows(from, from + 4, "two"));
            let (by_one, by_two) = tokio::join!(
                one.extend(known, first.clone()),
                two.extend(known, second.clone())
            );
            let (by_one, by_two) = (by_one.expect("an answer"), by_two.expect("an answer"));
            let now = two.archived().await.expect("an answer");
            let won = [&first, &second].into_iter().find(|rows| end(rows) == now);
            let won = won.unwrap_or_else(|| panic!("round {round}: nobody won: {now:?}"));
            assert!(by_one == now || by_two == now, "the winner knows");
            all.extend_from_slice(won);
            known = now;
        }
        let mut read: Vec<LedgerRow> = Vec::new();
        while let Some(after) = read.last().map_or(Some(0), |row| {
            (row.cursor < known.cursor).then_some(row.cursor.0)
        }) {
            read.extend(two.rows(Cursor(after)).await.expect("rows"));
        }
        assert_eq!(read, all);
        // Also from the middle of what was packed together.
        let some = one.rows(Cursor(2)).await.expect("rows");
        assert_eq!(some[..], all[2..2 + some.len()]);
        let beyond = one.rows(known.cursor).await.expect_err("there are no more");
        assert!(beyond.is_retryable(), "{beyond}");
    });
}

#[test]
fn it_is_extended_only_where_it_ends() {
    leasehold_conformance::run(async {
        let server = Postgres::start().await;
        let [store, _] = two(&server).await;
        let begin = store.archived().await.expect("an answer");
        let first = rows(1, 5, "one");
        let known = store.extend(begin, first.clone()).await.expect("extended");
        assert_eq!(known, end(&first));
        let other_chain = LedgerHead {
            chain: begin.chain,
            ..known
        };
        for (after, more) in [(begin, rows(1, 9, "one")), (other_chain, rows(6, 9, "one"))] {
            let still = store.extend(after, more).await.expect("an answer");
            assert_eq!(still, known);
        }
        let gap = store.extend(known, rows(7, 9, "one")).await;
        assert!(!gap.expect_err("a gap").is_retryable());
        // Somebody else's server: the store's last write was on another timeline.
        let moved = "UPDATE leasehold.store SET timeline = 99";
        server.sql("postgres", moved).await;
        let still = store.extend(known, rows(6, 9, "one")).await;
        assert_eq!(still.expect("an answer"), known);
    });
}

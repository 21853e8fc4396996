//! Several gateways on one database.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Documents;
use leasehold_backend_postgres::PostgresBackend;
use leasehold_backend_postgres::PostgresConfig;
use leasehold_conformance::governing::COLLECTION;
use leasehold_conformance::governing::edit;
use leasehold_conformance::sharing;
use leasehold_domain::Action;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::ManualClock;
use leasehold_domain::Outcome;
use leasehold_domain::Precondition;
use leasehold_test_servers::Postgres;
use leasehold_test_servers::Shared;
use leasehold_test_servers::until;

use crate::asking::acquire;
use crate::asking::ask;
use crate::asking::command;
use crate::asking::granted;
use crate::asking::take;
use crate::asking::view;

static SERVER: Shared<Postgres> = Shared::new();

/// A database, and gateways with ledgers of their own, on one clock.
pub(crate) struct Gateways {
    server: Arc<Postgres>,
    database: String,
    clock: Arc<ManualClock>,
    pub(crate) each: Vec<Arc<PostgresBackend>>,
}

impl Gateways {
    pub(crate) async fn start(count: usize) -> Self {
        let server = SERVER.get(Postgres::start).await;
        let database = server.database().await;
        let clock = Arc::new(ManualClock::default());
        let mut each = Vec::new();
        for number in 0..count {
            each.push(open(&server.url(&database), number, clock.clone()).await);
        }
        Self {
            server,
            database,
            clock,
            each,
        }
    }

    /// Opens the store once more, as one of the gateways.
    pub(crate) async fn open(&self, number: usize) -> Arc<PostgresBackend> {
        let url = self.server.url(&self.database);
        open(&url, number, self.clock.clone()).await
    }
}

async fn open(url: &str, number: usize, clock: Arc<ManualClock>) -> Arc<PostgresBackend> {
    let mut config = PostgresConfig::new(url);
    config.allow_unreplicated = true;
    config.consumer = format!("gateway-{number}");
    let opened = PostgresBackend::open(config, clock).await;
    opened.expect("the store can be opened")
}

fn run(case: impl Future<Output = ()>) {
    leasehold_conformance::run(case);
}

async fn events(gateway: &PostgresBackend, count: usize) -> Vec<Arc<Event>> {
    let stream = gateway.events(Cursor(0)).take(count);
    stream.map(|event| event.expect("an event")).collect().await
}

/// Eight clients on two gateways want three locks: nobody holds what another does, tokens of a
/// lock grow, and both gateways tell the same story.
#[test]
fn gateways_are_equal() {
    run(async {
        let gateways = Gateways::start(2).await;
        let clients = (0..8).map(|client: usize| {
            let gateway = &gateways.each[client % 2];
            async move {
                let (who, mut held) = (format!("client-{client}"), Vec::new());
                for round in 0..30 {
                    let name = format!("l-{}", (client + round) % 3);
                    let asked = ask(gateway, command(&who, &name, acquire(60_000))).await;
                    if let Outcome::Granted(grant) = asked.expect("an answer") {
                        held.push((name.clone(), grant.token));
                        let lease_id = grant.lease_id;
                        let give = command(&who, &name, Action::Release { lease_id });
                        assert_eq!(
                            ask(gateway, give).await.expect("an answer"),
                            Outcome::Released
                        );
                    }
                }
                held
            }
        });
        let held: Vec<_> = join_all(clients).await.into_iter().flatten().collect();
        let tokens: BTreeSet<_> = held.iter().collect();
        assert_eq!(tokens.len(), held.len(), "a token was given twice");
        let told = events(&gateways.each[0], 2 * held.len()).await;
        assert_eq!(told, events(&gateways.each[1], 2 * held.len()).await);
        for (at, event) in told.iter().enumerate() {
            assert_eq!(event.cursor, Cursor(at as u64 + 1));
        }
        let health = gateways.each[1].health().await;
        assert_eq!(health.counts.leases, 0);
    });
}

/// What one gateway did, the other shows at once to whoever asks, and soon to whoever listens.
#[test]
fn a_gateway_sees_what_another_did() {
    run(async {
        let gateways = Gateways::start(2).await;
        let [one, two] = &gateways.each[..] else {
            panic!("two gateways");
        };
        let mut listening = two.events(Cursor(0));
        let grant = take(one, "ann", "one", 60_000).await;
        let shown = view(two, "one").await;
        assert_eq!(shown.holders[0].token, grant.token);
        let event = listening.next().await.expect("a stream without end");
        assert_eq!(event.expect("an event").cursor, Cursor(1));

        let edit = edit("a", Some("{}"), Precondition::Absent);
        let mut watching = two.watch();
        one.write(vec![edit]).await.expect("an edit");
        while watching.next().await != Some(1) {}
        assert!(two.get(COLLECTION, "a").await.expect("read").is_some());
    });
}

#[test]
fn changed_and_deleted_documents_are_followed() {
    run(async {
        let gateways = Gateways::start(2).await;
        let [one, two] = &gateways.each[..] else {
            panic!("two gateways");
        };
        sharing::changes_are_followed(&**one, &**two, async |number| gateways.open(number).await)
            .await;
    });
}

#[test]
fn a_cap_holds_over_gateways() {
    run(async {
        let gateways = Gateways::start(2).await;
        let each: Vec<_> = gateways.each.iter().map(|gateway| &**gateway).collect();
        sharing::a_cap_holds_over_gateways(&each).await;
    });
}

#[test]
fn a_counter_holds_over_gateways() {
    run(async {
        let gateways = Gateways::start(2).await;
        let each: Vec<_> = gateways.each.iter().map(|gateway| &**gateway).collect();
        sharing::a_counter_holds_over_gateways(&each).await;
    });
}

/// Events stay until the slower gateway's ledger has them, too.
#[test]
fn events_are_kept_for_the_slowest() {
    run(async {
        let gateways = Gateways::start(2).await;
        for n in 0..10 {
            take(&gateways.each[0], "ann", &format!("l-{n}"), 60_000).await;
        }
        gateways.each[0]
            .trim(leasehold_conformance::head(9))
            .await
            .expect("a trim");
        assert_eq!(gateways.each[0].health().await.trimmed, Cursor(0));
        assert_eq!(events(&gateways.each[1], 10).await.len(), 10);
        gateways.each[1]
            .trim(leasehold_conformance::head(4))
            .await
            .expect("a trim");
        assert_eq!(gateways.each[1].health().await.trimmed, Cursor(4));
        until("the other gateway hears of it", || async {
            gateways.each[0].health().await.trimmed == Cursor(4)
        })
        .await;
    });
}

/// Moved records are in their rows, and what the log no longer needs to keep is gone from it.
#[test]
fn the_log_is_folded_into_rows() {
    run(async {
        let gateways = Gateways::start(1).await;
        let (gateway, server) = (&gateways.each[0], &gateways.server);
        for n in 0..5 {
            take(gateway, "ann", &format!("l-{n}"), 60_000).await;
        }
        gateway
            .trim(leasehold_conformance::head(5))
            .await
            .expect("a trim");
        let database = &gateways.database;
        let rows = "SELECT count(*) FROM leasehold.locks";
        until("the records are in their rows", || async {
            server.ask(database, rows).await == ["5"]
        })
        .await;
        // The last fold is kept for gateways that follow; the one before goes with the next.
        take(gateway, "ann", "more", 60_000).await;
        let log = "SELECT count(*) FROM leasehold.log";
        until("the log is short", || async {
            server.ask(database, log).await == ["1"]
        })
        .await;
    });
}

/// The database's clock is stepped to and fro while two gateways write in turns: a lease neither
/// ends before its time, nor long after.
#[test]
fn steps_of_the_database_s_clock_end_no_lease_early() {
    run(async {
        let gateways = Gateways::start(2).await;
        let (server, database) = (&gateways.server, &gateways.database);
        // The gateways' clock is moved by hand, and so is the database's.
        let pretend = "CREATE TABLE pretended (us bigint); INSERT INTO pretended VALUES (0); \
            CREATE OR REPLACE FUNCTION leasehold.clock_us() RETURNS bigint LANGUAGE sql VOLATILE \
            AS $$ SELECT us FROM public.pretended $$";
        server.sql(database, pretend).await;
        let lease = take(&gateways.each[0], "ann", "long", 20_000).await;
        let (mut passed_ms, mut offset_ms) = (0_i64, 5_000_000_i64);
        for turn in 0_usize.. {
            let gateway = &gateways.each[turn % 2];
            let holders = view(gateway, "long").await.holders;
            if holders.is_empty() {
                break;
            }
            assert_eq!(holders[0].token, lease.token);
            assert!(passed_ms < 30_000, "it lasts {passed_ms} ms already");
            let other = command("bob", &format!("other-{turn}"), acquire(1_000));
            granted(ask(gateway, other).await);
            if turn % 20 == 10 {
                offset_ms += [3_600_000, -4_000_000, 90, -70][(turn / 20) % 4];
            }
            gateways.clock.advance(50);
            passed_ms += 50;
            let us = (offset_ms + passed_ms) * 1_000;
            let moved = format!("UPDATE pretended SET us = {us}");
            server.sql(database, &moved).await;
        }
        assert!(passed_ms >= 20_000, "it lasted {passed_ms} ms");
    });
}

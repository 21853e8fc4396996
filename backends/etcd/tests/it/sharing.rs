//! Several gateways on one cluster.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::future::join_all;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Documents;
use leasehold_backend_etcd::EtcdBackend;
use leasehold_backend_etcd::EtcdConfig;
use leasehold_conformance::governing::COLLECTION;
use leasehold_conformance::governing::edit;
use leasehold_conformance::sharing;
use leasehold_domain::Action;
use leasehold_domain::Change;
use leasehold_domain::Cursor;
use leasehold_domain::Edit;
use leasehold_domain::Event;
use leasehold_domain::Expectation;
use leasehold_domain::ManualClock;
use leasehold_domain::Outcome;
use leasehold_domain::Precondition;
use leasehold_domain::Seat;
use leasehold_domain::SeatState;
use leasehold_domain::Usage;
use leasehold_test_servers::Shared;
use leasehold_test_servers::until;

use crate::asking::acquire;
use crate::asking::ask;
use crate::asking::command;
use crate::asking::take;
use crate::asking::view;
use crate::server::Etcd;
use crate::server::config;

static CLUSTER: Shared<Etcd> = Shared::new();

/// A store, and gateways with ledgers of their own, on one clock.
pub(crate) struct Gateways {
    _cluster: Arc<Etcd>,
    config: EtcdConfig,
    clock: Arc<ManualClock>,
    pub(crate) each: Vec<Arc<EtcdBackend>>,
}

impl Gateways {
    pub(crate) async fn start(count: usize) -> Self {
        let cluster = CLUSTER.get(|| Etcd::start(1)).await;
        let config = config(&cluster);
        let clock = Arc::new(ManualClock::default());
        let mut each = Vec::new();
        for number in 0..count {
            each.push(open(&config, number, clock.clone()).await);
        }
        Self {
            _cluster: cluster,
            config,
            clock,
            each,
        }
    }
}

async fn open(config: &EtcdConfig, number: usize, clock: Arc<ManualClock>) -> Arc<EtcdBackend> {
    let config = EtcdConfig {
        consumer: format!("gateway-{number}"),
        ..config.clone()
    };
    let opened = EtcdBackend::open(config, clock).await;
    opened.expect("the store can be opened")
}

impl Gateways {
    /// Opens the store once more, as one of the gateways.
    pub(crate) async fn open(&self, number: usize) -> Arc<EtcdBackend> {
        open(&self.config, number, self.clock.clone()).await
    }

    /// Lets time pass, in steps that count as time and not as a freeze.
    pub(crate) async fn pass(&self, ms: u64) {
        for _ in 0..ms / 200 {
            self.clock.advance(200);
            for gateway in &self.each {
                view(gateway, "nothing").await;
            }
        }
    }
}

fn run(case: impl Future<Output = ()>) {
    leasehold_conformance::run(case);
}

async fn events(gateway: &EtcdBackend, count: usize) -> Vec<Arc<Event>> {
    let stream = gateway.events(Cursor(0)).take(count);
    stream.map(|event| event.expect("an event")).collect().await
}

/// Twelve clients on three gateways want three locks: nobody holds what another does, tokens of a
/// lock grow, nobody is turned away, and all gateways tell the same story.
#[test]
fn gateways_are_equal() {
    run(async {
        let gateways = Gateways::start(3).await;
        let clients = (0..12).map(|client: usize| {
            let gateway = &gateways.each[client % 3];
            async move {
                let (who, mut held) = (format!("client-{client}"), Vec::new());
                for round in 0..30 {
                    let name = format!("l-{}", (client + round) % 3);
                    let asked = ask(gateway, command(&who, &name, acquire(60_000))).await;
                    if let Outcome::Granted(grant) = asked.expect("an answer") {
                        held.push((name.clone(), grant.token));
                        let lease_id = grant.lease_id;
                        let give = command(&who, &name, Action::Release { lease_id });
                        let given = ask(gateway, give).await.expect("an answer");
                        assert_eq!(given, Outcome::Released);
                    }
                }
                held
            }
        });
        let held: Vec<_> = join_all(clients).await.into_iter().flatten().collect();
        let tokens: BTreeSet<_> = held.iter().collect();
        assert_eq!(tokens.len(), held.len(), "a token was given twice");
        let told = events(&gateways.each[0], 2 * held.len()).await;
        for gateway in &gateways.each[1..] {
            assert_eq!(told, events(gateway, 2 * held.len()).await);
        }
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

        // The store's feature level is a document, too.
        let before = one.revision().await.expect("a revision");
        let mut watching = two.watch();
        let absent = Precondition::Absent;
        one.write(vec![edit("a", Some("{}"), absent)])
            .await
            .expect("an edit");
        while watching.next().await != Some(before + 1) {}
        assert!(two.get(COLLECTION, "a").await.expect("read").is_some());
        // Both write documents: revisions are those of one store.
        for (at, gateway) in [two, one, two].into_iter().enumerate() {
            gateway
                .write(vec![edit(&format!("b-{at}"), Some("{}"), absent)])
                .await
                .expect("an edit");
        }
        let all = Documents::list(&**one, COLLECTION).await.expect("a list");
        let revisions: Vec<u64> = all.iter().map(|document| document.revision).collect();
        assert_eq!(revisions, [1, 2, 3, 4].map(|n| before + n));
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

/// A permit that counts on what somebody holds is good for one of two gateways at a time.
#[test]
fn a_quota_holds_over_gateways() {
    run(async {
        let gateways = Gateways::start(2).await;
        for round in 0..20 {
            let asked = (0..2).map(|at: usize| {
                let who = format!("ann-{round}");
                let mut take = command(&who, &format!("l-{round}-{at}"), acquire(60_000));
                take.expect = Some(Expectation {
                    revision: None,
                    usage: Some(Usage::default()),
                    ..Expectation::default()
                });
                let gateway = &gateways.each[at];
                async move { ask(gateway, take).await.expect("an answer") }
            });
            let outcomes = join_all(asked).await;
            let granted = outcomes.iter().filter(|o| matches!(o, Outcome::Granted(_)));
            assert_eq!(granted.count(), 1, "{outcomes:?}");
            assert!(outcomes.contains(&Outcome::Stale), "{outcomes:?}");
        }
    });
}

#[test]
fn a_cap_holds_over_gateways() {
    run(async {
        let gateways = Gateways::start(3).await;
        let each: Vec<_> = gateways.each.iter().map(|gateway| &**gateway).collect();
        sharing::a_cap_holds_over_gateways(&each).await;
    });
}

#[test]
fn a_counter_holds_over_gateways() {
    run(async {
        let gateways = Gateways::start(3).await;
        let each: Vec<_> = gateways.each.iter().map(|gateway| &**gateway).collect();
        sharing::a_counter_holds_over_gateways(&each).await;
    });
}

/// Others write all the time: whoever only reads, or is told that a lock is held, is answered all the
/// same.
#[test]
fn a_reader_is_answered_while_others_write() {
    run(async {
        let gateways = Gateways::start(3).await;
        let reader = &gateways.each[0];
        take(reader, "ann", "held", 600_000).await;
        let done = AtomicBool::new(false);
        let writers = (0..16).map(|client: usize| {
            let (gateway, done) = (&gateways.each[1 + client % 2], &done);
            async move {
                let (who, name) = (format!("client-{client}"), format!("own-{client}"));
                while !done.load(Ordering::Relaxed) {
                    let lease_id = take(gateway, &who, &name, 60_000).await.lease_id;
                    let give = command(&who, &name, Action::Release { lease_id });
                    ask(gateway, give).await.expect("an answer");
                }
            }
        });
        let reading = async {
            for _ in 0..300 {
                assert_eq!(view(reader, "held").await.holders.len(), 1);
                let refused = ask(reader, command("bob", "held", acquire(60_000))).await;
                let refused = refused.expect("an answer");
                assert!(matches!(refused, Outcome::Held { .. }), "{refused:?}");
            }
            done.store(true, Ordering::Relaxed);
        };
        futures_util::future::join(join_all(writers), reading).await;
    });
}

/// A lock is forgotten through one gateway, and taken again through the other: tokens go on.
#[test]
fn tokens_grow_over_gateways_and_deletion() {
    run(async {
        let gateways = Gateways::start(2).await;
        let mut last = 0;
        for round in 0..3 {
            let (one, other) = (&gateways.each[round % 2], &gateways.each[(round + 1) % 2]);
            let grant = take(one, "ann", "one", 60_000).await;
            assert!(grant.token.0 > last, "{} after {last}", grant.token);
            last = grant.token.0;
            let lease_id = grant.lease_id;
            let give = command("ann", "one", Action::Release { lease_id });
            ask(one, give).await.expect("an answer");
            // Longer than a record is remembered, in steps that count as time and not as a freeze.
            for _ in 0..350 {
                gateways.clock.advance(200);
                view(one, "one").await;
            }
            until("the lock is forgotten", || async {
                view(other, "one").await.revision == 0
            })
            .await;
        }
    });
}

/// Two gateways write a record in turns while a lease runs: it neither ends early, nor late by
/// more than the time between each write and its sight at the other gateway. Here no time passes
/// between the two, so only what is rounded comes on top, for each turn.
#[test]
fn turns_of_gateways_do_not_lengthen_a_lease() {
    run(async {
        let gateways = Gateways::start(2).await;
        take(&gateways.each[0], "ann", "long", 20_000).await;
        let mut passed_ms = 0;
        for turn in 0_usize.. {
            let gateway = &gateways.each[turn % 2];
            if view(gateway, "long").await.holders.is_empty() {
                break;
            }
            assert!(passed_ms < 21_000, "it lasts {passed_ms} ms already");
            // Enters the queue, and leaves it: two writes of the record.
            let wait = crate::asking::waiting(60_000, 60_000);
            let Action::Acquire { lease_id, .. } = wait else {
                panic!("an acquire");
            };
            let who = format!("bob-{turn}");
            ask(gateway, command(&who, "long", wait))
                .await
                .expect("an answer");
            let leave = Action::CancelWait { lease_id };
            ask(gateway, command(&who, "long", leave))
                .await
                .expect("an answer");
            // The other sees it before time goes on.
            view(&gateways.each[(turn + 1) % 2], "long").await;
            gateways.clock.advance(50);
            passed_ms += 50;
        }
        assert!(passed_ms >= 20_000, "it lasted {passed_ms} ms");
    });
}

/// The gateways' clocks show different times, and one runs on while the other stands still: a
/// lease lasts its time on the clock of whoever ends it, from when that gateway saw it.
#[test]
fn clocks_that_differ_end_no_lease_early() {
    run(async {
        let cluster = CLUSTER.get(|| Etcd::start(1)).await;
        let config = config(&cluster);
        let (slow, fast) = (
            Arc::new(ManualClock::default()),
            Arc::new(ManualClock::default()),
        );
        fast.advance(3_600_000);
        let one = EtcdBackend::open(config.clone(), slow)
            .await
            .expect("it opens");
        let other = EtcdBackend::open(config, fast.clone())
            .await
            .expect("it opens");
        for _ in 0..600 {
            fast.advance(100);
            view(&other, "long").await;
        }
        take(&one, "ann", "long", 10_000).await;
        let mut passed_ms = 0_u64;
        while passed_ms < 10_000 {
            let held = view(&other, "long").await.holders;
            assert_eq!(held.len(), 1, "it ended after {passed_ms} ms");
            fast.advance(50);
            passed_ms += 50;
        }
        // It is the other's to end first, whose clock stands still. Arrival and end are rounded up.
        fast.advance(102);
        until("the lease is over", || async {
            view(&one, "long").await.holders.is_empty()
        })
        .await;
    });
}

/// A namespace that has left is served by no gateway, however late it hears of it.
#[test]
fn a_seat_that_is_closed_at_one_gateway_is_closed_at_all() {
    run(async {
        let gateways = Gateways::start(2).await;
        let [one, two] = &gateways.each[..] else {
            panic!("two gateways");
        };
        for era in 1..60 {
            for state in [SeatState::Moved, SeatState::Open] {
                one.write(vec![seat(era, state)])
                    .await
                    .expect("it is written");
                let asked = command("ann", &format!("lock-{era}"), acquire(60_000));
                let outcomes = two.execute(Batch::one(asked)).await.expect("an answer");
                let moved = outcomes == [Outcome::Moved];
                assert_eq!(moved, state == SeatState::Moved, "{outcomes:?}");
            }
        }
    });
}

fn seat(era: u64, state: SeatState) -> Edit {
    let seat = Seat {
        era,
        state,
        token_offset: 0,
    };
    Edit {
        collection: Seat::COLLECTION.into(),
        id: "demo".into(),
        body: Some(Arc::from(seat.to_string().into_bytes())),
        precondition: Precondition::Any,
        change: Some(Change {
            request_id: format!("{seat}").replace(' ', "-").parse().expect("an id"),
            principal: command("ann", "x", Action::Tick)
                .cause
                .expect("a cause")
                .principal
                .clone(),
            collection: Seat::COLLECTION.into(),
            id: "demo".into(),
            digest: None,
            summary: "moved".into(),
        }),
    }
}

//! Members that are killed, a history that is gone, a full disk, a connection that is cut.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Documents;
use leasehold_backend_api::Effect;
use leasehold_backend_api::Freshness;
use leasehold_backend_etcd::EtcdBackend;
use leasehold_backend_etcd::EtcdConfig;
use leasehold_backend_etcd::OpenError;
use leasehold_domain::Action;
use leasehold_domain::Clock;
use leasehold_domain::Command;
use leasehold_domain::Cursor;
use leasehold_domain::Grant;
use leasehold_domain::Outcome;
use leasehold_domain::SystemClock;
use leasehold_test_servers::until;

use crate::asking::acquire;
use crate::asking::ask;
use crate::asking::command;
use crate::asking::granted;
use crate::asking::insist;
use crate::asking::lock;
use crate::asking::take;
use crate::asking::view;
use crate::forwarder::Forwarder;
use crate::server::Etcd;
use crate::server::config;

fn run(case: impl Future<Output = ()>) {
    leasehold_conformance::run(case);
}

async fn open(config: EtcdConfig) -> Result<Arc<EtcdBackend>, OpenError> {
    EtcdBackend::open(config, Arc::new(SystemClock::new())).await
}

/// What clients asked, and the answers that they got.
type Asked = Vec<(Command, Option<Grant>)>;

/// Eight clients that take locks until one is not answered.
fn clients(store: &Arc<EtcdBackend>) -> Vec<tokio::task::JoinHandle<Asked>> {
    let each = (0..8).map(|client| {
        let store = store.clone();
        tokio::spawn(async move {
            let (who, mut asked) = (format!("client-{client}"), Vec::new());
            for n in 0..2_000 {
                let take = command(&who, &format!("c-{client}-{n}"), acquire(600_000));
                match ask(&store, take.clone()).await {
                    Ok(outcome) => asked.push((take, Some(granted(Ok(outcome))))),
                    Err(failure) => {
                        assert!(failure.is_retryable(), "{failure}");
                        asked.push((take, None));
                        break;
                    }
                }
            }
            asked
        })
    });
    each.collect()
}

/// All that was answered is there, and what was not gets an answer when it is asked again.
async fn nothing_is_lost(store: &EtcdBackend, clients: Vec<tokio::task::JoinHandle<Asked>>) {
    for client in clients {
        for (take, answered) in client.await.expect("a client") {
            let Outcome::Granted(again) = insist(store, &take).await else {
                panic!("{take:?} is not granted");
            };
            if let Some(grant) = answered {
                assert!(again.repeated, "{take:?} was forgotten");
                assert_eq!((again.lease_id, again.token), (grant.lease_id, grant.token));
            }
        }
    }
    let newest = store.health().await.newest;
    let leases = store.health().await.counts.leases;
    assert_eq!(newest.0, leases, "each grant is told of once");
    let told = store
        .events(Cursor(0))
        .take(usize::try_from(newest.0).expect("few"));
    let told: Vec<_> = told
        .map(|event| event.expect("an event").cursor.0)
        .collect()
        .await;
    assert!(told.into_iter().eq(1..=newest.0));
}

/// The one member is killed while clients work, and comes back.
#[test]
fn a_killed_member_loses_nothing_that_was_answered() {
    run(async {
        let cluster = Etcd::start(1).await;
        let store = open(config(&cluster)).await.expect("it opens");
        let clients = clients(&store);
        until("there is work to lose", || async {
            store.health().await.counts.leases >= 200
        })
        .await;
        cluster.kill(0);
        until("the store notices", || async {
            !store.health().await.ready
        })
        .await;
        let refused = ask(&store, command("ann", "x", acquire(60_000))).await;
        assert_eq!(refused.unwrap_err().effect, Effect::None);
        // What is known is still shown to who takes it as it is.
        let freshness = Freshness::Stale {
            max_age_ms: u64::MAX,
        };
        let stale = store.read(&lock("c-0-0"), freshness).await.expect("a view");
        assert_eq!(stale.holders.len(), 1);
        cluster.begin(0);
        nothing_is_lost(&store, clients).await;
        assert!(store.health().await.ready);
    });
}

/// The leader of three is killed while clients work: the others go on.
#[test]
fn a_killed_leader_loses_nothing_that_was_answered() {
    run(async {
        let cluster = Etcd::start(3).await;
        let mut config = config(&cluster);
        // The gateway's own member goes, too.
        let leader = cluster.leader().await;
        config.endpoints.rotate_left(leader);
        let store = open(config).await.expect("it opens");
        let clients = clients(&store);
        until("there is work to lose", || async {
            store.health().await.counts.leases >= 200
        })
        .await;
        cluster.kill(leader);
        nothing_is_lost(&store, clients).await;
        cluster.begin(leader);
        let after = insist(&store, &command("ann", "after", acquire(60_000))).await;
        granted(Ok(after));
    });
}

/// The member that a gateway speaks to stands still, with its connections open: the gateway leaves
/// it for another when its deadline is over.
#[test]
fn a_member_that_stands_still_is_left() {
    run(async {
        let cluster = Etcd::start(3).await;
        let config = EtcdConfig {
            transaction_deadline: Duration::from_secs(1),
            ..config(&cluster)
        };
        let store = open(config).await.expect("it opens");
        let kept = command("ann", "kept", acquire(600_000));
        let before = granted(ask(&store, kept.clone()).await);
        let through = store.health().await.detail;
        let port = |number| format!(":{}", cluster.port(number));
        let member = (0..3).find(|number| through.ends_with(&port(*number)));
        let member = member.expect("it says through which");
        cluster.freeze(member);
        let again = granted(Ok(insist(&store, &kept).await));
        assert_eq!(
            (again.lease_id, again.token),
            (before.lease_id, before.token)
        );
        assert_ne!(store.health().await.detail, through);
    });
}

/// A gateway was away for longer than etcd keeps its history: it reads everything anew, and its
/// streams of events have no gap.
#[test]
fn a_compacted_history_is_no_gap() {
    run(async {
        let cluster = Etcd::start(1).await;
        let address = Forwarder::start(cluster.port(0)).await;
        let config = EtcdConfig {
            consumer: "there".to_owned(),
            ..config(&cluster)
        };
        let there = open(config.clone()).await.expect("it opens");
        let away = EtcdConfig {
            endpoints: vec![address.url.clone()],
            consumer: "away".to_owned(),
            ..config
        };
        let away = open(away).await.expect("it opens");
        let mut listening = away.events(Cursor(0));
        take(&there, "ann", "one", 600_000).await;
        listening.next().await.expect("a stream").expect("an event");
        address.open(false);
        until("it is away", || async { !away.health().await.ready }).await;
        for n in 0..50 {
            take(&there, "ann", &format!("l-{n}"), 600_000).await;
        }
        let status = cluster.control(&["endpoint", "status", "--write-out=fields"]);
        let revision = status
            .lines()
            .find_map(|line| line.strip_prefix("\"Revision\" : "));
        cluster.control(&["compact", revision.expect("a revision")]);
        address.open(true);
        for cursor in 2..=51 {
            let event = listening.next().await.expect("a stream").expect("an event");
            assert_eq!(event.cursor, Cursor(cursor));
        }
        assert_eq!(view(&away, "l-49").await.holders.len(), 1);
    });
}

/// A store of the format before is lifted to this one, and one that a newer build has made is left
/// alone.
#[test]
fn formats_go_forward() {
    run(async {
        let cluster = Etcd::start(1).await;
        let config = config(&cluster);
        let format = format!("{}format", config.prefix);
        let store = open(config.clone()).await.expect("it opens");
        take(&store, "ann", "one", 600_000).await;
        store.close().await;
        cluster.control(&["put", &format, "1"]);
        let store = open(config.clone()).await.expect("it opens");
        assert_eq!(view(&store, "one").await.holders.len(), 1);
        let told = cluster.control(&["get", &format, "--print-value-only"]);
        assert_eq!(told.trim(), "2");
        cluster.control(&["put", &format, "4"]);
        let refused = open(config).await.expect_err("it is newer");
        assert!(refused.to_string().contains("format 4"), "{refused}");
    });
}

/// etcd keeps every version of every key until it is told to forget: a gateway tells it.
#[test]
fn a_gateway_lets_the_history_go() {
    run(async {
        let cluster = Etcd::start(1).await;
        let config = EtcdConfig {
            compact_every: Some(Duration::from_millis(100)),
            ..config(&cluster)
        };
        let store = open(config).await.expect("it opens");
        take(&store, "ann", "one", 600_000).await;
        until("the first revision is gone", || async {
            let first = cluster.tool(&["get", "nothing", "--rev=2"]).output();
            let told = first.expect("etcdctl runs").stderr;
            String::from_utf8_lossy(&told).contains("compacted")
        })
        .await;
        assert_eq!(view(&store, "one").await.holders.len(), 1);
        assert!(store.health().await.ready);
    });
}

/// Also before its time, if much is written: else etcd would be full by then.
#[test]
fn a_history_that_grows_quickly_does_not_fill_the_store() {
    run(async {
        let quota = "--quota-backend-bytes=33554432".to_owned();
        let cluster = Etcd::start_with(1, vec![quota]).await;
        let config = EtcdConfig {
            compact_every: Some(Duration::from_secs(3_600)),
            compact_after_bytes: 2 * 1_024 * 1_024,
            ..config(&cluster)
        };
        let store = open(config).await.expect("it opens");
        let mut written = 0;
        while written < 3 * 33_554_432 {
            let held = take_valued(&store, 50, 4_096).await;
            written += 50 * 4_096;
            let release = |(n, grant): (usize, Grant)| {
                let lease_id = grant.lease_id;
                command("ann", &format!("l-{n}"), Action::Release { lease_id })
            };
            let release = held.into_iter().enumerate().map(release);
            store.execute(batch(release)).await.expect("an answer");
            let newest = store.health().await.newest;
            store
                .trim(leasehold_conformance::head(newest.0))
                .await
                .expect("events are not kept");
        }
    });
}

/// Takes locks, each with a value of so many bytes.
async fn take_valued(store: &EtcdBackend, locks: usize, bytes: usize) -> Vec<Grant> {
    let take = |n| {
        let mut take = command("ann", &format!("l-{n}"), acquire(60_000));
        if let Some(cause) = take.cause.as_mut().map(Arc::make_mut) {
            cause.request.value = Some("v".repeat(bytes).into());
        }
        take
    };
    let taken = store.execute(batch((0..locks).map(take))).await;
    let taken = taken.expect("an answer").into_iter();
    taken.map(|outcome| granted(Ok(outcome))).collect()
}

fn batch(commands: impl Iterator<Item = Command>) -> Batch {
    Batch {
        commands: commands.collect(),
        ..Batch::default()
    }
}

/// etcd has no space: nothing is granted, and the refusal says that nothing has happened.
#[test]
fn a_full_member_refuses_and_says_so() {
    run(async {
        let quota = "--quota-backend-bytes=16777216".to_owned();
        let cluster = Etcd::start_with(1, vec![quota]).await;
        let store = open(config(&cluster)).await.expect("it opens");
        let mut failure = None;
        for n in 0_u8..64 {
            let blob: Arc<[u8]> = vec![n; 1_000_000].into();
            if let Err(refused) = store.put_blob(blob).await {
                failure = Some(refused);
                break;
            }
        }
        let failure = failure.expect("it gets full");
        assert!(
            failure.is_retryable() && failure.effect == Effect::None,
            "{failure}"
        );
        let refused = ask(&store, command("ann", "one", acquire(60_000))).await;
        let failure = refused.expect_err("it is full");
        assert!(
            failure.is_retryable() && failure.effect == Effect::None,
            "{failure}"
        );
    });
}

/// Two gateways write one record in turns, on the machine's own clock, while a lease runs. Each
/// turn may lengthen it by what passes between a write and its sight at the other gateway, and by
/// no more.
#[test]
#[expect(clippy::print_stderr, reason = "what was measured")]
fn turns_of_gateways_lengthen_a_lease_by_their_sight_at_most() {
    run(async {
        let cluster = Etcd::start(1).await;
        let config = config(&cluster);
        let clock = Arc::new(SystemClock::new());
        let mut gateways = Vec::new();
        for _ in 0..2 {
            let opened = EtcdBackend::open(config.clone(), clock.clone()).await;
            gateways.push(opened.expect("it opens"));
        }
        let ttl = Duration::from_secs(3);
        let begin = clock.monotonic();
        take(&gateways[0], "ann", "long", 3_000).await;
        let (mut sights, mut turns) = (clock.monotonic() - begin, 0_usize);
        let held = |view: &leasehold_domain::LockView| {
            view.holders
                .iter()
                .any(|h| h.owner.subject.to_string() == "ann")
        };
        loop {
            turns += 1;
            let sent = clock.monotonic();
            let wait = crate::asking::waiting(60_000, 60_000);
            let who = format!("bob-{turns}");
            let asked = ask(&gateways[turns % 2], command(&who, "long", wait)).await;
            asked.expect("an answer");
            let other = &gateways[(turns + 1) % 2];
            let now = view(other, "long").await;
            sights += clock.monotonic() - sent;
            if !held(&now) {
                break;
            }
            assert!(clock.monotonic() - begin < Duration::from_secs(60));
        }
        let lasted = clock.monotonic() - begin;
        eprintln!("a lease of {ttl:?} lasted {lasted:?}, written in {turns} turns ({sights:?})");
        assert!(lasted >= ttl, "it lasted {lasted:?}");
        // The reaper's patience and its naps come on top.
        let late = Duration::from_secs(5);
        let rounded = Duration::from_millis(2) * u32::try_from(turns).expect("few turns");
        assert!(
            lasted <= ttl + sights + rounded + late,
            "it lasted {lasted:?}"
        );
    });
}

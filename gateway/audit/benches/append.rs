//! CPU per event of an append, whole process, threads included: `cargo bench -p leasehold-audit`.
//!
//! `LEDGER_EVENTS=2000000` fills the ledger with so many events before it is measured (20,000 if
//! not set). Criterion shows the time; the CPU is printed beside it, from /proc/self/stat.

use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use criterion::Throughput;
use leasehold_audit::LedgerOptions;
use leasehold_audit::SqliteLedger;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerQuery;
use leasehold_domain as domain;
use leasehold_domain::Clock;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::FencingToken;
use leasehold_domain::LeaseId;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let fill = setting("LEDGER_EVENTS").unwrap_or(20_000);
    let mut criterion = Criterion::default()
        .configure_from_args()
        .sample_size(10)
        .measurement_time(Duration::from_secs(3));
    for already in [0, fill] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.sqlite");
        let ledger = SqliteLedger::open(&path, LedgerOptions::default()).expect("a ledger");
        append(&runtime, &ledger, already, 512);
        for batch in [64, 512] {
            report_cpu(&runtime, &ledger, already, batch);
            measure(&mut criterion, &runtime, &ledger, already, batch);
        }
        let mut group = criterion.benchmark_group("page");
        let query = LedgerQuery {
            subject: Some("spiffe://corp/payments/worker-17".to_owned()),
            descending: true,
            limit: 100,
            ..LedgerQuery::default()
        };
        group.bench_function(format!("100 by subject, {already} in"), |bencher| {
            bencher.iter(|| {
                runtime
                    .block_on(ledger.query(query.clone()))
                    .expect("a page")
            });
        });
        group.finish();
    }
    criterion.final_summary();
}

fn measure(
    criterion: &mut Criterion,
    runtime: &tokio::runtime::Runtime,
    ledger: &SqliteLedger,
    already: u64,
    batch: u64,
) {
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Elements(batch));
    group.bench_function(format!("{batch} at {already}"), |bencher| {
        bencher.iter_batched(
            || events(ledger.head().cursor.0, batch),
            |events| runtime.block_on(ledger.append(events)).expect("an append"),
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Appends 131,072 events (two segments are closed on the way), made beforehand in parts, and
/// prints what that cost.
#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn report_cpu(runtime: &tokio::runtime::Runtime, ledger: &SqliteLedger, already: u64, batch: u64) {
    let clock = domain::SystemClock::new();
    let (mut cpu, mut wall, mut count) = (0.0, Duration::ZERO, 0);
    while count < 131_072 {
        let mut part = events(ledger.head().cursor.0, 16_384);
        let (cpu_before, before) = (cpu_seconds(), clock.monotonic());
        while !part.is_empty() {
            let rest = part.split_off(part.len().min(usize::try_from(batch).unwrap_or(1)));
            count += part.len();
            runtime.block_on(ledger.append(part)).expect("an append");
            part = rest;
        }
        cpu += cpu_seconds() - cpu_before;
        wall += clock.monotonic() - before;
    }
    println!(
        "{already} in, batch {batch}: {:.2} us CPU/event, {:.0} events/s, open index {} KiB",
        cpu * 1e6 / count as f64,
        count as f64 / wall.as_secs_f64(),
        ledger.index_bytes() / 1024,
    );
}

fn append(runtime: &tokio::runtime::Runtime, ledger: &SqliteLedger, count: u64, batch: u64) {
    while ledger.head().cursor.0 < count {
        let part = batch.min(count - ledger.head().cursor.0);
        runtime
            .block_on(ledger.append(events(ledger.head().cursor.0, part)))
            .expect("an append");
    }
}

/// User and system time of the process, in steps of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .flat_map(str::parse::<u64>)
        .sum();
    ticks as f64 / 100.0
}

#[expect(clippy::disallowed_methods, reason = "a benchmark's setting")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Acquires and releases in turn, judged by five policies, of 2,000 locks, 1,500 subjects and 30
/// teams.
fn events(after: u64, count: u64) -> Vec<Arc<Event>> {
    (after + 1..=after + count)
        .map(|cursor| Arc::new(event(cursor)))
        .collect()
}

fn event(cursor: u64) -> Event {
    let cycle = cursor.div_ceil(2);
    let mixed = cycle.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let lock: domain::LockRef = format!("ns-{}/ledger/close-{}", mixed % 40, mixed % 2_000)
        .parse()
        .expect("a lock");
    let subject: domain::Subject = format!("spiffe://corp/payments/worker-{}", mixed % 1_500)
        .parse()
        .expect("a subject");
    let team: domain::TeamName = format!("team-{}", mixed % 30).parse().expect("a team");
    let owner = owner(subject.clone(), team.clone());
    let principal = principal(subject, team);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&cycle.to_le_bytes());
    let handle = LeaseId::from_bytes(bytes).handle();
    let acquire = cursor % 2 == 1;
    let operation = if acquire {
        domain::Operation::Acquire
    } else {
        domain::Operation::Release
    };
    let mut request = domain::Request::new(operation, lock.clone());
    request.ttl_ms = acquire.then_some(30_000);
    request.mode = acquire.then_some(domain::Mode::Exclusive);
    let request_id: domain::RequestId = format!("req-{cycle:016x}").parse().expect("an id");
    let wall = WallMillis(1_790_000_000_000 + cursor / 10);
    let cause = Arc::new(domain::Cause {
        request_id: request_id.clone(),
        received: wall,
        principal: Arc::new(principal),
        request,
        decision: acquire.then(|| Arc::new(decision(cycle, wall))),
    });
    let (mode, token) = (domain::Mode::Exclusive, FencingToken(cycle));
    let transition = if acquire {
        Transition::Granted {
            handle,
            owner,
            mode,
            token,
            ttl_ms: 30_000,
            waited_ms: None,
            request_id,
        }
    } else {
        Transition::Ended {
            handle,
            owner,
            mode,
            token,
            cause: domain::EndCause::Released,
            since: wall,
            held_ms: 12,
            late_ms: 0,
            renewals: domain::Renewals::default(),
        }
    };
    let kind = EventKind::Lock {
        lock,
        cause: Some(cause),
        transitions: vec![transition],
    };
    Event {
        cursor: Cursor(cursor),
        now: domain::Millis(cursor),
        wall,
        kind,
    }
}

fn principal(subject: domain::Subject, team: domain::TeamName) -> domain::Principal {
    domain::Principal {
        subject,
        team: Some(team),
        roles: [].into_iter().collect(),
        claims: [].into(),
    }
}

fn owner(subject: domain::Subject, team: domain::TeamName) -> domain::Owner {
    domain::Owner {
        subject,
        team: Some(team),
        instance: Some("pod-7f9c".into()),
        labels: [("job".into(), "close".into())].into(),
        value: None,
        reason: None,
    }
}

fn decision(cycle: u64, wall: WallMillis) -> domain::Decision {
    let names = [
        "ownership",
        "ttl-bounds",
        "freeze-window",
        "quota",
        "separation-of-duties",
    ];
    let verdicts = names.map(|name| domain::PolicyVerdict {
        binding: format!("default-{name}").into(),
        policy: name.into(),
        version: "1.0.0".into(),
        module: domain::Digest::of(name.as_bytes()),
        config: domain::Digest::of(b"{}"),
        enforcement: domain::Enforcement::Mandatory,
        answer: domain::PolicyAnswer::Allow(domain::PolicyLimits::default()),
        fuel: 8_000 + cycle % 100,
    });
    domain::Decision {
        id: u128::from(cycle),
        effect: domain::Effect::Allow,
        facts: domain::Facts {
            now: wall,
            lock: None,
            usage: None,
        },
        verdicts: verdicts.into(),
        limits: domain::PolicyLimits::default(),
        bindings_revision: 7,
    }
}

//! What the audit ledger costs: CPU of the whole process per event, the time that a batch waits,
//! bytes on disk, and the time to open it again after a kill.
//!
//! `cargo bench -p leasehold-tests --bench ledger -- 2000000` fills the ledger with so many events
//! (two million if not said) before it measures.

mod workload;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use leasehold_audit::LedgerOptions;
use leasehold_audit::SqliteLedger;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerQuery;
use leasehold_backend_api::TreeQuestion;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use nix::sys::resource::UsageWho;
use nix::sys::resource::getrusage;
use nix::sys::time::TimeVal;
use tokio::runtime::Runtime;

/// As in the server: events are made on one thread and freed on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Events that one measurement appends: at least two segments are sealed on the way, wherever it
/// begins.
const MEASURED: u64 = 131_072;

/// Events that are made at once, outside the measured time.
const PART: u64 = 16_384;

/// What the carrier appends at most at once.
const FILL_BATCH: u64 = 1_024;

/// The argument by which the benchmark starts itself as the process that dies.
const DIE: &str = "die-with-an-open-segment";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    if let [word, path] = words.as_slice()
        && word == DIE
    {
        die_with_an_open_segment(&runtime, Path::new(path));
    }
    let already = words.iter().find_map(|word| word.parse().ok());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.sqlite");
    let mut from = 0;
    for filled in [0, already.unwrap_or(2_000_000)] {
        let ledger = open(&path);
        append(&runtime, &ledger, filled - filled.min(from), FILL_BATCH);
        for batch in [64, 256, FILL_BATCH] {
            let measured = append(&runtime, &ledger, MEASURED, batch);
            measured.report(&format!("{filled} in, batches of {batch}"));
        }
        report_page(&runtime, &ledger);
        report_proofs(&runtime, &ledger);
        from = ledger.head().cursor.0;
    }
    report_disk(folder.path(), from);
    report_restart(&path);
}

fn open(path: &Path) -> SqliteLedger {
    SqliteLedger::open(path, LedgerOptions::default()).expect("a ledger")
}

/// What appending cost.
#[derive(Default)]
struct Measured {
    events: u64,
    /// User and system time of all threads, without making the events.
    cpu: Duration,
    /// What each batch waited.
    waits: Vec<Duration>,
    /// The most that the index of unsealed segments took.
    index_bytes: usize,
}

/// Appends so many events in batches.
fn append(runtime: &Runtime, ledger: &SqliteLedger, count: u64, batch: u64) -> Measured {
    let clock = SystemClock::new();
    let mut measured = Measured::default();
    let began = cpu(UsageWho::RUSAGE_SELF);
    let mut making = Duration::ZERO;
    while measured.events < count {
        let before = cpu(UsageWho::RUSAGE_THREAD);
        let part = PART.min(count - measured.events);
        let mut events = workload::events(ledger.head().cursor.0, part);
        making += cpu(UsageWho::RUSAGE_THREAD) - before;
        measured.events += part;
        while !events.is_empty() {
            let size = events.len().min(usize::try_from(batch).unwrap_or(1));
            let rest = events.split_off(size);
            let before = clock.monotonic();
            runtime.block_on(ledger.append(events)).expect("an append");
            measured.waits.push(clock.monotonic() - before);
            events = rest;
        }
        measured.index_bytes = measured.index_bytes.max(ledger.index_bytes());
    }
    measured.cpu = cpu(UsageWho::RUSAGE_SELF) - began - making;
    measured.waits.sort_unstable();
    measured
}

impl Measured {
    #[expect(clippy::print_stdout, reason = "a benchmark's result")]
    fn report(&self, what: &str) {
        let part = |percent: usize| {
            let at = self.waits.len() * percent / 100;
            milliseconds(self.waits[at.min(self.waits.len() - 1)])
        };
        println!(
            "{what}: {:.2} us CPU/event, {:.0} events/s; a batch waits p50 {:.2} ms, p99 {:.2} ms, \
             longest {:.2} ms; open index at most {} KiB",
            self.cpu.as_secs_f64() * 1e6 / self.events as f64,
            self.events as f64 / self.waits.iter().sum::<Duration>().as_secs_f64(),
            part(50),
            part(99),
            part(100),
            self.index_bytes / 1_024,
        );
    }
}

/// How long the newest hundred events of one subject take to find.
#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn report_page(runtime: &Runtime, ledger: &SqliteLedger) {
    let query = LedgerQuery {
        subject: Some("spiffe://corp/payments/worker-17".to_owned()),
        descending: true,
        limit: 100,
        ..LedgerQuery::default()
    };
    let clock = SystemClock::new();
    let mut times = Vec::new();
    for _ in 0..100 {
        let before = clock.monotonic();
        let page = runtime.block_on(ledger.query(query.clone()));
        assert_eq!(page.expect("a page").rows.len(), 100);
        times.push(clock.monotonic() - before);
    }
    times.sort_unstable();
    println!(
        "page of 100 by subject: p50 {:.2} ms",
        milliseconds(times[50])
    );
}

/// How long proofs take, for events all over the ledger.
#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn report_proofs(runtime: &Runtime, ledger: &SqliteLedger) {
    let size = ledger.tree().size;
    // A step that meets every part of every tile, by the golden ratio.
    let places = (1..=1_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % size);
    let inclusion = |leaf| TreeQuestion::Inclusion { leaf, size };
    let consistency = |leaf| TreeQuestion::Consistency {
        old: leaf + 1,
        size,
    };
    let clock = SystemClock::new();
    let measure = |name: &str, question: &dyn Fn(u64) -> TreeQuestion| {
        let mut times: Vec<_> = places
            .clone()
            .map(|leaf| {
                let before = clock.monotonic();
                let proof = runtime.block_on(ledger.tree_hashes(question(leaf)));
                assert!(!proof.expect("a proof").is_empty());
                clock.monotonic() - before
            })
            .collect();
        times.sort_unstable();
        let part = |percent: usize| milliseconds(times[times.len() * percent / 100]);
        println!(
            "{name} proof in {size} events: p50 {:.2} ms, p99 {:.2} ms",
            part(50),
            part(99)
        );
    };
    measure("inclusion", &inclusion);
    measure("consistency", &consistency);
}

/// The bytes of all files of a ledger that was closed.
#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn report_disk(folder: &Path, events: u64) {
    let files = std::fs::read_dir(folder).expect("the folder");
    let bytes: u64 = files
        .map(|file| file.and_then(|file| file.metadata()).expect("a file").len())
        .sum();
    println!("on disk: {:.0} bytes/event", bytes as f64 / events as f64);
}

/// How long opening takes after a process was killed with as much in the open segment, and in
/// the WAL, as there can be.
#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn report_restart(path: &Path) {
    let killed = Command::new(std::env::current_exe().expect("this program"))
        .arg(DIE)
        .arg(path)
        .status()
        .expect("a process");
    assert_eq!(killed.code(), None, "it was not killed but ended");
    let clock = SystemClock::new();
    let (cpu_before, before) = (cpu(UsageWho::RUSAGE_SELF), clock.monotonic());
    let ledger = open(path);
    println!(
        "restart after a kill with {} events in the open segment: {:.0} ms, {:.0} ms CPU",
        ledger.open_events(),
        milliseconds(clock.monotonic() - before),
        milliseconds(cpu(UsageWho::RUSAGE_SELF) - cpu_before),
    );
}

fn die_with_an_open_segment(runtime: &Runtime, path: &Path) -> ! {
    let ledger = open(path);
    until_full(runtime, &ledger);
    let full = until_full(runtime, &ledger);
    // The events are all much alike, so that this segment will have about as many.
    while ledger.open_events() as u64 + 2 * FILL_BATCH < full {
        append(runtime, &ledger, FILL_BATCH, FILL_BATCH);
    }
    std::process::abort();
}

/// Appends until the open segment is full and another begins; how many events it got here.
fn until_full(runtime: &Runtime, ledger: &SqliteLedger) -> u64 {
    let (began, mut before) = (ledger.head().cursor.0, 0);
    while ledger.open_events() >= before {
        before = ledger.open_events();
        append(runtime, ledger, FILL_BATCH, FILL_BATCH);
    }
    ledger.head().cursor.0 - began
}

fn cpu(of: UsageWho) -> Duration {
    let usage = getrusage(of).expect("the usage");
    let duration = |time: TimeVal| {
        Duration::new(
            time.tv_sec().unsigned_abs(),
            u32::try_from(time.tv_usec()).unwrap_or(0) * 1_000,
        )
    };
    duration(usage.user_time()) + duration(usage.system_time())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#![doc = include_str!("../README.md")]

mod cedar;
mod cel;
mod leasehold;
mod question;
mod rego;
mod rhai;

use std::time::Duration;

use leasehold_domain::Clock;
use leasehold_domain::SystemClock;

use crate::leasehold::Leasehold;
use crate::question::Question;
use crate::question::questions;

/// Decisions of one engine that are timed.
const TIMED: usize = 100_000;

/// As in the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let (rego, cedar) = (rego::Rego::new(), cedar::Cedar::new());
    let (cel, rhai) = (cel::Cel::new(), rhai::Rhai::new());
    println!("| engine | p50 us | p99 us | decisions a second |\n|---|---|---|---|");
    for (name, is_cached) in [
        ("leasehold, evaluated", false),
        ("leasehold, verdict cache", true),
    ] {
        let policies = Leasehold::new(is_cached);
        report(name, leasehold::asked, |asked| policies.decide(asked));
    }
    report("Rego (regorus, interpreter)", Question::clone, |question| {
        rego.decide(question)
    });
    report(
        "Rego (regorus, virtual machine)",
        Question::clone,
        |question| rego.decide_by_machine(question),
    );
    report("Cedar", Question::clone, |question| cedar.decide(question));
    report("CEL", Question::clone, |question| cel.decide(question));
    report("Rhai", Question::clone, |question| rhai.decide(question));
}

/// Checks that an engine has all answers right, and times the first.
fn report<A>(name: &str, translate: impl Fn(&Question) -> A, decide: impl Fn(&A) -> bool) {
    let questions = questions();
    for question in &questions {
        let is_allowed = decide(&translate(question));
        assert_eq!(is_allowed, question.is_allowed, "{name}: {question:?}");
    }
    let clock = SystemClock::new();
    let asked = translate(&questions[0]);
    for _ in 0..TIMED / 10 {
        decide(&asked);
    }
    let mut times: Vec<Duration> = (0..TIMED)
        .map(|_| {
            let before = clock.monotonic();
            std::hint::black_box(decide(std::hint::black_box(&asked)));
            clock.monotonic() - before
        })
        .collect();
    let whole: Duration = times.iter().sum();
    times.sort_unstable();
    let part = |percent: usize| times[TIMED * percent / 100].as_secs_f64() * 1e6;
    let rate = TIMED as f64 / whole.as_secs_f64();
    println!("| {name} | {:.2} | {:.2} | {rate:.0} |", part(50), part(99));
}

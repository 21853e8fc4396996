//! The group under simulation: a virtual clock, a network and disks that fail, and a seed that
//! repeats all of it.
//!
//! Real are openraft, the state machine, the batcher, the stamper, the read index, the reaper, and
//! the snapshots' bytes. Simulated are time, the network, and the disk: fjall has threads and files
//! of its own and cannot run on a virtual clock, so the log is kept in memory, with what was not
//! synced lost at a crash.

mod client;
mod disk;
mod history;
mod network;
mod node;
mod oracle;
mod run;
mod running;
mod runtime;

use self::run::Report;
use self::run::run;

/// Seeds that a plain `cargo test` runs.
const SEEDS: u64 = 8;

/// A number in the environment.
#[expect(
    clippy::disallowed_methods,
    reason = "a test's own switch, not configuration"
)]
fn asked(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The seeds to run: `SEED=n` repeats one, `SEEDS=n` runs so many.
fn seeds() -> std::ops::Range<u64> {
    match asked("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..asked("SEEDS").unwrap_or(SEEDS),
    }
}

fn fail(seed: u64, report: &Report) -> ! {
    let wrongs = report.wrongs.join("\n  ");
    let faults = report.faults.join("\n  ");
    panic!("SEED={seed} goes wrong:\n  {wrongs}\nfaults:\n  {faults}");
}

#[test]
#[expect(clippy::print_stdout, reason = "a long run says what it did")]
fn the_group_keeps_its_promises_whatever_fails() {
    let (mut calls, mut faults, mut leaders) = (0, 0, 0);
    let seeds = seeds();
    for seed in seeds.clone() {
        let report = run(seed);
        if !report.wrongs.is_empty() {
            fail(seed, &report);
        }
        calls += report.calls.len();
        faults += report.faults.len();
        leaders += report.leaders;
    }
    println!("{seeds:?}: {calls} calls, {faults} faults, {leaders} leaders");
    let runs = usize::try_from(seeds.end - seeds.start).unwrap();
    // One plan may happen to have few faults; several have not.
    if runs >= 5 {
        assert!(calls >= 20 * runs, "{calls} calls in {runs} runs");
        assert!(faults >= 5 * runs, "{faults} faults in {runs} runs");
        assert!(leaders > runs, "no leader ever changed");
    }
}

#[test]
fn a_seed_repeats_its_run() {
    assert_eq!(run(7), run(7));
}

/// Each bug turns the run above red. A bug is chosen by the environment, once in a process: so
/// each has a process of its own.
#[cfg(feature = "planted-bugs")]
#[test]
fn each_planted_bug_is_found() {
    use leasehold_machine::PlantedBug;
    if PlantedBug::chosen().is_some() {
        return;
    }
    for bug in PlantedBug::ALL {
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "simulation::the_group_keeps_its_promises_whatever_fails",
            ])
            .env(PlantedBug::VARIABLE, bug.name())
            .env("SEEDS", "200")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(!run.status.success(), "{} is not found", bug.name());
        assert!(said.contains("goes wrong"), "{}: {said}", bug.name());
    }
}

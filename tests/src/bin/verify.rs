//! `cargo verify`: everything that must hold before a change lands. Never writes to the tree.
#![expect(clippy::print_stderr, reason = "a command that talks to people")]

use std::process::Command;
use std::process::ExitCode;

/// One step: what it shows, and the command (after `cargo`).
const STEPS: &[(&str, &[&str])] = &[
    ("formatting", &["fmt", "--all", "--check"]),
    (
        "lints",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    ),
    (
        "documentation",
        &["doc", "--workspace", "--no-deps", "--locked"],
    ),
    (
        "policy modules",
        &[
            "run",
            "--locked",
            "--package",
            "leasehold-policy-pack",
            "--",
            "check",
        ],
    ),
    (
        "tests",
        &["test", "--workspace", "--locked", "--no-fail-fast"],
    ),
];

fn main() -> ExitCode {
    for (what, arguments) in STEPS {
        eprintln!("== {what}: cargo {}", arguments.join(" "));
        let status = Command::new(env!("CARGO"))
            .args(*arguments)
            .env("RUSTDOCFLAGS", "-D warnings")
            .status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => {
                eprintln!("== {what}: {status}");
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("== {what}: cargo cannot be run: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    eprintln!("== all of it holds");
    ExitCode::SUCCESS
}

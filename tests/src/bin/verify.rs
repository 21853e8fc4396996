//! `cargo verify`: everything that must hold before a change lands. Never writes to the tree.
#![expect(clippy::print_stderr, reason = "a command that talks to people")]

use std::process::Command;
use std::process::ExitCode;

/// One step: what it shows, and cargo's arguments.
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
        "tests",
        &["test", "--workspace", "--locked", "--no-fail-fast"],
    ),
    // Fails, and says what is missing, where there is no compiler for WebAssembly. It is a test of
    // the workspace because `cargo run` of one package would build the engine again, with less of
    // its features.
    (
        "policy modules, built again from their sources",
        &["test", "--workspace", "--locked", "--test", "modules"],
    ),
];

fn main() -> ExitCode {
    for (what, arguments) in STEPS {
        eprintln!("== {what}: cargo {}", arguments.join(" "));
        let mut cargo = Command::new(env!("CARGO"));
        match cargo
            .args(*arguments)
            .env("RUSTDOCFLAGS", "-D warnings")
            .status()
        {
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

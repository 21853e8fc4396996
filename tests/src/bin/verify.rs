//! `cargo verify`: everything that must hold before a change lands. Never writes to the tree.
#![expect(clippy::print_stderr, reason = "a command that talks to people")]

use std::process::Command;
use std::process::ExitCode;

/// One step: what it shows, the program, and its arguments.
type Step = (&'static str, Program, &'static [&'static str]);

/// What a step runs.
#[derive(Debug, Clone, Copy)]
enum Program {
    Cargo,
    /// A binary that an earlier step has built beside this one: `cargo run` would choose other
    /// features for its dependencies, and build the largest of them once more.
    Built(&'static str),
}

const STEPS: &[Step] = &[
    ("formatting", Program::Cargo, &["fmt", "--all", "--check"]),
    (
        "lints",
        Program::Cargo,
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
        Program::Cargo,
        &["doc", "--workspace", "--no-deps", "--locked"],
    ),
    (
        "build",
        Program::Cargo,
        &["build", "--workspace", "--all-targets", "--locked"],
    ),
    ("policy modules", Program::Built("pack"), &["check"]),
    (
        "tests",
        Program::Cargo,
        &["test", "--workspace", "--locked", "--no-fail-fast"],
    ),
];

fn command(program: Program) -> std::io::Result<Command> {
    match program {
        Program::Cargo => Ok(Command::new(env!("CARGO"))),
        Program::Built(name) => Ok(Command::new(std::env::current_exe()?.with_file_name(name))),
    }
}

fn main() -> ExitCode {
    for (what, program, arguments) in STEPS {
        eprintln!("== {what}: {program:?} {}", arguments.join(" "));
        let status = command(*program).and_then(|mut command| {
            command
                .args(*arguments)
                .env("RUSTDOCFLAGS", "-D warnings")
                .status()
        });
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => {
                eprintln!("== {what}: {status}");
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("== {what}: cannot be run: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    eprintln!("== all of it holds");
    ExitCode::SUCCESS
}

#![doc = include_str!("../README.md")]
#![expect(clippy::print_stderr, reason = "a command that talks to people")]

use std::path::Path;
use std::path::PathBuf;
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

/// The programs that the tests start, and Debian's package of each.
const PROGRAMS: &[(&str, &str)] = &[
    ("postgres", "postgresql"),
    ("pgbouncer", "pgbouncer"),
    ("etcd", "etcd-server"),
    ("etcdctl", "etcd-client"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("strace", "strace"),
    ("mkfs.ext4", "e2fsprogs"),
    ("python3", "python3-venv"),
];

fn main() -> ExitCode {
    let missing = missing();
    if !missing.is_empty() {
        let packages = missing.join(" ");
        eprintln!("== the tests need programs that are not here: apt-get install {packages}");
        return ExitCode::FAILURE;
    }
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

/// The packages of the programs that are not installed.
#[expect(
    clippy::disallowed_methods,
    reason = "where programs are is not the gateway's configuration"
)]
fn missing() -> Vec<&'static str> {
    let mut folders: Vec<PathBuf> = ["/usr/sbin", "/sbin"].map(PathBuf::from).to_vec();
    folders.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    // Debian keeps PostgreSQL's server programs apart, by version.
    let versions = Path::new("/usr/lib/postgresql").read_dir();
    let versions = versions.into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    let is_there = |name: &str| folders.iter().any(|folder| folder.join(name).is_file());
    let absent = PROGRAMS.iter().filter(|(program, _)| !is_there(program));
    absent.map(|(_, package)| *package).collect()
}

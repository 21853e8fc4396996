#![doc = include_str!("../README.md")]
#![expect(clippy::print_stderr, reason = "a command that talks to people")]

mod failures;

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::time::Duration;

use failures::Failures;

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
    // After the modules, whose compiler and programs it needs.
    (
        "projects of policy authors, built with the tools of their languages",
        &["test", "--workspace", "--locked", "--test", "templates"],
    ),
    (
        "a rollout that follows a flag service",
        &["test", "--workspace", "--locked", "--test", "flag_service"],
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
    ("clang", "clang"),
    ("wasm-ld", "lld"),
    ("make", "make"),
    ("npm", "npm"),
    ("node", "nodejs"),
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
        match run(arguments) {
            Ok((status, _)) if status.success() => {}
            Ok((status, failures)) => {
                failures.iter().for_each(|line| eprintln!("{line}"));
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

/// How long output may come after cargo has ended: a server that a killed test left behind would
/// keep it open for ever.
const LATE_OUTPUT_MAX: Duration = Duration::from_secs(5);

/// Runs cargo, passes its output on, and collects what failing tests said: they are told again at
/// the end, where they are looked for.
fn run(arguments: &[&str]) -> io::Result<(ExitStatus, Vec<String>)> {
    let mut cargo = Command::new(env!("CARGO"))
        .args(arguments)
        .env("RUSTDOCFLAGS", "-D warnings")
        .stdout(Stdio::piped())
        .spawn()?;
    let output = cargo.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let failures = Arc::new(Mutex::new(Failures::default()));
    let (seen, ended) = (failures.clone(), mpsc::channel());
    std::thread::spawn(move || {
        let _ended = ended.0;
        pass_on(output, &seen)
    });
    let status = cargo.wait()?;
    // Nothing is ever sent: an error means that the output is at its end, or late.
    let _ = ended.1.recv_timeout(LATE_OUTPUT_MAX) as Result<(), _>;
    let failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((status, failures.lines().to_vec()))
}

fn pass_on(output: impl Read, failures: &Mutex<Failures>) -> io::Result<()> {
    let (mut output, mut line) = (BufReader::new(output), Vec::new());
    while output.read_until(b'\n', &mut line)? > 0 {
        io::stdout().write_all(&line)?;
        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.see(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    Ok(())
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

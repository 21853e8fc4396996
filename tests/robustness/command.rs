//! Programs of the system, run to their end.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

/// Runs a program and answers what it prints.
///
/// # Errors
/// It is not there, or says no.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String> {
    feed(program, arguments, "")
}

/// The same, with something to read.
///
/// # Errors
/// It is not there, or says no.
pub(crate) fn feed(program: &str, arguments: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} cannot be run: is it installed?"))?;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a run needs of the machine.
///
/// # Errors
/// Something is missing; says what.
pub(crate) fn demand(programs: &[&str]) -> Result<()> {
    ensure!(
        std::fs::metadata("/proc/self")?.uid() == 0,
        "faults need root: network namespaces, mounts and ptrace"
    );
    for program in programs {
        let found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
            .iter()
            .any(|folder| std::path::Path::new(folder).join(program).is_file());
        ensure!(
            found,
            "{program} is not installed (apt-get install iproute2 nftables strace e2fsprogs)"
        );
    }
    Ok(())
}

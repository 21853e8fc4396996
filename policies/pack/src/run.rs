//! Other programs.

use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

/// Runs a program and answers what it printed. Its complaints are shown.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let told = format!("{:?}", command.get_program());
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| told.clone())?;
    if !output.status.success() {
        bail!("{told} failed: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| told)
}

//! Python programs that tests use. They are installed, in pinned versions, into a virtual environment
//! below the target directory; that needs `python3` with its `venv` module, and a package index the
//! first time.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use tokio::process::Command;

/// How long an installation may take.
const INSTALL_WITHIN: Duration = Duration::from_secs(300);

/// Runs a program to its end, and returns what it printed.
pub(super) async fn run(command: &mut Command, within: Duration) -> Result<String> {
    command.kill_on_drop(true);
    let output = tokio::time::timeout(within, command.output())
        .await
        .with_context(|| format!("{command:?} does not end"))?
        .with_context(|| format!("{command:?} does not start"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{said}\n{errors}",
        output.status
    );
    Ok(said)
}

/// Installs the programs that `requirements.txt` in a folder of the tests lists, unless that was done;
/// where they are. A list of other versions gets another folder, and a folder has its name only when it
/// is whole.
pub(super) async fn install(name: &str, more: &[&str]) -> Result<PathBuf> {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let requirements = requirements.join("requirements.txt");
    let versions = fingerprint(&std::fs::read_to_string(&requirements)?);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{versions:08x}"));
    let done = folder.join("done");
    if !done.is_file() {
        let _ = std::fs::remove_dir_all(&folder);
        let mut python = Command::new("python3");
        python.args(["-m", "venv"]).arg(&folder);
        run(&mut python, INSTALL_WITHIN)
            .await
            .context("python3 with its module venv is needed (apt-get install python3-venv)")?;
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ]);
        pip.args(more).arg("--requirement").arg(&requirements);
        run(&mut pip, INSTALL_WITHIN).await?;
        std::fs::write(&done, "")?;
    }
    Ok(folder.join("bin"))
}

/// FNV-1a: tells one list of versions from another.
fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

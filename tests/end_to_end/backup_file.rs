//! Where a backup may be written to, and what a restore reads and makes.

use std::fs::symlink_metadata;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use tempfile::TempDir;

const USAGE: Option<i32> = Some(64);

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

/// A stopped gateway's data folder, and one that serves.
struct Sources {
    running: Gateway,
    stopped: TempDir,
}

impl Sources {
    async fn start() -> Result<Self> {
        let stopped = tempfile::tempdir()?;
        let options = leasehold_tests::GatewayOptions {
            data_dir: Some(stopped.path().join("data")),
            ..leasehold_tests::GatewayOptions::default()
        };
        let mut gateway = Gateway::start_with(options).await?;
        ensure!(gateway.admin().acquire("held", 60_000).await?.status == 201);
        ensure!(gateway.terminate().await? == Some(0));
        let running = Gateway::start().await?;
        Ok(Self { running, stopped })
    }

    /// A backup of each, one of the gateway and one of the folder.
    async fn back_up(&self, file: &Path, more: &[&str]) -> Result<[Output; 2]> {
        let mut words = vec!["backup", text(file)?];
        words.extend(more);
        let of_gateway = self.running.command_line(ADMIN_KEY, &words).await?;
        Ok([of_gateway, self.of_folder(file, more)?])
    }

    fn of_folder(&self, file: &Path, more: &[&str]) -> Result<Output> {
        let mut command = Command::new(leasehold_tests::binary());
        command.args(["backup", text(file)?, "--data-dir"]);
        command.arg(self.stopped.path().join("data")).args(more);
        Ok(command.output()?)
    }
}

fn restore(file: &Path, data_dir: &Path) -> Result<Output> {
    let mut command = Command::new(leasehold_tests::binary());
    command.args(["restore", text(file)?, "--data-dir", text(data_dir)?]);
    Ok(command.output()?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_regular_file_is_never_replaced() -> Result<()> {
    let sources = Sources::start().await?;
    let folder = tempfile::tempdir()?;
    let (pipe, link, dangling, directory, socket) = (
        folder.path().join("pipe"),
        folder.path().join("link"),
        folder.path().join("dangling"),
        folder.path().join("directory"),
        folder.path().join("socket"),
    );
    ensure!(Command::new("mkfifo").arg(&pipe).status()?.success());
    std::fs::write(folder.path().join("precious"), "precious")?;
    symlink("precious", &link)?;
    symlink("nowhere", &dangling)?;
    std::fs::create_dir(&directory)?;
    let _listens = std::os::unix::net::UnixListener::bind(&socket)?;
    let device = folder.path().join("device");
    let mut names = vec![&pipe, &link, &dangling, &directory, &socket];
    // Only root can make one; a real one would be lost if this failed.
    let made = Command::new("mknod")
        .arg(&device)
        .args(["c", "1", "3"])
        .output()?;
    if made.status.success() {
        names.push(&device);
    }
    let kind = |name: &PathBuf| Ok::<_, anyhow::Error>(symlink_metadata(name)?.file_type());
    let before = names
        .iter()
        .map(|name| kind(name))
        .collect::<Result<Vec<_>>>()?;
    for more in [&[][..], &["--force"]] {
        for name in &names {
            for refused in sources.back_up(name, more).await? {
                ensure!(refused.status.code() == USAGE, "{name:?}: {refused:?}");
            }
        }
    }
    for (name, before) in names.iter().zip(before) {
        ensure!(kind(name)? == before);
    }
    ensure!(std::fs::read(folder.path().join("precious"))? == b"precious");
    let left = std::fs::read_dir(folder.path())?.count();
    ensure!(left == names.len() + 1, "{left} things are there");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_backup_is_replaced_only_by_force() -> Result<()> {
    let sources = Sources::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("monday");
    std::fs::write(&file, "an older one")?;
    for refused in sources.back_up(&file, &[]).await? {
        ensure!(refused.status.code() == USAGE, "{refused:?}");
    }
    ensure!(std::fs::read(&file)? == b"an older one");
    for made in sources.back_up(&file, &["--force"]).await? {
        ensure!(made.status.success(), "{made:?}");
        let mode = std::fs::metadata(&file)?.permissions().mode();
        ensure!(mode & 0o777 == 0o600, "{mode:o}");
    }
    ensure!(restore(&file, &folder.path().join("new"))?.status.success());
    // What already has the name that a former build used for unfinished backups is not touched.
    let precious = folder.path().join("precious");
    symlink("precious", folder.path().join("tuesday.unfinished"))?;
    std::fs::write(&precious, "precious")?;
    for made in sources
        .back_up(&folder.path().join("tuesday"), &["--force"])
        .await?
    {
        ensure!(made.status.success(), "{made:?}");
    }
    ensure!(std::fs::read(&precious)? == b"precious");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_goes_to_standard_output() -> Result<()> {
    let sources = Sources::start().await?;
    let folder = tempfile::tempdir()?;
    let outputs = sources.back_up(Path::new("-"), &[]).await?;
    for (n, output) in outputs.iter().enumerate() {
        ensure!(output.status.success(), "{output:?}");
        let file = folder.path().join(format!("{n}"));
        std::fs::write(&file, &output.stdout)?;
        let made = restore(&file, &folder.path().join(format!("data-{n}")))?;
        ensure!(made.status.success(), "{made:?}");
    }
    ensure!(!Path::new("-").exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_takes_and_makes_nothing_of_others() -> Result<()> {
    let sources = Sources::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("monday");
    ensure!(sources.of_folder(&file, &[])?.status.success());
    let pipe = folder.path().join("pipe");
    ensure!(Command::new("mkfifo").arg(&pipe).status()?.success());
    let new = folder.path().join("new");
    for not_a_file in [pipe.as_path(), folder.path(), Path::new("/dev/zero")] {
        let refused = restore(not_a_file, &new)?;
        ensure!(
            refused.status.code() == USAGE,
            "{not_a_file:?}: {refused:?}"
        );
    }
    // A folder that happens to have the name of an unfinished restore is somebody's.
    let others = folder.path().join("new.restoring");
    std::fs::create_dir(&others)?;
    std::fs::write(others.join("precious"), "precious")?;
    let (empty, link) = (folder.path().join("empty"), folder.path().join("link"));
    std::fs::create_dir(&empty)?;
    symlink("empty", &link)?;
    ensure!(restore(&file, &link)?.status.code() == USAGE);
    ensure!(restore(&file, &others)?.status.code() == USAGE);
    ensure!(restore(&file, &file)?.status.code() == USAGE);
    for made in [&new, &empty] {
        let output = restore(&file, made)?;
        ensure!(output.status.success(), "{output:?}");
        ensure!(made.join("ledger.sqlite").is_file());
    }
    ensure!(std::fs::read(others.join("precious"))? == b"precious");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_without_a_store_is_not_changed_by_a_backup() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("monday");
    let sources = Sources::start().await?;
    let stopped = sources.stopped.path().join("data");
    for gone in ["ledger.sqlite", "raft"] {
        let (of, away) = (stopped.join(gone), folder.path().join(gone));
        std::fs::rename(&of, &away)?;
        let refused = sources.of_folder(&file, &[])?;
        ensure!(!refused.status.success(), "{refused:?}");
        ensure!(!of.exists() && !file.exists(), "{gone} was made anew");
        std::fs::rename(&away, &of)?;
    }
    ensure!(sources.of_folder(&file, &[])?.status.success());
    Ok(())
}

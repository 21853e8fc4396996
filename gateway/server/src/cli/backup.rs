//! `leasehold backup` and `leasehold restore`.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use leasehold_audit::LedgerOptions;
use leasehold_audit::SqliteLedger;
use leasehold_backend_api::Ledger;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_domain::WallMillis;
use leasehold_wire::v1::paths;
use serde_json::json;

use super::connection::Connection;
use super::connection::block_on;
use super::exit::Failed;
use super::exit::SYSTEM;
use super::exit::TAMPERED;
use super::exit::USAGE;
use super::output::Shown;
use crate::app::embedded::read_stopped;
use crate::backup;
use crate::backup::BackupFileError;
use crate::backup::Contents;
use crate::backup::Taking;
use crate::stores::ledger_file;

/// What to back up, and where to.
#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// The file to make; it holds secrets, and only its owner can read it.
    file: PathBuf,
    /// The data folder of a gateway that does not run, instead of asking one that does.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// What to restore, and where to.
#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// The backup.
    file: PathBuf,
    /// The folder to make: of a gateway that is the first member of a new group.
    #[arg(long)]
    data_dir: PathBuf,
    /// The greatest fencing token that is known to have been given out: new ones are above it in
    /// any case.
    #[arg(long, default_value_t = 0)]
    token_above: u64,
    /// Answers as JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// Makes a backup, reads it again, and only then gives it its name.
pub(super) fn backup(arguments: BackupArguments) -> Result<Shown, Failed> {
    let BackupArguments {
        file,
        data_dir,
        connection,
    } = arguments;
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    let unfinished = file.with_file_name(name);
    let written = match &data_dir {
        Some(data_dir) => block_on(from_folder(data_dir, &unfinished)),
        None => block_on(from_gateway(&connection, &unfinished)),
    };
    let whole = written.and_then(|()| {
        let contents = Contents::check(&unfinished).map_err(|error| refused(&file, &error))?;
        keep(&unfinished, &file)?;
        Ok(contents)
    });
    let contents = whole.inspect_err(|_| {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&unfinished);
    })?;
    let answer = json!({
        "file": file, "events": contents.head.newest, "sha256": contents.sha256,
    });
    Shown::of(connection.json, &answer, |_| {
        Shown::Fields(vec![
            ("file", file.display().to_string()),
            ("events", contents.head.newest.to_string()),
            ("sha256", contents.sha256.clone()),
        ])
    })
}

async fn from_gateway(connection: &Connection, file: &Path) -> Result<(), Failed> {
    let mut download = connection.client()?.download(paths::BACKUP).await?;
    let mut out = create(file)?;
    while let Some(bytes) = download.next().await? {
        out.write_all(&bytes)
            .map_err(|error| failed(file, &error))?;
    }
    out.sync_all().map_err(|error| failed(file, &error))
}

async fn from_folder(data_dir: &Path, file: &Path) -> Result<(), Failed> {
    let folder = data_dir.to_owned();
    let store = tokio::task::spawn_blocking(move || read_stopped(&folder)).await;
    let store = store.map_err(|error| failed(data_dir, &error))?;
    let store = store.map_err(|error| failed(data_dir, &error))?;
    let path = ledger_file(data_dir);
    let ledger = SqliteLedger::open(&path, LedgerOptions::default())
        .map_err(|error| failed(&path, &error))?;
    // As a start would do: what the log has and the ledger has not.
    if !store.events.is_empty() {
        let appended = ledger.append(store.events).await;
        appended.map_err(|error| failed(&path, &error))?;
    }
    if store.voters > 1 {
        tracing::warn!(
            voters = store.voters,
            "other members may have more than this one"
        );
    }
    let wall = SystemClock::new().wall();
    let taking = Taking::begin(store.picture, Arc::new(ledger), wall).await;
    let mut taking = taking.map_err(|error| failed(data_dir, &error))?;
    let mut out = create(file)?;
    while let Some(bytes) = taking
        .next()
        .await
        .map_err(|error| failed(data_dir, &error))?
    {
        out.write_all(&bytes)
            .map_err(|error| failed(file, &error))?;
    }
    out.sync_all().map_err(|error| failed(file, &error))
}

/// A file that only its owner can read.
fn create(file: &Path) -> Result<File, Failed> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(file).map_err(|error| failed(file, &error))
}

/// Gives the file its name, durably.
fn keep(unfinished: &Path, file: &Path) -> Result<(), Failed> {
    let parent = file.parent().filter(|at| !at.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let kept = std::fs::rename(unfinished, file)
        .and_then(|()| File::open(parent))
        .and_then(|folder| folder.sync_all());
    kept.map_err(|error| failed(file, &error))
}

/// Makes a data folder of a backup.
pub(super) fn restore(arguments: RestoreArguments) -> Result<Shown, Failed> {
    let RestoreArguments {
        file,
        data_dir,
        token_above,
        json,
    } = arguments;
    let now: WallMillis = SystemClock::new().wall();
    let made = block_on(async {
        let made = backup::restore(&file, &data_dir, token_above, now).await;
        made.map_err(|error| refused(&file, &error))
    })?;
    let restored = &made.restored;
    let answer = json!({
        "data_dir": data_dir, "group": restored.group, "token_floor": restored.token_floor,
        "events": made.contents.head.newest, "event": restored.event.0,
    });
    Shown::of(json, &answer, |_| {
        Shown::Fields(vec![
            ("data_dir", data_dir.display().to_string()),
            ("group", restored.group.clone()),
            ("tokens above", restored.token_floor.to_string()),
            ("events", made.contents.head.newest.to_string()),
        ])
    })
}

fn refused(file: &Path, error: &BackupFileError) -> Failed {
    let code = match error {
        BackupFileError::Foreign
        | BackupFileError::Format(_)
        | BackupFileError::CutOff(_)
        | BackupFileError::Damaged(_) => TAMPERED,
        BackupFileError::Occupied(_) => return Failed::new(USAGE, error.to_string()),
        BackupFileError::Io(_) | BackupFileError::Storage(_) | BackupFileError::Ledger(_) => SYSTEM,
    };
    Failed::new(code, format!("{}: {error}", file.display()))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Failed {
    Failed::new(SYSTEM, format!("{}: {error}", path.display()))
}

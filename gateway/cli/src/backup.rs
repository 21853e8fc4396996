//! `leasehold backup` and `leasehold restore`.

mod target;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use leasehold_audit::LedgerOptions;
use leasehold_audit::SqliteLedger;
use leasehold_backend_api::BlobSource;
use leasehold_backend_api::Ledger;
use leasehold_core::backup;
use leasehold_core::backup::BackupFileError;
use leasehold_core::backup::Taking;
use leasehold_core::data_dir::ledger_file;
use leasehold_core::embedded::read_stopped;
use leasehold_core::stores::stopped::compare_stopped;
use leasehold_core::stores::stopped::ledger_is_missing;
use leasehold_core::stores::stopped::store_is_missing;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_domain::WallMillis;
use leasehold_wire::v1::paths;
use serde_json::json;

use self::target::Target;
use super::connection::Connection;
use super::connection::block_on;
use super::exit::Failed;
use super::exit::SYSTEM;
use super::exit::TAMPERED;
use super::exit::UNAVAILABLE;
use super::exit::USAGE;
use super::output::Shown;
use super::output::finish;
use super::output::tell;

/// What to back up, and where to.
#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// The file to make; it holds secrets, and only its owner can read it. - means standard output.
    file: PathBuf,
    /// Replace the file if it is there already. Only a regular file is ever replaced.
    #[arg(long)]
    force: bool,
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
pub(super) fn backup(arguments: BackupArguments) -> Result<u8, Failed> {
    let BackupArguments {
        file,
        force,
        data_dir,
        connection,
    } = arguments;
    let mut target = Target::open(&file, force)?;
    let to_output = matches!(target, Target::Output { .. });
    match &data_dir {
        Some(data_dir) => block_on(from_folder(data_dir, &mut target))?,
        None => block_on(from_gateway(&connection, &mut target))?,
    }
    let contents = target.finish()?;
    let (events, sha256) = (contents.head.newest, &contents.sha256);
    if to_output {
        tell(&format!("backup: {events} events, sha256 {sha256}"));
        return Ok(0);
    }
    let answer = json!({ "file": file, "events": events, "sha256": sha256 });
    finish(Shown::of(connection.json, &answer, |_| {
        Shown::Fields(vec![
            ("file", file.display().to_string()),
            ("events", events.to_string()),
            ("sha256", sha256.clone()),
        ])
    }))
}

async fn from_gateway(connection: &Connection, target: &mut Target) -> Result<(), Failed> {
    let mut download = connection.client()?.download(paths::BACKUP).await?;
    while let Some(bytes) = download.next().await? {
        target.write(&bytes)?;
    }
    Ok(())
}

async fn from_folder(data_dir: &Path, target: &mut Target) -> Result<(), Failed> {
    let path = ledger_file(data_dir);
    if let Some(problem) = (store_is_missing(data_dir).await).map_err(|e| failed(data_dir, &e))? {
        return Err(do_not_match(&problem));
    }
    let folder = data_dir.to_owned();
    let store = tokio::task::spawn_blocking(move || read_stopped(&folder)).await;
    let store = store.map_err(|error| failed(data_dir, &error))?;
    let store = store.map_err(|error| failed(data_dir, &error))?;
    // A ledger that is missing is compared as the empty one that a start would make. Only a start
    // fills it.
    let missing = ledger_is_missing(data_dir, &store);
    let empty = tempfile::tempdir().map_err(|error| failed(data_dir, &error))?;
    let path = match path.is_file() {
        true => path,
        false => ledger_file(empty.path()),
    };
    let ledger = SqliteLedger::open(&path, LedgerOptions::default())
        .map_err(|error| failed(&path, &error))?;
    let compared = compare_stopped(data_dir, &store, &ledger).await;
    let compared = compared.map_err(|error| failed(data_dir, &error))?;
    if let Some(problem) = compared.or(missing) {
        return Err(do_not_match(&problem));
    }
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
    let blobs = store.blobs.map(|blobs| blobs as Arc<dyn BlobSource>);
    let taking = Taking::begin(store.picture, blobs, Arc::new(ledger), wall).await;
    let mut taking = taking.map_err(|error| failed(data_dir, &error))?;
    while let Some(bytes) = taking
        .next()
        .await
        .map_err(|error| failed(data_dir, &error))?
    {
        target.write(&bytes)?;
    }
    Ok(())
}

/// Makes a data folder of a backup.
pub(crate) fn restore(arguments: RestoreArguments) -> Result<Shown, Failed> {
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

/// The parts of the directory are not of one history: no start serves them.
fn do_not_match(problem: &str) -> Failed {
    let problem = leasehold_server::app::AppError::Parts(problem.to_owned());
    Failed::new(UNAVAILABLE, problem.to_string())
}

fn refused(file: &Path, error: &BackupFileError) -> Failed {
    let code = match error {
        BackupFileError::Foreign
        | BackupFileError::Format(_)
        | BackupFileError::CutOff(_)
        | BackupFileError::Damaged(_) => TAMPERED,
        BackupFileError::Occupied(_) => return Failed::new(USAGE, error.to_string()),
        BackupFileError::NotRegular => USAGE,
        BackupFileError::Io(_) | BackupFileError::Storage(_) | BackupFileError::Ledger(_) => SYSTEM,
    };
    Failed::new(code, format!("{}: {error}", file.display()))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Failed {
    Failed::new(SYSTEM, format!("{}: {error}", path.display()))
}

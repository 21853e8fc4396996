//! The keys that sign checkpoints.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use leasehold_evidence::LogKey;

use crate::data_dir::log_key_file;
use crate::signing::SigningKey;

/// Reads the keys, or that of the data directory, which is made if absent.
pub(super) fn open(data_dir: &Path, files: &[PathBuf]) -> Result<Vec<LogKey>, String> {
    if !files.is_empty() {
        return files.iter().map(|file| read(file)).collect();
    }
    let file = log_key_file(data_dir);
    if !file.exists() {
        write(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        tracing::info!(file = %file.display(), "audit.log_key made");
    }
    Ok(vec![read(&file)?])
}

fn read(file: &Path) -> Result<LogKey, String> {
    let failed = |error: String| format!("{}: {error}", file.display());
    let pem = fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    LogKey::from_pem(&pem).map_err(|error| failed(error.to_string()))
}

/// Writes a new key so that it is there whole or not at all. The process's mask keeps others from it.
fn write(file: &Path) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let pem = SigningKey::draw().pem()?;
    let unfinished = file.with_extension("new");
    let mut written = fs::File::create(&unfinished).map_err(text)?;
    written.write_all(pem.as_bytes()).map_err(text)?;
    written.sync_all().map_err(text)?;
    fs::rename(&unfinished, file).map_err(text)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(text)
}

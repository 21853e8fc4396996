//! Files that commands read; `-` is standard input.

use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::exit::Failed;
use super::exit::USAGE;

/// Reads a file.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failed> {
    let unreadable = |error| Failed::new(USAGE, format!("{}: {error}", file.display()));
    if file.as_os_str() != "-" {
        return std::fs::read(file).map_err(unreadable);
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(unreadable)
}

/// Reads a JSON file.
pub(super) fn json<T: DeserializeOwned>(file: &Path) -> Result<T, Failed> {
    let parsed = leasehold_core::input::json(&read(file)?);
    parsed.map_err(|error| Failed::new(USAGE, format!("{}: {error}", file.display())))
}

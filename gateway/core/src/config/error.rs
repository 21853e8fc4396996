//! A wrong configuration, in one line.

use std::path::Path;

use crate::input::InputError;
use crate::input::plain;

/// Why a configuration was refused. `Display` is one line, fit for standard error; the process
/// should then exit with 64 (`EX_USAGE`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {message}")]
pub struct ConfigError {
    message: String,
}

impl ConfigError {
    /// `key` is wrong in this way.
    pub fn at(key: &str, problem: impl std::fmt::Display) -> Self {
        Self {
            message: one_line(&format!("{key}: {problem}")),
        }
    }

    /// The file cannot be read.
    pub(crate) fn read(file: &Path, error: &std::io::Error) -> Self {
        Self::at(&file.display().to_string(), plain(&error.to_string()))
    }

    /// The text is not TOML, or a key or value does not fit.
    pub(crate) fn document(error: &InputError) -> Self {
        Self {
            message: one_line(&error.to_string()),
        }
    }

    /// The same error, with the file's name before it.
    pub(crate) fn in_file(self, file: &Path) -> Self {
        Self {
            message: one_line(&format!("{}: {}", file.display(), self.message)),
        }
    }
}

fn one_line(text: &str) -> String {
    text.split(['\n', '\r'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

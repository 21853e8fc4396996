//! `[bootstrap]`, and the one variable of the environment that the gateway reads.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use serde::Serialize;

use super::ConfigError;

/// The variable that may hold the first administrator's key.
const ADMIN_KEY_VARIABLE: &str = "LEASEHOLD_ADMIN_KEY";

/// What the first start makes. A store that has keys already is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bootstrap {
    /// A file that holds the first administrator's key, for automation. The variable
    /// `LEASEHOLD_ADMIN_KEY` goes before it; without either, a key is made, and shown once on a
    /// terminal or written to a file in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_key_file: Option<PathBuf>,
    /// Whether the first start makes the namespace `demo`, which is open to every key.
    pub demo: bool,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            admin_key_file: None,
            demo: true,
        }
    }
}

impl Bootstrap {
    /// Returns the text of the first administrator's key, if one is given, and where it is from.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn first_key(&self) -> Result<Option<(String, SecretString)>, ConfigError> {
        Ok(match (environment(), &self.admin_key_file) {
            (Some(text), _) => Some((ADMIN_KEY_VARIABLE.to_owned(), text)),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| ConfigError::read(file, &error))?;
                let source = format!("bootstrap.admin_key_file {}", file.display());
                Some((source, SecretString::from(text)))
            }
            (None, None) => None,
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn environment() -> Option<SecretString> {
    std::env::var(ADMIN_KEY_VARIABLE)
        .ok()
        .filter(|text| !text.trim().is_empty())
        .map(SecretString::from)
}

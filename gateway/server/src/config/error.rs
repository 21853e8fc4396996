//! A wrong configuration, in one line.

use std::path::Path;

/// Why a configuration was refused. `Display` is one line, fit for standard error; the process
/// should then exit with 64 (`EX_USAGE`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {message}")]
pub struct ConfigError {
    message: String,
}

impl ConfigError {
    /// `key` is wrong in this way.
    pub(crate) fn at(key: &str, problem: impl std::fmt::Display) -> Self {
        Self {
            message: one_line(&format!("{key}: {problem}")),
        }
    }

    /// The file cannot be read.
    pub(crate) fn read(file: &Path, error: &std::io::Error) -> Self {
        Self::at(&file.display().to_string(), error)
    }

    /// The text does not fit; the line is named.
    pub(crate) fn toml(text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map(|span| {
            let before = text.get(..span.start).unwrap_or(text);
            before.matches('\n').count() + 1
        });
        // The line's own text names the key, which the parser's message does not.
        let shown = line
            .and_then(|line| text.lines().nth(line - 1))
            .unwrap_or_default()
            .trim();
        let message = match line {
            Some(line) if looks_secret(shown) => format!("line {line}: {}", error.message()),
            Some(line) => format!("line {line} `{shown}`: {}", error.message()),
            None => error.message().to_owned(),
        };
        Self {
            message: one_line(&message),
        }
    }

    /// The same error, with the file's name before it.
    pub(crate) fn in_file(self, file: &Path) -> Self {
        Self {
            message: one_line(&format!("{}: {}", file.display(), self.message)),
        }
    }
}

/// A key that an operator pasted into the wrong place must not reach a log.
fn looks_secret(line: &str) -> bool {
    line.contains("lh_")
}

fn one_line(text: &str) -> String {
    text.split(['\n', '\r'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

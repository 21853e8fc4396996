//! `leasehold policy new`.

use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::templates::Language;
use crate::exit::Failed;
use crate::exit::SYSTEM;
use crate::exit::USAGE;
use crate::output;
use crate::output::Shown;

/// The policy's name in the templates.
const TEMPLATE: &str = "needs-ticket";
/// Longest name of a policy.
const NAME_BYTES_MAX: usize = 63;

#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// The policy's name: 1 to 63 of a-z, 0-9 and -, beginning with a letter.
    #[arg(value_parser = name)]
    name: String,
    /// The language. Every one builds with its own tools; the project's README says which.
    #[arg(long, value_enum)]
    lang: Language,
    /// Where to write the project, instead of a new directory with the policy's name.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Written {
    policy: String,
    directory: PathBuf,
    files: Vec<&'static str>,
}

/// Writes the project. Returns the exit code.
pub(super) fn run(arguments: &NewArguments, json: bool) -> Result<u8, Failed> {
    let name = &arguments.name;
    let directory = arguments.directory.clone();
    let directory = directory.unwrap_or_else(|| PathBuf::from(name));
    let is_empty = std::fs::read_dir(&directory).map(|mut entries| entries.next().is_none());
    if !is_empty.unwrap_or(!directory.exists()) {
        let message = format!("{}: is there already, and not empty", directory.display());
        return Err(Failed::new(USAGE, message));
    }
    let mut files = Vec::new();
    for (path, parts) in arguments.lang.files() {
        let text: String = parts.iter().map(|part| named(part, name)).collect();
        write(&directory.join(path), &text)?;
        files.push(*path);
    }
    let written = Written {
        policy: name.clone(),
        directory,
        files,
    };
    output::finish(Shown::of(json, &written, |written| {
        let readme = written.directory.join("README.md");
        Shown::Fields(vec![
            ("policy", format!("{}@0.1.0", written.policy)),
            ("written", written.directory.display().to_string()),
            ("next", format!("read {}", readme.display())),
        ])
    }))
}

/// A template's text for a policy of this name.
fn named(text: &str, name: &str) -> String {
    // Rust calls the file of a module as it calls its crate.
    let (file, crate_name) = (TEMPLATE.replace('-', "_"), name.replace('-', "_"));
    text.replace(TEMPLATE, name).replace(&file, &crate_name)
}

fn write(file: &Path, text: &str) -> Result<(), Failed> {
    let failed = |error| Failed::new(SYSTEM, format!("{}: {error}", file.display()));
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).map_err(failed)?;
    }
    std::fs::write(file, text).map_err(failed)
}

fn name(text: &str) -> Result<String, String> {
    let is_one = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= NAME_BYTES_MAX
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    match is_one {
        true => Ok(text.to_owned()),
        false => Err("must be 1 to 63 of a-z, 0-9 and -, beginning with a letter".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_of_a_policy() {
        assert_eq!(name("two-keys"), Ok("two-keys".to_owned()));
        for bad in [
            "",
            "Two",
            "2keys",
            "-a",
            "a_b",
            "a/b",
            "..",
            &"x".repeat(64),
        ] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_name_of_the_template_is_replaced() {
        let text = named("needs-ticket.wasm of needs_ticket.wasm", "two-keys");
        assert_eq!(text, "two-keys.wasm of two_keys.wasm");
    }
}

//! Answers: tables for people, JSON for programs.

use std::io::ErrorKind;
use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;

use super::exit::Failed;
use super::exit::SYSTEM;

/// What a command shows.
#[derive(Debug)]
pub(super) enum Shown {
    /// JSON as it is written, so that its raw parts stay as they are.
    Json(String),
    /// Rows under headings.
    Table(Vec<&'static str>, Vec<Vec<String>>),
    /// Names and values, one a line.
    Fields(Vec<(&'static str, String)>),
    /// Sentences.
    Text(String),
}

impl Shown {
    /// JSON if it was asked for; else what `people` makes of it.
    pub(super) fn of<T: Serialize>(
        json: bool,
        answer: &T,
        people: impl FnOnce(&T) -> Self,
    ) -> Result<Self, Failed> {
        if !json {
            return Ok(people(answer));
        }
        let written = serde_json::to_string_pretty(answer);
        written
            .map(Self::Json)
            .map_err(|error| Failed::new(SYSTEM, error.to_string()))
    }
}

/// Shows it on standard output.
pub(super) fn finish(result: Result<Shown, Failed>) -> Result<u8, Failed> {
    let text = match result? {
        Shown::Json(text) | Shown::Text(text) => text + "\n",
        Shown::Table(headings, rows) => table(&headings, &rows),
        Shown::Fields(fields) => {
            let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            fields
                .iter()
                .map(|(name, value)| format!("{name:width$}  {value}\n"))
                .collect()
        }
    };
    print(&text)?;
    Ok(0)
}

/// Writes to standard output. A reader that has read enough (`| head`) is no error: false is
/// returned then, and nobody reads what else could be written.
pub(super) fn print(text: &str) -> Result<bool, Failed> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            let message = format!("cannot write to standard output: {error}");
            Err(Failed::new(SYSTEM, message))
        }
    }
}

/// Tells people something on standard error. Nobody may be there to read it, which is no error.
pub(super) fn tell(message: &str) {
    let line = format!("leasehold: {message}\n");
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells.chain([headings[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(&mut headings.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

/// Shows a failure, and answers its code. With `json` a problem that the gateway answered goes to
/// standard output whole, where programs look for answers.
pub(super) fn end(json: bool, result: Result<u8, Failed>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failed) => {
            if let (true, Some(problem)) = (json, &failed.problem) {
                // Nothing is left to be done if nobody reads it.
                let _ = finish(Shown::of(true, problem, |_| Shown::Fields(Vec::new())));
            }
            tell(&leasehold_core::input::plain(&failed.message));
            ExitCode::from(failed.code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![
            vec!["a".to_owned(), "long".to_owned()],
            vec!["bcd".to_owned(), "x".to_owned()],
        ];
        assert_eq!(
            table(&["one", "two"], &rows),
            "one  two\na    long\nbcd  x\n"
        );
    }
}

//! `leasehold apply`: brings namespaces, policies and bindings to the state that files declare.
//!
//! Everything is read and checked before anything is written, and the difference is shown first. Each
//! write is bound to the state that was compared: what somebody else changed meanwhile is refused.

mod file;
mod perform;
mod plan;
mod planner;
mod prune;
mod state;

use std::io::IsTerminal;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use self::perform::ItemResult;
use self::plan::Action;
use self::plan::Item;
use self::plan::Plan;
use self::prune::Prune;
use super::connection::Connection;
use super::connection::block_on;
use super::exit::DIFFERENT;
use super::exit::Failed;
use super::exit::USAGE;
use super::output;
use super::output::Shown;

/// What to apply, and how.
#[derive(Debug, Args)]
pub(super) struct ApplyArguments {
    /// The directory of the declared state: its .toml and .json files, those of its directories, too.
    #[arg(short = 'f', long = "filename", value_name = "DIR")]
    directory: PathBuf,
    /// Show the difference and write nothing. Exit code 2 if there is one, 0 if there is none.
    #[arg(long)]
    dry_run: bool,
    /// Why; the revisions of the bindings and namespaces and the ledger keep it.
    #[arg(long)]
    reason: Option<String>,
    /// Delete what no file declares: bindings, or namespaces that are not in use; may be repeated.
    /// Absent: delete nothing.
    #[arg(long, value_name = "KIND")]
    prune: Vec<Prune>,
    /// Write without asking. Needed where standard input is no terminal.
    #[arg(long)]
    yes: bool,
}

/// What was to be done, and what was done, for programs.
#[derive(Debug, Serialize)]
struct Report<'r> {
    items: Vec<Reported<'r>>,
}

#[derive(Debug, Serialize)]
struct Reported<'r> {
    #[serde(flatten)]
    item: &'r Item,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'r ItemResult>,
}

/// Compares, asks, and writes.
pub(super) fn run(arguments: &ApplyArguments, connection: Connection) -> Result<u8, Failed> {
    let json = connection.json;
    let declared = file::read_all(&arguments.directory)?;
    let client = connection.client()?;
    let plan = block_on(planner::make(&client, declared, &arguments.prune))?;
    if !json {
        output::print(&plan.told())?;
    }
    let differences = plan.differences();
    if arguments.dry_run || differences == 0 {
        if json {
            show_json(&plan, &[])?;
        }
        return Ok(match differences {
            0 => 0,
            _ => DIFFERENT,
        });
    }
    if !arguments.yes && !is_confirmed(differences, plan.deletions())? {
        return Err(Failed::new(USAGE, "not confirmed: nothing was written"));
    }
    let performing = perform::all(&client, &plan, arguments.reason.as_deref());
    let (results, failure) = block_on(async { Ok(performing.await) })?;
    match json {
        true => show_json(&plan, &results)?,
        false => drop(output::print(&perform::told(&plan, &results))?),
    }
    match failure {
        None => Ok(0),
        Some(failure) => Err(failure),
    }
}

fn show_json(plan: &Plan, results: &[ItemResult]) -> Result<(), Failed> {
    let mut results = results.iter();
    let items = plan.items.iter().map(|item| {
        let result = match item.action {
            Action::Unchanged => None,
            Action::Create | Action::Update | Action::Delete => results.next(),
        };
        Reported { item, result }
    });
    let report = Report {
        items: items.collect(),
    };
    let shown = Shown::of(true, &report, |_| Shown::Fields(Vec::new()));
    output::finish(shown).map(drop)
}

/// Asks on the terminal whether to write.
fn is_confirmed(differences: usize, deletions: usize) -> Result<bool, Failed> {
    if !std::io::stdin().is_terminal() {
        let message = "standard input is no terminal: give --yes to write, or --dry-run to compare";
        return Err(Failed::new(USAGE, message));
    }
    let question = match deletions {
        0 => format!("write {differences}? [y/N] "),
        _ => format!("write {differences}, of which {deletions} are deletions? [y/N] "),
    };
    let mut out = std::io::stderr().lock();
    let asked = out
        .write_all(question.as_bytes())
        .and_then(|()| out.flush());
    let mut answer = String::new();
    let read = asked.and_then(|()| std::io::stdin().read_line(&mut answer));
    read.map_err(|error| Failed::new(USAGE, format!("standard input: {error}")))?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

//! `leasehold store …`: on the data directory of a gateway that does not run.

use std::path::PathBuf;

use clap::Subcommand;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use serde_json::json;

use super::connection::block_on;
use super::exit::Failed;
use super::exit::SYSTEM;
use super::exit::USAGE;
use super::output::Shown;
use crate::stores::accept::AcceptError;
use crate::stores::accept::Terms;
use crate::stores::accept::accept_older;

/// What to do with a store.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Start a new history from an embedded store that is older than its ledger, or that has lost its
    /// ledger. Locks that were granted since are not known, and what the ledger lacks is lost.
    AcceptOlder {
        /// The data directory of a gateway that does not run.
        #[arg(long)]
        data_dir: PathBuf,
        /// The greatest fencing token that is known to have been granted: new ones are above it in
        /// any case.
        #[arg(long, default_value_t = 0)]
        token_above: u64,
        /// Begin although the store is missing altogether: with no locks and no governance.
        #[arg(long)]
        without_store: bool,
        /// Answers as JSON, for programs.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
pub(super) fn run(command: StoreCommand) -> Result<Shown, Failed> {
    let StoreCommand::AcceptOlder {
        data_dir,
        token_above,
        without_store,
        json,
    } = command;
    let terms = Terms {
        token_above,
        without_store,
    };
    let now = SystemClock::new().wall();
    let accepted = block_on(async {
        let accepted = accept_older(&data_dir, terms, now).await;
        accepted.map_err(|error| match error {
            AcceptError::Refused(problem) => Failed::new(USAGE, problem),
            AcceptError::Failed(problem) => {
                Failed::new(SYSTEM, format!("{}: {problem}", data_dir.display()))
            }
        })
    })?;
    let (restored, after) = (&accepted.restored, accepted.after);
    let answer = json!({
        "data_dir": data_dir, "store": restored.group, "token_floor": restored.token_floor,
        "event": restored.event.0, "follows_event": after.cursor.0,
        "follows_chain": after.chain.to_string(), "old_store": accepted.kept,
    });
    Shown::of(json, &answer, |_| {
        let kept = accepted.kept.as_ref();
        Shown::Fields(vec![
            ("store", restored.group.clone()),
            ("tokens above", restored.token_floor.to_string()),
            ("follows event", after.cursor.0.to_string()),
            ("chain", after.chain.to_string()),
            (
                "old store",
                kept.map_or_else(|| "none".to_owned(), |kept| kept.display().to_string()),
            ),
        ])
    })
}

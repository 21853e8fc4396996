//! `leasehold store …`: on the data directory of a gateway that does not run.

use std::path::PathBuf;

use clap::Subcommand;
use leasehold_core::config::Config;
use leasehold_core::config::Overrides;
use leasehold_core::stores::accept::AcceptError;
use leasehold_core::stores::accept::Terms;
use leasehold_domain::InvalidName;
use leasehold_domain::StoreName;
use leasehold_server::app::accept_older_store;
use serde_json::json;

use super::connection::block_on;
use super::exit::Failed;
use super::exit::SYSTEM;
use super::exit::USAGE;
use super::output::Shown;

/// What to do with a store.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Start a new history from a store that is older than its ledger, or that has lost its ledger.
    /// Locks that were granted since are not known, and what the ledger lacks is lost. All gateways
    /// of the store must be stopped.
    AcceptOlder {
        /// The configuration file of a gateway that does not run. Needed for Postgres and etcd.
        #[arg(long, required_unless_present = "data_dir")]
        config: Option<PathBuf>,
        /// The data directory of a gateway that does not run.
        #[arg(long)]
        data_dir: Option<PathBuf>,
        /// The store, as the configuration names it; the default store if absent.
        #[arg(long, value_name = "NAME")]
        store: Option<String>,
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
        config,
        data_dir,
        store,
        token_above,
        without_store,
        json,
    } = command;
    let terms = Terms {
        token_above,
        without_store,
    };
    let usage = |problem: String| Failed::new(USAGE, problem);
    let overrides = Overrides {
        data_dir,
        ..Overrides::default()
    };
    let config = Config::load(config.as_deref(), overrides);
    let config = config.map_err(|error| usage(error.to_string()))?;
    let data_dir = &config.storage.data_dir;
    let name = store.as_deref().unwrap_or(StoreName::HOME).parse();
    let name = name.map_err(|error: InvalidName| usage(format!("--store: {error}")))?;
    let accepted = block_on(async {
        let accepted = accept_older_store(&config, &name, terms).await;
        accepted.map_err(|error| match error {
            AcceptError::Refused(problem) => Failed::new(USAGE, problem),
            AcceptError::Failed(problem) => {
                Failed::new(SYSTEM, format!("{}: {problem}", data_dir.display()))
            }
        })
    })?;
    let after = accepted.after;
    let answer = json!({
        "data_dir": data_dir, "store": accepted.store, "token_floor": accepted.token_floor,
        "event": accepted.event.0, "follows_event": after.cursor.0,
        "follows_chain": after.chain.to_string(), "old_store": accepted.kept,
    });
    Shown::of(json, &answer, |_| {
        let kept = accepted.kept.as_ref();
        Shown::Fields(vec![
            ("store", accepted.store.clone()),
            ("tokens above", accepted.token_floor.to_string()),
            ("follows event", after.cursor.0.to_string()),
            ("chain", after.chain.to_string()),
            (
                "old store",
                kept.map_or_else(|| "none".to_owned(), |kept| kept.display().to_string()),
            ),
        ])
    })
}

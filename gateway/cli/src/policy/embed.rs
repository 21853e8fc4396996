//! `leasehold policy embed`.

use std::path::PathBuf;

use clap::Args;
use leasehold_policy_host::cases;
use leasehold_policy_host::stub_wasi;
use serde::Serialize;

use super::modules;
use crate::exit::Failed;
use crate::exit::REJECTED;
use crate::exit::SYSTEM;
use crate::input_file;
use crate::output;
use crate::output::Shown;

#[derive(Debug, Args)]
pub(crate) struct EmbedArguments {
    /// The component without cases, a .wasm file.
    file: PathBuf,
    /// A JSON file of test cases.
    #[arg(long)]
    cases: PathBuf,
    /// Replace WASI imports by stubs that trap when they are called. A gateway offers no WASI; this is
    /// for tools whose components import it although the policy does not use it.
    #[arg(long)]
    stub_wasi: bool,
    /// Where to write the module with its cases.
    #[arg(long, short)]
    output: PathBuf,
}

#[derive(Debug, Serialize)]
struct Embedded {
    policy: String,
    digest: String,
    cases: usize,
    output: PathBuf,
}

/// Puts cases into a module, and runs them; nothing is written if one fails. Returns the exit code.
pub(super) fn run(arguments: &EmbedArguments, json: bool) -> Result<u8, Failed> {
    let mut wasm = input_file::read(&arguments.file)?;
    let suite = modules::suite(&wasm, Some(&arguments.cases))?;
    let refused = |error| {
        let file = arguments.file.display();
        Failed::new(
            REJECTED,
            format!("{file}: a gateway would refuse it: {error}"),
        )
    };
    if arguments.stub_wasi {
        wasm = stub_wasi(&wasm).map_err(refused)?;
    }
    let embedded = cases::embed(&wasm, &input_file::read(&arguments.cases)?).map_err(refused)?;
    let module = modules::engine()?.compile(&embedded).map_err(refused)?;
    std::fs::write(&arguments.output, &embedded).map_err(|error| {
        let output = arguments.output.display();
        Failed::new(SYSTEM, format!("{output}: {error}"))
    })?;
    let embedded = Embedded {
        policy: modules::name_of(&module),
        digest: module.digest().to_string(),
        cases: suite.cases().len(),
        output: arguments.output.clone(),
    };
    output::finish(Shown::of(json, &embedded, |embedded| {
        Shown::Fields(vec![
            ("policy", embedded.policy.clone()),
            ("digest", embedded.digest.clone()),
            ("cases", format!("{}, all pass", embedded.cases)),
            ("written", embedded.output.display().to_string()),
        ])
    }))
}

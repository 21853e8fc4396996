//! `leasehold policy check`.

use std::path::PathBuf;

use clap::Args;
use leasehold_policy_host::HostError;
use leasehold_policy_host::Module;
use leasehold_policy_host::cases::Suite;
use serde::Serialize;

use super::modules;
use crate::exit::Failed;
use crate::exit::REJECTED;
use crate::input_file;
use crate::output;
use crate::output::Shown;

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The component, a .wasm file; - for standard input.
    file: PathBuf,
}

/// What a module is, or why a gateway would refuse it.
#[derive(Debug, Serialize)]
struct Report {
    accepted: bool,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(flatten)]
    module: Option<Described>,
}

#[derive(Debug, Serialize)]
struct Described {
    policy: String,
    version: String,
    digest: String,
    /// The version of `leasehold:policy` that it was built for.
    contract: &'static str,
    operations: Vec<&'static str>,
    needs_lock: bool,
    needs_usage: bool,
    cases: usize,
}

/// Checks the module, and shows what it is. Returns the exit code.
pub(super) fn run(arguments: &CheckArguments, json: bool) -> Result<u8, Failed> {
    let wasm = input_file::read(&arguments.file)?;
    let engine = modules::engine()?;
    let checked = engine.compile(&wasm);
    let report = match &checked {
        Ok(module) => Report {
            accepted: true,
            bytes: wasm.len(),
            refused: None,
            module: Some(described(module, &wasm)),
        },
        Err(error) => Report {
            accepted: false,
            bytes: wasm.len(),
            refused: Some(error.to_string()),
            module: None,
        },
    };
    match (checked, json) {
        (Err(error), false) => Err(refused(arguments, &error)),
        (checked, _) => {
            output::finish(Shown::of(json, &report, show))?;
            Ok(checked.map_or(REJECTED, |_| 0))
        }
    }
}

fn refused(arguments: &CheckArguments, error: &HostError) -> Failed {
    let file = arguments.file.display();
    Failed::new(
        REJECTED,
        format!("{file}: a gateway would refuse it: {error}"),
    )
}

fn described(module: &Module, wasm: &[u8]) -> Described {
    let manifest = module.manifest();
    let suite = Suite::embedded(wasm).ok().flatten();
    Described {
        policy: manifest.name.clone(),
        version: manifest.version.clone(),
        digest: module.digest().to_string(),
        contract: module.contract().version(),
        operations: manifest.operations.iter().map(|o| o.as_str()).collect(),
        needs_lock: manifest.needs_lock,
        needs_usage: manifest.needs_usage,
        cases: suite.map_or(0, |suite| suite.cases().len()),
    }
}

fn show(report: &Report) -> Shown {
    let mut fields = Vec::new();
    if let Some(module) = &report.module {
        let needs = [
            ("the lock", module.needs_lock),
            ("the caller's usage", module.needs_usage),
        ];
        let needs: Vec<&str> = needs.iter().filter(|row| row.1).map(|row| row.0).collect();
        let needs = match needs.is_empty() {
            true => "nothing but the request".to_owned(),
            false => needs.join(", "),
        };
        let cases = match module.cases {
            0 => "none".to_owned(),
            cases => format!("{cases}, all pass"),
        };
        fields.extend([
            ("policy", format!("{}@{}", module.policy, module.version)),
            ("digest", module.digest.clone()),
            ("contract", format!("leasehold:policy@{}", module.contract)),
            ("evaluates", module.operations.join(", ")),
            ("reads", needs),
            ("cases", cases),
        ]);
    }
    fields.push(("bytes", report.bytes.to_string()));
    Shown::Fields(fields)
}

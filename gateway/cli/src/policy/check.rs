//! `leasehold policy check`.

use std::path::PathBuf;

use clap::Args;
use leasehold_policy_host::HostError;
use leasehold_policy_host::Inputs;
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
    /// The inputs that it declares to read, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    inputs: Option<DeclaredInputs>,
    cases: usize,
}

#[derive(Debug, Serialize)]
struct DeclaredInputs {
    fields: Vec<&'static str>,
    now_granularity_ms: Option<u64>,
}

impl DeclaredInputs {
    fn of(inputs: Inputs) -> Self {
        Self {
            fields: inputs.fields().collect(),
            now_granularity_ms: inputs.now_granularity_ms(),
        }
    }

    fn shown(&self) -> String {
        let time = match self.now_granularity_ms {
            None => String::new(),
            Some(ms) => format!("the time to {ms} ms"),
        };
        let fields = self.fields.iter().map(|field| (*field).to_owned());
        let all: Vec<String> = fields
            .chain(Some(time).filter(|text| !text.is_empty()))
            .collect();
        match all.is_empty() {
            true => "only its configuration".to_owned(),
            false => all.join(", "),
        }
    }
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
        inputs: manifest.reads.map(DeclaredInputs::of),
        cases: suite.map_or(0, |suite| suite.cases().len()),
    }
}

fn show(report: &Report) -> Shown {
    let mut fields = Vec::new();
    if let Some(module) = &report.module {
        let inputs = module.inputs.as_ref();
        let inputs = inputs.map_or_else(
            || "everything (it declares nothing)".to_owned(),
            DeclaredInputs::shown,
        );
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
            ("depends on", inputs),
            ("cases", cases),
        ]);
    }
    fields.push(("bytes", report.bytes.to_string()));
    Shown::Fields(fields)
}

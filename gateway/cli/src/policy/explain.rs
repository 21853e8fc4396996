//! `leasehold policy explain`.

use std::path::PathBuf;

use clap::Args;
use leasehold_policy_host::cases::Question;
use leasehold_policy_host::cases::answered;
use serde::Serialize;

use super::modules;
use crate::exit::Failed;
use crate::exit::REJECTED;
use crate::exit::USAGE;
use crate::output;
use crate::output::Shown;

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// The component, a .wasm file.
    file: PathBuf,
    /// A JSON file with `request`, `principal`, `facts` and `config`, as in a test case; - for
    /// standard input.
    #[arg(long, required_unless_present = "case", conflicts_with = "case")]
    question: Option<PathBuf>,
    /// The name of a test case to ask.
    #[arg(long)]
    case: Option<String>,
    /// A JSON file of test cases, instead of those that the module carries.
    #[arg(long, requires = "case")]
    cases: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    policy: String,
    digest: String,
    contract: &'static str,
    answer: String,
    fuel: u64,
    traces: Vec<String>,
}

/// Asks the module, and shows its answer. Returns the exit code.
pub(super) fn run(arguments: &ExplainArguments, json: bool) -> Result<u8, Failed> {
    let wasm = modules::read(&arguments.file)?;
    let module = modules::compile(&wasm, &arguments.file)?;
    let ask = |question: &Question| {
        let asked = question.ask(&module);
        asked.map_err(|problem| Failed::new(REJECTED, problem))
    };
    let asked = match (&arguments.question, &arguments.case) {
        (Some(file), _) => {
            let question = Question::read(&modules::read(file)?);
            let wrong = |error| Failed::new(USAGE, format!("{}: {error}", file.display()));
            ask(&question.map_err(wrong)?)?
        }
        (None, name) => {
            let name = name.as_deref().unwrap_or_default();
            let suite = modules::suite(&wasm, arguments.cases.as_deref())?;
            let case = suite.cases().iter().find(|case| case.name() == name);
            let missing = || Failed::new(USAGE, format!("there is no case {name:?}"));
            ask(case.ok_or_else(missing)?.question())?
        }
    };
    let (evaluation, traces) = asked.explain();
    let report = Report {
        policy: modules::name_of(&module),
        digest: module.digest().to_string(),
        contract: module.contract().version(),
        answer: answered(&evaluation),
        fuel: evaluation.fuel,
        traces,
    };
    output::finish(Shown::of(json, &report, show))
}

fn show(report: &Report) -> Shown {
    let mut fields = vec![
        ("policy", report.policy.clone()),
        ("digest", report.digest.clone()),
        ("answer", report.answer.clone()),
        ("fuel", report.fuel.to_string()),
    ];
    let traces = report.traces.iter();
    fields.extend(traces.map(|trace| ("traced", trace.clone())));
    Shown::Fields(fields)
}

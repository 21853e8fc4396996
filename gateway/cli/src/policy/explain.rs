//! `leasehold policy explain`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use leasehold_policy_host::Module;
use leasehold_policy_host::cases::Asked;
use leasehold_policy_host::cases::Question;
use leasehold_policy_host::cases::answered;
use serde::Serialize;

use super::modules;
use super::recorded;
use super::recorded::Recorded;
use super::recorded::RecordedArguments;
use crate::connection::Connection;
use crate::exit::Failed;
use crate::exit::REJECTED;
use crate::exit::USAGE;
use crate::input_file;
use crate::output;
use crate::output::Shown;

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// The component, a .wasm file.
    file: PathBuf,
    /// A JSON file with `request`, `principal`, `facts` and `config`, as in a test case; - for
    /// standard input.
    #[arg(long, required_unless_present_any = ["case", "event"], conflicts_with = "case")]
    question: Option<PathBuf>,
    /// The name of a test case to ask.
    #[arg(long)]
    case: Option<String>,
    /// A JSON file of test cases, instead of those that the module carries.
    #[arg(long, requires = "case")]
    cases: Option<PathBuf>,
    #[command(flatten)]
    recorded: RecordedArguments,
}

#[derive(Debug, Serialize)]
struct Report {
    policy: String,
    digest: String,
    contract: &'static str,
    answer: String,
    fuel: u64,
    traces: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<Recorded>,
    /// Whether the answer is the recorded one.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_same_answer: Option<bool>,
}

/// Asks the module, and shows its answer. Returns the exit code.
pub(super) fn run(arguments: &ExplainArguments, connection: &Connection) -> Result<u8, Failed> {
    let wasm = input_file::read(&arguments.file)?;
    let module = modules::compile(&wasm, &arguments.file)?;
    let (asked, recorded) = match arguments.recorded.event {
        Some(cursor) => {
            let (asked, recorded) =
                recorded::ask(&arguments.recorded, cursor, &module, connection)?;
            (asked, Some(recorded))
        }
        None => (hypothetical(arguments, &wasm, &module)?, None),
    };
    let (evaluation, traces) = asked.explain();
    let is_same = recorded
        .as_ref()
        .map(|recorded| recorded.is_met_by(&evaluation));
    let report = Report {
        policy: modules::name_of(&module),
        digest: module.digest().to_string(),
        contract: module.contract().version(),
        answer: answered(&evaluation),
        fuel: evaluation.fuel,
        traces,
        recorded,
        is_same_answer: is_same,
    };
    output::finish(Shown::of(connection.json, &report, show))?;
    match (&report.recorded, is_same) {
        (Some(recorded), Some(false)) if recorded.is_same_module => {
            let message = "the module that decided gives another answer now";
            Err(Failed::new(REJECTED, message))
        }
        _ => Ok(0),
    }
}

/// A question of the author's.
fn hypothetical(
    arguments: &ExplainArguments,
    wasm: &[u8],
    module: &Arc<Module>,
) -> Result<Asked, Failed> {
    let ask = |question: &Question| {
        let asked = question.ask(module);
        asked.map_err(|problem| Failed::new(REJECTED, problem))
    };
    if let Some(file) = &arguments.question {
        let question = Question::read(&input_file::read(file)?);
        let wrong = |error| Failed::new(USAGE, format!("{}: {error}", file.display()));
        return ask(&question.map_err(wrong)?);
    }
    let name = arguments.case.as_deref().unwrap_or_default();
    let suite = modules::suite(wasm, arguments.cases.as_deref())?;
    let case = suite.cases().iter().find(|case| case.name() == name);
    let missing = || Failed::new(USAGE, format!("there is no case {name:?}"));
    ask(case.ok_or_else(missing)?.question())
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
    if let Some(recorded) = &report.recorded {
        let is_same = report.is_same_answer.unwrap_or_default();
        fields.extend([
            (
                "decided by",
                format!("{}, binding {}", recorded.version, recorded.binding),
            ),
            ("recorded", recorded.answer.clone()),
            ("recorded fuel", recorded.fuel.to_string()),
            ("same answer", if is_same { "yes" } else { "no" }.to_owned()),
        ]);
    }
    Shown::Fields(fields)
}

//! `leasehold policy test`.

use std::path::PathBuf;

use clap::Args;
use leasehold_policy_host::cases::Case;
use leasehold_policy_host::cases::Ran;
use leasehold_policy_host::cases::Suite;
use serde::Serialize;

use super::modules;
use crate::exit::Failed;
use crate::exit::REJECTED;
use crate::input_file;
use crate::output;
use crate::output::Shown;

#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// The component, a .wasm file; - for standard input.
    file: PathBuf,
    /// A JSON file of test cases, instead of those that the module carries.
    #[arg(long)]
    cases: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report<'r> {
    policy: String,
    digest: String,
    cases: Vec<Row<'r>>,
    failed: usize,
    /// Codes that the file of cases declares and no case was denied with.
    unreached_codes: Vec<&'r str>,
    /// Codes that a case was denied with and the file does not declare.
    undeclared_codes: Vec<&'r str>,
}

#[derive(Debug, Serialize)]
struct Row<'r> {
    name: &'r str,
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    fuel: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<&'r str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    traces: &'r [String],
}

/// Runs all cases, and shows them. Returns the exit code.
pub(super) fn run(arguments: &TestArguments, json: bool) -> Result<u8, Failed> {
    let wasm = input_file::read(&arguments.file)?;
    let suite = modules::suite(&wasm, arguments.cases.as_deref())?;
    let module = modules::compile(&wasm, &arguments.file)?;
    let run = |case: &Case| case.run(&module);
    let ran: Vec<Ran> = suite.cases().iter().map(run).collect();
    let report = report(
        &suite,
        &ran,
        modules::name_of(&module),
        module.digest().to_string(),
    );
    match json {
        true => {
            output::finish(Shown::of(true, &report, |_| Shown::Fields(Vec::new())))?;
        }
        false => {
            output::print(&told(&report))?;
        }
    }
    Ok(if report.failed == 0 { 0 } else { REJECTED })
}

fn report<'r>(suite: &'r Suite, ran: &'r [Ran], policy: String, digest: String) -> Report<'r> {
    let row = |ran: &'r Ran| Row {
        name: &ran.name,
        passed: ran.failed.is_none(),
        fuel: ran.evaluation.as_ref().map(|evaluation| evaluation.fuel),
        expected: ran.failed.as_ref().map(|failed| &*failed.expected),
        answered: ran.failed.as_ref().map(|failed| &*failed.answered),
        traces: match ran.failed {
            Some(_) => &ran.traces,
            None => &[],
        },
    };
    Report {
        policy,
        digest,
        cases: ran.iter().map(row).collect(),
        failed: ran.iter().filter(|ran| ran.failed.is_some()).count(),
        unreached_codes: suite.unreached(ran),
        undeclared_codes: suite.undeclared(ran).into_iter().collect(),
    }
}

fn told(report: &Report<'_>) -> String {
    let width = report.cases.iter().map(|row| row.name.chars().count());
    let width = width.max().unwrap_or(0);
    let mut text = String::new();
    for row in &report.cases {
        let result = if row.passed { "ok    " } else { "FAILED" };
        let fuel = row.fuel.map(|fuel| format!("{fuel} fuel"));
        let fuel = fuel.unwrap_or_default();
        let line = format!("{result}  {:width$}  {fuel}", row.name);
        text += line.trim_end();
        text.push('\n');
        for (what, told) in [("expected", row.expected), ("got", row.answered)] {
            if let Some(told) = told {
                text += &format!("          {what:8}  {told}\n");
            }
        }
        for trace in row.traces {
            text += &format!("          {:8}  {trace}\n", "traced");
        }
    }
    for (what, codes) in [
        ("codes that no case reaches", &report.unreached_codes),
        (
            "codes that the cases do not declare",
            &report.undeclared_codes,
        ),
    ] {
        if !codes.is_empty() {
            text += &format!("{what}: {}\n", codes.join(", "));
        }
    }
    let (all, failed) = (report.cases.len(), report.failed);
    text + &format!("{}: {all} cases, {failed} failed\n", report.policy)
}

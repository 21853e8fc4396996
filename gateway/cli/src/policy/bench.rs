//! `leasehold policy bench`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_policy_host::Module;
use leasehold_policy_host::cases::Case;
use serde::Serialize;

use super::modules;
use crate::exit::Failed;
use crate::exit::REJECTED;
use crate::input_file;
use crate::output;
use crate::output::Shown;

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// The component, a .wasm file.
    file: PathBuf,
    /// A JSON file of test cases, instead of those that the module carries.
    #[arg(long)]
    cases: Option<PathBuf>,
    /// Another component, usually the version before, which is asked the same.
    #[arg(long, value_name = "OTHER")]
    compare: Option<PathBuf>,
    /// How much more fuel than OTHER a case may need, in percent, before the exit code says so.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 5,
        requires = "compare"
    )]
    tolerance: u32,
    /// How often each case is asked.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repeat: u32,
}

/// One case in one module.
#[derive(Debug, Clone, Copy, Serialize)]
struct Cost {
    fuel: u64,
    p50_us: f64,
    p99_us: f64,
}

#[derive(Debug, Serialize)]
struct Row {
    case: String,
    #[serde(flatten)]
    cost: Cost,
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<Cost>,
    /// Whether it needs more fuel than the other module and the tolerance allow.
    regressed: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    policy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    compared_with: Option<String>,
    cases: Vec<Row>,
    regressed: usize,
}

/// Measures all cases, and shows them. Returns the exit code.
pub(super) fn run(arguments: &BenchArguments, json: bool) -> Result<u8, Failed> {
    let wasm = input_file::read(&arguments.file)?;
    let suite = modules::suite(&wasm, arguments.cases.as_deref())?;
    let module = modules::compile(&wasm, &arguments.file)?;
    let other = match &arguments.compare {
        Some(file) => Some(modules::compile(&input_file::read(file)?, file)?),
        None => None,
    };
    let mut rows = Vec::new();
    for case in suite.cases() {
        // A case whose configuration is refused is never asked.
        let Some(cost) = measure(case, &module, arguments.repeat) else {
            continue;
        };
        let other = other.as_ref();
        let other = other.and_then(|other| measure(case, other, arguments.repeat));
        rows.push(Row {
            case: case.name().to_owned(),
            cost,
            other,
            regressed: other.is_some_and(|other| regressed(cost, other, arguments.tolerance)),
        });
    }
    let report = Report {
        policy: modules::name_of(&module),
        compared_with: other.as_deref().map(modules::name_of),
        regressed: rows.iter().filter(|row| row.regressed).count(),
        cases: rows,
    };
    output::finish(Shown::of(json, &report, show))?;
    match report.regressed {
        0 => Ok(0),
        cases => {
            let limit = arguments.tolerance;
            let message = format!("cases that need over {limit} % more fuel than before: {cases}");
            Err(Failed::new(REJECTED, message))
        }
    }
}

fn measure(case: &Case, module: &Arc<Module>, repeat: u32) -> Option<Cost> {
    let asked = case.question().ask(module).ok()?;
    let clock = SystemClock::new();
    let mut fuel = 0;
    let mut times: Vec<Duration> = (0..repeat)
        .map(|_| {
            let began = clock.monotonic();
            fuel = asked.decide().fuel;
            clock.monotonic().saturating_sub(began)
        })
        .collect();
    times.sort_unstable();
    let at = |percent: usize| {
        let time = times.get(times.len().saturating_sub(1) * percent / 100);
        let us = time.map_or(0.0, |time| time.as_secs_f64() * 1e6);
        (us * 10.0).round() / 10.0
    };
    Some(Cost {
        fuel,
        p50_us: at(50),
        p99_us: at(99),
    })
}

fn regressed(cost: Cost, other: Cost, tolerance: u32) -> bool {
    let (now, before) = (u128::from(cost.fuel), u128::from(other.fuel));
    now * 100 > before * (100 + u128::from(tolerance))
}

fn show(report: &Report) -> Shown {
    let mut headings = vec!["CASE", "FUEL", "P50 US", "P99 US"];
    if report.compared_with.is_some() {
        headings.extend(["OTHER FUEL", "CHANGE", "OTHER P50 US"]);
    }
    let row = |row: &Row| {
        let mut cells = vec![
            row.case.clone(),
            row.cost.fuel.to_string(),
            format!("{:.1}", row.cost.p50_us),
            format!("{:.1}", row.cost.p99_us),
        ];
        if let Some(other) = row.other {
            let before = other.fuel.max(1) as f64;
            let change = (row.cost.fuel as f64 - before) * 100.0 / before;
            cells.push(other.fuel.to_string());
            cells.push(format!("{change:+.1} %"));
            cells.push(format!("{:.1}", other.p50_us));
        }
        cells
    };
    Shown::Table(headings, report.cases.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_fuel_than_the_tolerance_is_a_regression() {
        let cost = |fuel| Cost {
            fuel,
            p50_us: 0.0,
            p99_us: 0.0,
        };
        assert!(!regressed(cost(105), cost(100), 5));
        assert!(regressed(cost(106), cost(100), 5));
        assert!(regressed(cost(101), cost(100), 0));
        assert!(!regressed(cost(90), cost(100), 0));
    }
}

//! `leasehold policy replay`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use leasehold_client::Client;
use leasehold_wire::v1::paths;
use leasehold_wire::v1::replay as wire;

use crate::connection::Connection;
use crate::connection::block_on;
use crate::connection::duration_ms;
use crate::exit::Failed;
use crate::exit::SYSTEM;
use crate::input_file;
use crate::output;
use crate::output::Shown;

/// How many differences are shown; with `--json` all that the gateway lists.
const DIFFERENCES_SHOWN: usize = 10;
/// How many differences of all parts together are kept.
const DIFFERENCES_KEPT: usize = 100;

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// POLICY@VERSION, the candidate; POLICY alone for the recorded versions.
    candidate: String,
    /// The candidate's configuration, a JSON file; absent: the recorded configurations.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only decisions since this long ago, such as 7d; absent: all.
    #[arg(long = "since", value_name = "DURATION", value_parser = duration_ms)]
    since_ms: Option<u64>,
    /// Only decisions from this time on, in milliseconds since 1970, as a report names it.
    #[arg(long, value_name = "MS", conflicts_with = "since_ms")]
    from_ms: Option<u64>,
    /// Only decisions by this binding.
    #[arg(long)]
    binding: Option<String>,
    /// Only decisions in this namespace.
    #[arg(long)]
    namespace: Option<String>,
    /// The store whose ledger is asked.
    #[arg(long, default_value = "home")]
    store: String,
    /// Go on after this event, where a replay was cut off.
    #[arg(long, value_name = "CURSOR")]
    after: Option<u64>,
    /// Only events up to this one, as a report names it; absent: those that are there when it begins.
    #[arg(long, value_name = "CURSOR")]
    to: Option<u64>,
    /// Write the report to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Replays part by part, with progress on standard error, and shows the whole.
pub(super) fn run(arguments: ReplayArguments, connection: Connection) -> Result<Shown, Failed> {
    let json = connection.json;
    let client = connection.client()?;
    let file = arguments.report.clone();
    let request = request(arguments)?;
    let report = block_on(replay(&client, request.clone()))?;
    if let Some(file) = file {
        let text = serde_json::to_string_pretty(&report);
        let text = text.map_err(|error| Failed::new(SYSTEM, error.to_string()))?;
        std::fs::write(&file, text + "\n").map_err(|error| {
            let message = format!("--report {}: {error}", file.display());
            Failed::new(SYSTEM, message)
        })?;
    }
    Shown::of(json, &report, |report| show(&request, report))
}

fn request(arguments: ReplayArguments) -> Result<wire::ReplayRequest, Failed> {
    let (policy, version) = match arguments.candidate.split_once('@') {
        Some((policy, version)) => (policy.to_owned(), Some(version.to_owned())),
        None => (arguments.candidate, None),
    };
    let config = arguments.config.map(|file| input_file::json(&file));
    Ok(wire::ReplayRequest {
        policy,
        version,
        config: config.transpose()?,
        binding: arguments.binding,
        namespace: arguments.namespace,
        since_ms: arguments.since_ms,
        from_ms: arguments.from_ms,
        store: Some(arguments.store),
        after: arguments.after,
        to: arguments.to,
        digest: None,
    })
}

async fn replay(
    client: &Client,
    mut request: wire::ReplayRequest,
) -> Result<wire::ReplayReport, Failed> {
    let mut whole = wire::ReplayReport::default();
    loop {
        let part: wire::ReplayReport = client.post(paths::POLICIES_REPLAY, &request).await?;
        let (next, complete_to) = (part.next_cursor, part.complete_to);
        // Events that arrive meanwhile are not in the report, which could not be had again else.
        (request.from_ms, request.since_ms) = (part.from_ms, None);
        request.to.get_or_insert(complete_to);
        request.digest = Some(part.digest.clone());
        merge(&mut whole, part);
        let Some(next) = next else {
            return Ok(whole);
        };
        let decisions = whole.decisions;
        output::tell(&format!(
            "{decisions} decisions, up to event {next} of {complete_to}"
        ));
        request.after = Some(next);
    }
}

/// Adds a part to what came before it.
fn merge(whole: &mut wire::ReplayReport, part: wire::ReplayReport) {
    fn add(into: &mut BTreeMap<String, u64>, counts: BTreeMap<String, u64>) {
        for (name, count) in counts {
            *into.entry(name).or_default() += count;
        }
    }
    whole.decisions += part.decisions;
    whole.agreed += part.agreed;
    whole.reproduced += part.reproduced;
    whole.not_reproduced += part.not_reproduced;
    whole.prevented_holds += part.prevented_holds;
    whole.complete_to = part.complete_to;
    (whole.digest, whole.from_ms) = (part.digest, part.from_ms);
    add(&mut whole.differences, part.differences);
    add(&mut whole.unknown, part.unknown);
    for group in part.groups {
        let same =
            |known: &&mut wire::ReplayGroup| known.team == group.team && known.lock == group.lock;
        match whole.groups.iter_mut().find(same) {
            Some(known) => add(&mut known.differences, group.differences),
            None => whole.groups.push(group),
        }
    }
    let free = DIFFERENCES_KEPT.saturating_sub(whole.first.len());
    whole.first.extend(part.first.into_iter().take(free));
}

/// The options with which the same report can be had again.
fn again(request: &wire::ReplayRequest, report: &wire::ReplayReport) -> String {
    let after = request.after.map(|after| format!("--after {after} "));
    let from = report.from_ms.map(|from| format!("--from-ms {from} "));
    let options: String = after.into_iter().chain(from).collect();
    format!("{options}--to {}", report.complete_to)
}

fn show(request: &wire::ReplayRequest, report: &wire::ReplayReport) -> Shown {
    let counts = |counts: &BTreeMap<String, u64>| {
        let counts: Vec<String> = counts.iter().map(|(k, n)| format!("{n} {k}")).collect();
        counts.join(", ")
    };
    let mut fields = vec![
        ("decisions", report.decisions.to_string()),
        ("answered alike", report.agreed.to_string()),
    ];
    for (name, counted) in [
        ("differences", &report.differences),
        ("cannot be replayed", &report.unknown),
    ] {
        if !counted.is_empty() {
            fields.push((name, counts(counted)));
        }
    }
    if report.reproduced + report.not_reproduced > 0 {
        let told = format!("{}, {} otherwise", report.reproduced, report.not_reproduced);
        fields.push(("same answer and fuel", told));
    }
    if report.prevented_holds > 0 {
        fields.push(("prevented holds", report.prevented_holds.to_string()));
    }
    fields.push(("report", report.digest.clone()));
    fields.push(("the same again with", again(request, report)));
    for group in report.groups.iter().take(DIFFERENCES_SHOWN) {
        let team = group.team.as_deref().unwrap_or("no team");
        let told = format!("{} of {team}: {}", group.lock, counts(&group.differences));
        fields.push(("lock", told));
    }
    for difference in report.first.iter().take(DIFFERENCES_SHOWN) {
        let told = format!(
            "event {} {} {} {} by {}: {} -> {}",
            difference.cursor,
            difference.kind,
            difference.operation,
            difference.lock,
            difference.subject,
            difference.recorded,
            difference.candidate
        );
        fields.push(("difference", told));
    }
    Shown::Fields(fields)
}

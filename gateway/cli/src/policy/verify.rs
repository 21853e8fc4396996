//! `leasehold policy verify`: the check of signatures without a gateway.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use leasehold_core::signing::KeyId;
use leasehold_core::signing::PolicySignature;
use leasehold_core::signing::Statement;
use leasehold_core::signing::VerifyingKey;
use leasehold_core::telemetry::rfc3339;
use leasehold_domain::Clock as _;
use leasehold_domain::SystemClock;
use leasehold_domain::WallMillis;
use serde::Serialize;

use super::modules;
use super::sign;
use crate::exit::Failed;
use crate::exit::REJECTED;
use crate::exit::USAGE;
use crate::input_file;
use crate::output;
use crate::output::Shown;

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The module, a .wasm file.
    file: PathBuf,
    /// A file of signatures; may be repeated.
    #[arg(long, value_name = "FILE", required = true)]
    signature: Vec<PathBuf>,
    /// A public key that is trusted, in PEM; may be repeated.
    #[arg(long, value_name = "PUB.pem", required = true, num_args = 1..)]
    trusted: Vec<PathBuf>,
    /// How many distinct trusted keys must have signed.
    #[arg(long, value_name = "K", default_value_t = 1)]
    required: usize,
}

#[derive(Debug, Serialize)]
struct Report {
    verified: bool,
    policy: String,
    digest: String,
    required: usize,
    signatures: Vec<Checked>,
}

#[derive(Debug, Serialize)]
struct Checked {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    counts: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
}

/// Verifies signatures of a module. Returns the exit code.
pub(super) fn run(arguments: &VerifyArguments, json: bool) -> Result<u8, Failed> {
    if arguments.required == 0 {
        return Err(Failed::new(USAGE, "--required: must be at least 1"));
    }
    let wasm = input_file::read(&arguments.file)?;
    let module = modules::compile(&wasm, &arguments.file)?;
    let mut trusted: BTreeMap<KeyId, (PathBuf, VerifyingKey)> = BTreeMap::new();
    for file in &arguments.trusted {
        let key = sign::public_key(file)?;
        trusted.insert(key.id(), (file.clone(), key));
    }
    let now = SystemClock::new().wall();
    let (mut checked, mut counted) = (Vec::new(), Vec::new());
    for file in &arguments.signature {
        for signature in sign::read(file)?.signatures {
            let known = trusted.get(&signature.key);
            let problem = problem(&signature, &sign::statement(&module), known, now);
            if problem.is_none() && !counted.contains(&signature.key) {
                counted.push(signature.key);
            }
            checked.push(Checked {
                key: signature.key.to_string(),
                file: known.map(|(file, _)| file.clone()),
                counts: problem.is_none(),
                problem,
                not_after: signature.statement.not_after.map(rfc3339),
            });
        }
    }
    let report = Report {
        verified: counted.len() >= arguments.required,
        policy: modules::name_of(&module),
        digest: module.digest().to_string(),
        required: arguments.required,
        signatures: checked,
    };
    output::finish(Shown::of(json, &report, show))?;
    match report.verified {
        true => Ok(0),
        false if json => Ok(REJECTED),
        false => Err(Failed::new(
            REJECTED,
            format!(
                "{}: {} of {} required signatures by distinct trusted keys count",
                arguments.file.display(),
                counted.len(),
                report.required
            ),
        )),
    }
}

/// Returns why a signature does not count.
fn problem(
    signature: &PolicySignature,
    module: &Statement,
    known: Option<&(PathBuf, VerifyingKey)>,
    now: WallMillis,
) -> Option<String> {
    let Some((_, key)) = known else {
        return Some("the key is not trusted".to_owned());
    };
    if !signature.is_by(key) {
        return Some("the key did not sign this statement".to_owned());
    }
    let stated = &signature.statement;
    if (&stated.policy, &stated.version) != (&module.policy, &module.version) {
        return Some(format!("it is about {}@{}", stated.policy, stated.version));
    }
    if (stated.module, stated.schema) != (module.module, module.schema) {
        return Some(format!("it is about the module {}", stated.module));
    }
    match (stated.not_before, stated.not_after) {
        (_, Some(until)) if now > until => Some(format!("expired at {}", rfc3339(until))),
        (Some(from), _) if now < from => Some(format!("valid from {} on", rfc3339(from))),
        _ => None,
    }
}

fn show(report: &Report) -> Shown {
    let mut fields = vec![
        ("policy", report.policy.clone()),
        ("digest", report.digest.clone()),
    ];
    for signature in &report.signatures {
        let short: String = signature.key.chars().take(12).collect();
        let by = match &signature.file {
            Some(file) => format!("{} (key {short})", file.display()),
            None => format!("key {short}"),
        };
        let told = match (&signature.problem, &signature.not_after) {
            (Some(problem), _) => format!("{by}: does not count: {problem}"),
            (None, Some(until)) => format!("{by}, until {until}"),
            (None, None) => by,
        };
        fields.push(("signed by", told));
    }
    let verdict = match report.verified {
        true => "yes",
        false => "no",
    };
    fields.push(("verified", verdict.to_owned()));
    Shown::Fields(fields)
}

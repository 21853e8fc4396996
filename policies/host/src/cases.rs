//! Test cases that travel inside a module: request, facts and configuration, and the verdict that
//! must come out. The format is told in `policies/README.md`.

mod format;

use leasehold_domain::PolicyAnswer;

use self::format::Case;
use self::format::Expectation;
use crate::error::HostError;
use crate::limits::CASES_MAX;
use crate::module::Module;
use crate::section;

/// The custom section of a component that holds its cases as JSON.
pub const SECTION: &str = "leasehold:cases";

/// The component with its test cases in it.
///
/// # Errors
/// [`HostError::Cases`] if the cases cannot be read, or the component has some already.
pub fn embed(wasm: &[u8], cases: &[u8]) -> Result<Vec<u8>, HostError> {
    parse(cases)?;
    if section::find(wasm, SECTION).is_some() {
        return Err(HostError::Cases(
            "the component has some already".to_owned(),
        ));
    }
    Ok(section::append(wasm, SECTION, cases))
}

/// Runs the cases that a module carries, if it does.
pub(crate) fn run_embedded(
    module: &std::sync::Arc<Module>,
    wasm: &[u8],
) -> Result<usize, HostError> {
    let Some(bytes) = section::find(wasm, SECTION) else {
        return Ok(0);
    };
    let cases = parse(bytes)?;
    for case in &cases {
        run(module, case).map_err(|problem| HostError::CaseFailed {
            case: case.name.clone(),
            problem,
        })?;
    }
    Ok(cases.len())
}

fn parse(bytes: &[u8]) -> Result<Vec<Case>, HostError> {
    let cases: Vec<Case> =
        serde_json::from_slice(bytes).map_err(|error| HostError::Cases(error.to_string()))?;
    if cases.len() > CASES_MAX {
        return Err(HostError::Cases(format!("more than {CASES_MAX}")));
    }
    Ok(cases)
}

fn run(module: &std::sync::Arc<Module>, case: &Case) -> Result<(), String> {
    let (request, principal, facts) = case.arguments()?;
    if !module.manifest().operations.contains(&request.operation) {
        return Err(format!(
            "the policy does not judge {}",
            request.operation.as_str()
        ));
    }
    let bound = match (module.bind(&case.config), &case.expect) {
        (Ok(bound), _) => bound,
        (Err(error), Expectation::BadConfig(part)) if error.to_string().contains(part) => {
            return Ok(());
        }
        (Err(error), _) => return Err(error.to_string()),
    };
    match bound.decide(&request, &principal, &facts).answer {
        Ok(answer) if case.expect.met_by(&answer) => Ok(()),
        Ok(answer) => Err(told(&answer)),
        Err(fault) => Err(format!("the policy {fault}")),
    }
}

fn told(answer: &PolicyAnswer) -> String {
    match answer {
        PolicyAnswer::Allow(limits) => format!("it allowed, with {limits:?}"),
        PolicyAnswer::Deny {
            code,
            message,
            retry_after_ms,
        } => {
            format!("it denied with `{code}`: {message} (retry after {retry_after_ms:?} ms)")
        }
        PolicyAnswer::Error { message, .. } => format!("it failed: {message}"),
    }
}

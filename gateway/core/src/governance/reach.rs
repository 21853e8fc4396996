//! Finds the parts of a binding that can never match. A rule that never applies fails open without
//! a sign, so it is refused when it is written. Bindings that are stored already are loaded as they
//! are: refusing them then would change what is judged.

use leasehold_domain::Operation;
use leasehold_domain::check_lock_pattern;
use leasehold_policy_host::BoundPolicy;

use super::document::BindingDocument;
use super::plan::PlanStep;
use crate::failure::Failure;

/// How many problems of one binding are told.
const PROBLEMS_MAX: usize = 16;

/// Checks the lock patterns and the operations of a binding by themselves.
///
/// # Errors
/// All that can never match, each with its place.
pub(super) fn check_texts(binding: &BindingDocument) -> Result<(), Failure> {
    let mut problems = Vec::new();
    if binding.locks.is_empty() {
        problems.push("locks: at least one pattern; leave locks out to cover all".to_owned());
    }
    for (index, pattern) in binding.locks.iter().enumerate() {
        if let Err(reason) = check_lock_pattern(pattern) {
            problems.push(format!(
                "locks[{index}]: {pattern:?} can never match a lock: {reason}"
            ));
        }
    }
    for (index, name) in binding.operations.iter().enumerate() {
        if let Err(reason) = judged(name) {
            problems.push(format!("operations[{index}]: {reason}"));
        }
    }
    for (at, policy) in binding.policies.iter().enumerate() {
        for (index, name) in policy.on_error.allow.iter().enumerate() {
            if Operation::from_name(name).is_none() {
                problems.push(format!(
                    "policies[{at}].on_error_allow[{index}]: there is no {name:?}"
                ));
            }
        }
    }
    refuse(problems)
}

/// Checks a binding against what its policies judge, and their configurations. `steps` are those of
/// the binding's policies, in the same order.
///
/// # Errors
/// All that can never match, each with its place.
pub(super) fn check_steps(binding: &BindingDocument, steps: &[PlanStep]) -> Result<(), Failure> {
    let mut problems = Vec::new();
    for (index, name) in binding.operations.iter().enumerate() {
        let asked = |planned: &PlanStep| planned.operations().any(|asked| asked.as_str() == name);
        if !steps.iter().any(asked) {
            let policies = steps.iter().map(manifest_of).collect::<Vec<_>>();
            problems.push(format!(
                "operations[{index}]: none of the bound policies judges {name}: {}",
                policies.join("; ")
            ));
        }
    }
    for (at, planned) in steps.iter().enumerate() {
        if planned.operations().next().is_none() {
            let named = match binding.operations.is_empty() {
                true => "policies are never asked about these".to_owned(),
                false => format!("the binding names {}", binding.operations.join(", ")),
            };
            problems.push(format!(
                "policies[{at}]: it would never be asked: {}, and {named}",
                manifest_of(planned)
            ));
        }
        let unmatchable = planned.step.bound.iter().flat_map(BoundPolicy::unmatchable);
        problems.extend(
            unmatchable.map(|problem| {
                format!("policies[{at}].config{}: {}", problem.path, problem.message)
            }),
        );
    }
    refuse(problems)
}

/// What a step's module judges, in words.
fn manifest_of(PlanStep { step, .. }: &PlanStep) -> String {
    let names = match &step.bound {
        Ok(bound) => {
            let operations = bound.module().manifest().operations.iter();
            operations
                .map(|o| o.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        }
        Err(_) => "nothing that is known".to_owned(),
    };
    format!("{}@{} judges {names}", step.policy, step.version)
}

/// Checks that policies are asked about an operation.
fn judged(name: &str) -> Result<(), String> {
    match Operation::from_name(name) {
        Some(operation) if operation.is_judged() => Ok(()),
        Some(_) => Err(format!(
            "{name} is never judged: giving back a lease or a place in the queue is always possible"
        )),
        None => {
            let all = Operation::ALL.into_iter().filter(|o| o.is_judged());
            let names: Vec<_> = all.map(Operation::as_str).collect();
            Err(format!(
                "there is no {name:?}; there is {}",
                names.join(", ")
            ))
        }
    }
}

fn refuse(mut problems: Vec<String>) -> Result<(), Failure> {
    if problems.is_empty() {
        return Ok(());
    }
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    problems.truncate(PROBLEMS_MAX);
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    Err(Failure::invalid(problems.join("; ")))
}

#[cfg(test)]
mod tests;

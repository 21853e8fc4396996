//! What must hold of every history. Pure functions, each with tests that show that it can fail.

mod acknowledged;
mod coverage;
mod early;
mod exclusion;
mod freed;
mod linear;
mod model;
mod places;
mod recovery;
#[cfg(test)]
mod scene;
mod tokens;
mod watches;

use crate::robustness::History;

/// What a run was meant to have in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Kinds of faults.
    pub faults: Vec<String>,
    /// Calls that were answered well.
    pub calls_min: usize,
    /// Whether all gateways have one ledger.
    pub one_ledger: bool,
}

/// A check that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The check's name.
    pub check: &'static str,
    /// What was seen.
    pub what: String,
}

type Check = fn(&History, &Expected) -> Vec<String>;

/// All checks, by the name under which a summary shows them.
pub const CHECKS: &[(&str, Check)] = &[
    ("linearizable", linear::check),
    ("exclusive", exclusion::check),
    ("tokens grow", tokens::check),
    ("no lease ends early", early::check),
    ("grants are in the ledger once", acknowledged::check),
    ("a dead holder's lock is granted again", freed::check),
    ("who comes back in time keeps its place", places::check),
    ("watchers are told each transition once", watches::check),
    ("recovers in time", recovery::check),
    ("has faults and load", coverage::check),
];

/// Runs all checks; what did not hold.
#[must_use]
pub fn run(history: &History, expected: &Expected) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (name, check) in CHECKS {
        let found = check(history, expected).into_iter();
        violations.extend(found.map(|what| Violation { check: name, what }));
    }
    violations
}

/// The names of all locks in a history.
fn locks(history: &History) -> std::collections::BTreeSet<&str> {
    let locks = history.calls.iter().map(|call| call.lock.as_str());
    locks.collect()
}

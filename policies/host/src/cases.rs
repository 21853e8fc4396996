//! Test cases that travel inside a module: request, facts and configuration, and the verdict that
//! must come out. The format is told in `policies/README.md`.

mod expectation;
mod format;
mod run;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use self::expectation::describe_answer;
pub use self::format::Case;
pub use self::format::Question;
pub use self::run::Asked;
pub use self::run::Failed;
pub use self::run::Ran;
pub use self::run::answered;

use self::format::File;
use crate::error::HostError;
use crate::limits::CASES_MAX;
use crate::module::Module;
use crate::section;

/// The custom section of a component that holds its cases as JSON.
pub const SECTION: &str = "leasehold:cases";

/// The cases of a policy, and the codes of its denials.
#[derive(Debug)]
pub struct Suite {
    cases: Vec<Case>,
    codes: Vec<String>,
}

impl Suite {
    /// Reads cases from JSON: a list of them, or an object with `cases` and the `codes` of all
    /// denials.
    ///
    /// # Errors
    /// [`HostError::Cases`] if it is something else, or there are more than 1,000.
    pub fn read(json: &[u8]) -> Result<Self, HostError> {
        let file: File =
            serde_json::from_slice(json).map_err(|error| HostError::Cases(error.to_string()))?;
        let (cases, codes) = file.parts();
        if cases.len() > CASES_MAX {
            return Err(HostError::Cases(format!("more than {CASES_MAX}")));
        }
        Ok(Self { cases, codes })
    }

    /// Reads the cases that a component carries, if it does.
    ///
    /// # Errors
    /// As for [`Suite::read`].
    pub fn embedded(wasm: &[u8]) -> Result<Option<Self>, HostError> {
        section::find(wasm, SECTION).map(Self::read).transpose()
    }

    /// The cases, in the order of the file.
    #[must_use]
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Returns the codes that the file declares and no case reached ([`Ran::codes`]); empty if it
    /// declares none.
    #[must_use]
    pub fn unreached(&self, ran: &[Ran]) -> Vec<&str> {
        let reached: BTreeSet<&str> = ran.iter().flat_map(Ran::codes).collect();
        let codes = self.codes.iter().map(String::as_str);
        codes.filter(|code| !reached.contains(code)).collect()
    }

    /// Returns the codes that a case reached ([`Ran::codes`]) and the file does not declare; empty if
    /// it declares none.
    #[must_use]
    pub fn undeclared<'r>(&self, ran: &'r [Ran]) -> BTreeSet<&'r str> {
        let declares = |code: &&str| self.codes.iter().any(|declared| declared == code);
        let reached = ran.iter().flat_map(Ran::codes);
        match self.codes.is_empty() {
            true => BTreeSet::new(),
            false => reached.filter(|code| !declares(code)).collect(),
        }
    }
}

/// The component with its test cases in it.
///
/// # Errors
/// [`HostError::Cases`] if the cases cannot be read, or the component has some already.
pub fn embed(wasm: &[u8], cases: &[u8]) -> Result<Vec<u8>, HostError> {
    Suite::read(cases)?;
    if section::find(wasm, SECTION).is_some() {
        return Err(HostError::Cases(
            "the component has some already".to_owned(),
        ));
    }
    Ok(section::append(wasm, SECTION, cases))
}

/// Runs the cases that a module carries, if it does. Stops at the first that fails.
pub(crate) fn run_embedded(module: &Arc<Module>, wasm: &[u8]) -> Result<(), HostError> {
    let suite = Suite::embedded(wasm)?;
    for case in suite.iter().flat_map(Suite::cases) {
        let ran = case.run(module);
        if let Some(failed) = ran.failed {
            return Err(HostError::CaseFailed {
                case: ran.name,
                problem: format!("expected {}; {}", failed.expected, failed.answered),
            });
        }
    }
    Ok(())
}

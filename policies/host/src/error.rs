//! Why a module or a configuration was refused. The messages are for policy authors.

use std::fmt;

use crate::contract::Contract;
use crate::fault::PolicyFault;

/// Why a module was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The engine could not be made.
    #[error("the policy engine cannot start: {0}")]
    Engine(String),
    /// More bytes than a module may have.
    #[error("the module has {bytes} bytes; at most {max} are allowed")]
    TooLarge {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        max: usize,
    },
    /// Something else than a WebAssembly component.
    #[error("not a WebAssembly component: {0}")]
    NotAComponent(&'static str),
    /// It does not validate, uses a feature that is off, or passes a limit of the engine.
    #[error("the module does not compile: {0}")]
    Compile(String),
    /// It has more of something than the compiler is given.
    #[error("the module has {count} {what}; at most {max} are allowed")]
    TooComplex {
        /// What there is too much of.
        what: &'static str,
        /// How many there are; counting stops at the first that is too many.
        count: usize,
        /// How many are allowed.
        max: usize,
    },
    /// The compiler failed on it, which no module should be able to cause.
    #[error("the compiler failed on it: {0}")]
    Panicked(String),
    /// It wants something from the host that a policy does not get.
    #[error(
        "the module imports `{0}`, but a policy may import nothing besides `trace` and its own \
         types: no WASI, no clock, no network"
    )]
    ForbiddenImport(String),
    /// It is built for a version of the contract that this build does not know.
    #[error(
        "the module is built for leasehold:policy@{0}; this gateway speaks {known}",
        known = Contract::all()
    )]
    UnknownContract(String),
    /// It is a component of another world.
    #[error(
        "the module is not of the world leasehold:policy/policy ({known}): {0}",
        known = Contract::all()
    )]
    WrongWorld(String),
    /// `describe` failed.
    #[error("`describe` failed: the policy {0}")]
    Describe(PolicyFault),
    /// What `describe` said cannot be.
    #[error("the manifest's {field} {problem}")]
    Manifest {
        /// Which of its fields.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The test cases in the module cannot be read.
    #[error("the module's test cases cannot be read: {0}")]
    Cases(String),
    /// A test case in the module failed.
    #[error("the module's test case `{case}` failed: {problem}")]
    CaseFailed {
        /// Its name.
        case: String,
        /// What came out instead.
        problem: String,
    },
}

/// A configuration that its policy does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// What is wrong, in the order in which it was found; never empty.
    pub problems: Vec<ConfigProblem>,
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Where: a JSON Pointer, empty for the whole.
    pub path: String,
    /// What.
    pub message: String,
}

impl ConfigError {
    /// An error about the whole configuration.
    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self {
            problems: vec![ConfigProblem {
                path: String::new(),
                message: message.into(),
            }],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is refused: ")?;
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

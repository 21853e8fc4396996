//! The versions of the contract `leasehold:policy` that this build speaks.

use std::fmt;

/// What the name of the interface of types begins with; a version follows.
const TYPES: &str = "leasehold:policy/types@";

/// A version of the contract that modules are built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contract {
    /// Types of the world itself.
    V1_0,
    /// Types in an interface that a module imports by name.
    V1_1,
    /// Allowing verdicts carry counters.
    V1_2,
    /// Manifests declare the inputs that verdicts depend on.
    V1_3,
}

impl Contract {
    /// All that modules may be built for, oldest first.
    pub const ALL: [Self; 4] = [Self::V1_0, Self::V1_1, Self::V1_2, Self::V1_3];

    /// The version as it is written in the package's name.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0.0",
            Self::V1_1 => "1.1.0",
            Self::V1_2 => "1.2.0",
            Self::V1_3 => "1.3.0",
        }
    }

    /// The versions of [`Self::ALL`] in one text.
    #[must_use]
    pub fn all() -> String {
        let [before @ .., last] = Self::ALL.map(Self::version);
        format!("{} and {last}", before.join(", "))
    }

    /// Whether its allowing verdicts carry counters.
    pub(crate) fn has_counters(self) -> bool {
        self >= Self::V1_2
    }

    /// Whether its manifests declare inputs.
    pub(crate) fn declares_inputs(self) -> bool {
        self >= Self::V1_3
    }

    /// The contract whose types an import names; `Err` with the version if this build does not know
    /// it, `None` if the import is something else.
    pub(crate) fn of_import(name: &str) -> Option<Result<Self, String>> {
        let version = name.strip_prefix(TYPES)?;
        // The types of 1.0.0 have no interface.
        let known = Self::ALL.into_iter().skip(1);
        let found = known.into_iter().find(|known| known.version() == version);
        Some(found.ok_or_else(|| version.to_owned()))
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leasehold:policy@{}", self.version())
    }
}

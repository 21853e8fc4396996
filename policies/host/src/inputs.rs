//! The inputs that a module declares its verdicts to depend on, and how all others are hidden from it.

mod key;

use std::fmt;

use leasehold_domain::Operation;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::POLICY_NOW_GRANULARITY_MS_MAX as NOW_GRANULARITY_MS_MAX;

use crate::bindings as wit;

/// One input of a decision, besides the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    Operation,
    Namespace,
    Lock,
    Mode,
    TtlMs,
    WaitMs,
    GraceMs,
    Instance,
    Labels,
    Reason,
    Value,
    Successor,
    Lease,
    Subject,
    Team,
    Roles,
    Claims,
    LockView,
    Usage,
}

/// The inputs by their names in the contract.
const NAMES: [(&str, Input); 19] = [
    ("request.operation", Input::Operation),
    ("request.namespace", Input::Namespace),
    ("request.lock", Input::Lock),
    ("request.mode", Input::Mode),
    ("request.ttl-ms", Input::TtlMs),
    ("request.wait-ms", Input::WaitMs),
    ("request.grace-ms", Input::GraceMs),
    ("request.instance", Input::Instance),
    ("request.labels", Input::Labels),
    ("request.reason", Input::Reason),
    ("request.value", Input::Value),
    ("request.successor", Input::Successor),
    ("request.lease", Input::Lease),
    ("principal.subject", Input::Subject),
    ("principal.team", Input::Team),
    ("principal.roles", Input::Roles),
    ("principal.claims", Input::Claims),
    ("facts.lock", Input::LockView),
    ("facts.usage", Input::Usage),
];

/// The inputs that a module's verdicts depend on. The module sees no others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Inputs {
    /// A bit for each [`Input`].
    fields: u32,
    now_granularity_ms: Option<u64>,
    /// What a module sees that declares the operation not to matter.
    operation: Operation,
}

impl Inputs {
    /// Checks what a module declares. `operations`: those that it judges, at least one.
    pub(crate) fn checked(said: &wit::Inputs, operations: &[Operation]) -> Result<Self, String> {
        let mut fields = 0;
        for name in &said.fields {
            let known = NAMES.iter().find(|(known, _)| known == name);
            let (_, input) = known.ok_or_else(|| unknown(name))?;
            let bit = 1 << *input as u32;
            if fields & bit != 0 {
                return Err(format!("name {name} twice"));
            }
            fields |= bit;
        }
        if let Some(granularity) = said.now_granularity_ms
            && !(1..=NOW_GRANULARITY_MS_MAX).contains(&granularity)
        {
            return Err(format!(
                "have a granularity of {granularity} ms, not of 1 to {NOW_GRANULARITY_MS_MAX}"
            ));
        }
        Ok(Self {
            fields,
            now_granularity_ms: said.now_granularity_ms,
            operation: operations.first().copied().unwrap_or(Operation::Acquire),
        })
    }

    /// All inputs.
    pub(crate) const fn all() -> Self {
        Self {
            fields: u32::MAX,
            now_granularity_ms: Some(1),
            operation: Operation::Acquire,
        }
    }

    /// The names of the fields in the contract, in the order of its records.
    pub fn fields(&self) -> impl Iterator<Item = &'static str> {
        let read = NAMES.iter().filter(|(_, input)| self.read(*input));
        read.map(|(name, _)| *name)
    }

    /// Milliseconds to a multiple of which the module sees the time rounded down; `None` if it sees
    /// no time.
    #[must_use]
    pub fn now_granularity_ms(&self) -> Option<u64> {
        self.now_granularity_ms
    }

    /// Returns whether verdicts on these inputs are worth caching. The view of a lock changes with each
    /// write and each millisecond, so a verdict on it would never be hit.
    pub(crate) fn is_cacheable(self) -> bool {
        !self.read(Input::LockView)
    }

    /// Whether verdicts depend on this one.
    pub(crate) fn read(self, input: Input) -> bool {
        self.fields & (1 << input as u32) != 0
    }

    /// A text, or what stands for one that is not read.
    pub(crate) fn text(self, input: Input, text: &str) -> &str {
        match self.read(input) {
            true => text,
            false => "",
        }
    }

    /// A value, or none if it is not read.
    pub(crate) fn optional<T>(self, input: Input, value: Option<T>) -> Option<T> {
        value.filter(|_| self.read(input))
    }

    /// The operation, or what stands for it if it is not read.
    pub(crate) fn operation(self, operation: Operation) -> Operation {
        match self.read(Input::Operation) {
            true => operation,
            false => self.operation,
        }
    }

    /// The time as the module sees it.
    pub(crate) fn now(self, now: WallMillis) -> u64 {
        let rounded = |granularity: u64| now.0 - now.0 % granularity;
        self.now_granularity_ms.map_or(0, rounded)
    }
}

impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs")
            .field("fields", &self.fields().collect::<Vec<_>>())
            .field("now_granularity_ms", &self.now_granularity_ms)
            .finish_non_exhaustive()
    }
}

fn unknown(name: &str) -> String {
    let known = NAMES.map(|(known, _)| known).join(", ");
    let end = name.floor_char_boundary(64);
    let name = &name[..end];
    format!("name {name:?}, which there is not; there are {known}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(fields: &[&str], now_granularity_ms: Option<u64>) -> wit::Inputs {
        wit::Inputs {
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            now_granularity_ms,
        }
    }

    #[test]
    fn each_input_has_a_bit_and_a_name_of_its_own() {
        let all = NAMES.map(|(name, _)| name);
        let inputs = Inputs::checked(&said(&all, Some(1)), &[Operation::Renew]).unwrap();
        assert_eq!(inputs.fields().collect::<Vec<_>>(), all);
        for (name, input) in NAMES {
            let one = Inputs::checked(&said(&[name], None), &[Operation::Renew]).unwrap();
            assert_eq!(one.fields().collect::<Vec<_>>(), [name]);
            assert!(one.read(input));
        }
        assert_eq!(Inputs::all().fields().collect::<Vec<_>>(), all);
    }

    #[test]
    fn declarations_that_cannot_be_are_refused() {
        let refused = |fields: &[&str], granularity| {
            Inputs::checked(&said(fields, granularity), &[Operation::Renew]).unwrap_err()
        };
        assert!(refused(&["request.locks"], None).contains("\"request.locks\""));
        assert!(refused(&["facts.now-ms"], None).contains("there are request.operation, "));
        let long = "x".repeat(10_000);
        assert!(refused(&[&long], None).len() < 1_000);
        let twice = ["request.lock", "principal.team", "request.lock"];
        assert_eq!(refused(&twice, None), "name request.lock twice");
        for granularity in [0, 86_400_001] {
            let told = refused(&[], Some(granularity));
            assert!(told.contains("not of 1 to 86400000"), "{told}");
        }
    }

    #[test]
    fn what_is_not_read_is_a_constant() {
        let inputs = Inputs::checked(&said(&["request.lock"], None), &[Operation::Renew]).unwrap();
        assert_eq!(inputs.operation(Operation::Acquire), Operation::Renew);
        assert_eq!(inputs.text(Input::Lock, "a"), "a");
        assert_eq!(inputs.text(Input::Subject, "a"), "");
        assert_eq!(inputs.optional(Input::TtlMs, Some(7)), None);
        assert_eq!(inputs.now(WallMillis(12_345)), 0);
        let second = Inputs::checked(&said(&[], Some(1_000)), &[Operation::Renew]).unwrap();
        assert_eq!(second.now(WallMillis(12_345)), 12_000);
        assert_eq!(Inputs::all().now(WallMillis(12_345)), 12_345);
    }
}

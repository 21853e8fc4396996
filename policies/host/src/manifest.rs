//! What a module says about itself, and whether that can be.

use leasehold_domain::Operation;

use crate::bindings;
use crate::error::HostError;
use crate::inputs::Input;
use crate::inputs::Inputs;
use crate::limits::POLICY_NAME_BYTES_MAX;
use crate::limits::VERSION_BYTES_MAX;

/// What a module is and what it needs, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The policy's name: 1 to 63 of `a-z 0-9 -`, beginning with a letter.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// The operations that it judges; at least one, each once.
    pub operations: Vec<Operation>,
    /// Whether it must be shown the lock's state.
    pub needs_lock: bool,
    /// Whether it must be shown the caller's usage.
    pub needs_usage: bool,
    /// The JSON Schema of its configuration.
    pub config_schema: serde_json::Value,
    /// The inputs that its verdicts depend on, if it declares them: it sees no others.
    pub reads: Option<Inputs>,
}

impl Manifest {
    /// Checks what a guest said.
    pub(crate) fn checked(said: bindings::Manifest) -> Result<Self, HostError> {
        let bad = |field, problem: String| HostError::Manifest { field, problem };
        check_name(&said.name).map_err(|problem| bad("name", problem.to_owned()))?;
        if said.version.len() > VERSION_BYTES_MAX {
            return Err(bad(
                "version",
                format!("has more than {VERSION_BYTES_MAX} bytes"),
            ));
        }
        semver::Version::parse(&said.version)
            .map_err(|error| bad("version", format!("is not a semantic version: {error}")))?;
        let operations = operations(&said.operations).map_err(|p| bad("operations", p))?;
        let config_schema = serde_json::from_str(&said.config_schema)
            .map_err(|error| bad("config-schema", format!("is not JSON: {error}")))?;
        let reads = said.reads.as_ref();
        let reads = reads.map(|reads| Inputs::checked(reads, &operations));
        let reads = reads.transpose().map_err(|problem| bad("reads", problem))?;
        if let Some(reads) = reads {
            for (flag, asks, input) in [
                ("needs-lock", said.needs_lock, Input::LockView),
                ("needs-usage", said.needs_usage, Input::Usage),
            ] {
                if asks != reads.read(input) {
                    let problem = format!("and `{flag}` do not say the same");
                    return Err(bad("reads", problem));
                }
            }
        }
        Ok(Self {
            name: said.name,
            version: said.version,
            operations,
            needs_lock: said.needs_lock,
            needs_usage: said.needs_usage,
            config_schema,
            reads,
        })
    }

    /// The inputs that the module sees.
    pub(crate) fn inputs(&self) -> Inputs {
        self.reads.unwrap_or(const { Inputs::all() })
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name.len() > POLICY_NAME_BYTES_MAX {
        return Err("is too long");
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err("must begin with a-z");
    }
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !name.bytes().all(allowed) {
        return Err("may hold only a-z, 0-9 and -");
    }
    Ok(())
}

fn operations(names: &[String]) -> Result<Vec<Operation>, String> {
    if names.is_empty() {
        return Err("are empty; a policy judges at least one".to_owned());
    }
    let mut operations = Vec::new();
    for name in names {
        let operation = Operation::from_name(name)
            .ok_or_else(|| format!("name {:?}, which there is not", shortened(name)))?;
        if operations.contains(&operation) {
            return Err(format!("name {name} twice"));
        }
        operations.push(operation);
    }
    Ok(operations)
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(POLICY_NAME_BYTES_MAX)]
}

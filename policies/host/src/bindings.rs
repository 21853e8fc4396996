//! The contract's types on the host's side, generated from `policies/wit`. Nothing outside this
//! crate sees them.

wasmtime::component::bindgen!({
    path: "../wit/policy.wit",
    world: "policy",
    ownership: Borrowing { duplicate_if_necessary: false },
});

pub(crate) use self::leasehold::policy::types::Counter;
pub(crate) use self::leasehold::policy::types::Denial;
pub(crate) use self::leasehold::policy::types::Holder;
pub(crate) use self::leasehold::policy::types::Inputs;
pub(crate) use self::leasehold::policy::types::Limits;
pub(crate) use self::leasehold::policy::types::LockView;
pub(crate) use self::leasehold::policy::types::Mode;
pub(crate) use self::leasehold::policy::types::Pair;
pub(crate) use self::leasehold::policy::types::Usage;

/// The verdict of the contracts before 1.2.0, which has no counters.
#[derive(Debug, Clone, wasmtime::component::ComponentType, wasmtime::component::Lift)]
#[component(variant)]
pub(crate) enum VerdictBefore {
    #[component(name = "allow")]
    Allow(LimitsBefore),
    #[component(name = "deny")]
    Deny(Denial),
}

/// The limits of that verdict.
#[derive(Debug, Clone, Copy, wasmtime::component::ComponentType, wasmtime::component::Lift)]
#[component(record)]
pub(crate) struct LimitsBefore {
    #[component(name = "max-ttl-ms")]
    max_ttl_ms: Option<u64>,
    #[component(name = "max-hold-ms")]
    max_hold_ms: Option<u64>,
}

impl From<VerdictBefore> for Verdict {
    fn from(before: VerdictBefore) -> Self {
        match before {
            VerdictBefore::Allow(limits) => Self::Allow(Limits {
                max_ttl_ms: limits.max_ttl_ms,
                max_hold_ms: limits.max_hold_ms,
                counters: Vec::new(),
            }),
            VerdictBefore::Deny(denial) => Self::Deny(denial),
        }
    }
}

/// The manifest of the contracts before 1.3.0, which declares no inputs.
#[derive(Debug, Clone, wasmtime::component::ComponentType, wasmtime::component::Lift)]
#[component(record)]
pub(crate) struct ManifestBefore {
    name: String,
    version: String,
    operations: Vec<String>,
    #[component(name = "needs-lock")]
    needs_lock: bool,
    #[component(name = "needs-usage")]
    needs_usage: bool,
    #[component(name = "config-schema")]
    config_schema: String,
}

impl From<ManifestBefore> for Manifest {
    fn from(before: ManifestBefore) -> Self {
        let ManifestBefore {
            name,
            version,
            operations,
            needs_lock,
            needs_usage,
            config_schema,
        } = before;
        Self {
            name,
            version,
            operations,
            needs_lock,
            needs_usage,
            config_schema,
            reads: None,
        }
    }
}

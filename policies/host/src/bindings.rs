//! The contract's types on the host's side, generated from `policies/wit`. Nothing outside this
//! crate sees them.

wasmtime::component::bindgen!({
    path: "../wit/policy.wit",
    world: "policy",
    ownership: Borrowing { duplicate_if_necessary: false },
});

pub(crate) use self::leasehold::policy::types::Denial;
pub(crate) use self::leasehold::policy::types::Holder;
pub(crate) use self::leasehold::policy::types::Limits;
pub(crate) use self::leasehold::policy::types::LockView;
pub(crate) use self::leasehold::policy::types::Mode;
pub(crate) use self::leasehold::policy::types::Pair;
pub(crate) use self::leasehold::policy::types::Usage;

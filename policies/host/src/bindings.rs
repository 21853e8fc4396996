//! The contract's types on the host's side, generated from `policies/wit`. Nothing outside this
//! crate sees them.

wasmtime::component::bindgen!({
    path: "../wit/policy.wit",
    world: "policy",
    ownership: Borrowing { duplicate_if_necessary: false },
});

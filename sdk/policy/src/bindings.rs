//! Generated from `policies/wit`. Authors use the plain types of this crate instead; this is public
//! only because the export macro expands in their crate.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

wit_bindgen::generate!({
    path: "../../policies/wit/policy.wit",
    world: "policy",
    pub_export_macro: true,
    export_macro_name: "__export_world",
});

pub(crate) use self::leasehold::policy::types::{
    Counter, Denial, Holder, Inputs, Limits, LockView, Mode, Pair,
};

//! The stock policies, built from `policies/stock` and committed, so that a gateway needs no
//! WebAssembly target to start.

/// Each stock policy's name and component.
pub const MODULES: &[(&str, &[u8])] = &[];

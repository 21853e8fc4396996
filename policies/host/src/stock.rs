//! The stock policies, built from `policies/stock` and committed, so that a gateway needs no
//! WebAssembly target to start.

/// Each stock policy's name and module.
pub const MODULES: &[(&str, &[u8])] = &[
    (
        "freeze-window",
        include_bytes!("../../modules/freeze-window.wasm"),
    ),
    ("ownership", include_bytes!("../../modules/ownership.wasm")),
    ("quota", include_bytes!("../../modules/quota.wasm")),
    (
        "separation-of-duties",
        include_bytes!("../../modules/separation-of-duties.wasm"),
    ),
    (
        "ttl-bounds",
        include_bytes!("../../modules/ttl-bounds.wasm"),
    ),
];

//! The stock policies, built from `policies/stock` and committed, so that a gateway needs no
//! WebAssembly target to start.

use crate::names::Kind;
use crate::names::Named;

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

/// What the stock policies' configurations name, and where. The schema of a module cannot express
/// these grammars, so the host checks them when a binding is written.
pub(crate) const NAMES: &[(&str, &[Named])] = &[
    (
        "freeze-window",
        &[
            Named("/windows/*/locks/*", Kind::LockPattern),
            Named("/windows/*/exceptions/*/team", Kind::Team),
            Named("/windows/*/exceptions/*/subject", Kind::Subject),
            Named("/windows/*/exceptions/*/labels/{}", Kind::LabelKey),
            Named("/windows/*/exceptions/*/labels/*", Kind::LabelPattern),
        ],
    ),
    (
        "ownership",
        &[
            Named("/claims/*/locks", Kind::LockPattern),
            Named("/claims/*/teams/*", Kind::TeamOrAll),
            Named("/claims/*/subjects/*", Kind::Subject),
        ],
    ),
    (
        "quota",
        &[
            Named("/subjects/{}", Kind::Subject),
            Named("/teams/{}", Kind::Team),
        ],
    ),
    (
        "separation-of-duties",
        &[
            Named("/*/teams/*", Kind::Team),
            Named("/*/roles/*", Kind::Role),
            Named("/*/subjects/*", Kind::Subject),
            Named("/*/ticket", Kind::LabelPattern),
        ],
    ),
    ("ttl-bounds", &[Named("/rules/*/locks", Kind::LockPattern)]),
];

/// The lists of which only the first rule that covers a lock counts.
pub(crate) const FIRST_MATCH: &[(&str, &str)] = &[("ownership", "claims"), ("ttl-bounds", "rules")];

//! Which of our crates may depend on which, and which foreign crates only some of them may use.

/// Which of our crates each may use. A crate that is not here fails the test.
pub(super) const MAY_USE: &[(&str, &[&str])] = &[
    ("leasehold-domain", &[]),
    ("leasehold-wire", &[]),
    ("leasehold-policy-sdk", &[]),
    ("leasehold-stored", &["leasehold-domain"]),
    (
        "leasehold-machine",
        &["leasehold-domain", "leasehold-stored"],
    ),
    ("leasehold-backend-api", &["leasehold-domain"]),
    (
        "leasehold-conformance",
        &["leasehold-domain", "leasehold-backend-api"],
    ),
    (
        "leasehold-backend-memory",
        &[
            "leasehold-domain",
            "leasehold-backend-api",
            "leasehold-machine",
        ],
    ),
    (
        "leasehold-backend-raft",
        &[
            "leasehold-domain",
            "leasehold-backend-api",
            "leasehold-machine",
            "leasehold-stored",
        ],
    ),
    (
        "leasehold-backend-postgres",
        &[
            "leasehold-domain",
            "leasehold-backend-api",
            "leasehold-machine",
            "leasehold-stored",
        ],
    ),
    (
        "leasehold-backend-etcd",
        &[
            "leasehold-domain",
            "leasehold-backend-api",
            "leasehold-machine",
            "leasehold-stored",
        ],
    ),
    (
        "leasehold-audit",
        &[
            "leasehold-domain",
            "leasehold-backend-api",
            "leasehold-evidence",
        ],
    ),
    ("leasehold-evidence", &["leasehold-domain"]),
    ("leasehold-policy-guests", &[]),
    ("leasehold-policy-host", &["leasehold-domain"]),
    (
        "leasehold-policy-evaluate",
        &["leasehold-domain", "leasehold-policy-host"],
    ),
    ("leasehold-policy-pack", &["leasehold-policy-host"]),
    ("leasehold-client", &["leasehold-wire"]),
    (
        "leasehold-core",
        &[
            "leasehold-domain",
            "leasehold-audit",
            "leasehold-evidence",
            "leasehold-backend-api",
            "leasehold-backend-raft",
            "leasehold-policy-evaluate",
            "leasehold-policy-host",
        ],
    ),
    (
        "leasehold-http",
        &[
            "leasehold-domain",
            "leasehold-backend-api",
            "leasehold-core",
            "leasehold-wire",
        ],
    ),
    (
        "leasehold-server",
        &[
            "leasehold-domain",
            "leasehold-audit",
            "leasehold-backend-api",
            "leasehold-backend-memory",
            "leasehold-backend-raft",
            "leasehold-backend-postgres",
            "leasehold-backend-etcd",
            "leasehold-policy-host",
            "leasehold-core",
            "leasehold-http",
        ],
    ),
    (
        "leasehold-cli",
        &[
            "leasehold-domain",
            "leasehold-audit",
            "leasehold-evidence",
            "leasehold-backend-api",
            "leasehold-backend-raft",
            "leasehold-core",
            "leasehold-server",
            "leasehold-wire",
            "leasehold-client",
            "leasehold-policy-host",
        ],
    ),
    ("leasehold-test-servers", &[]),
    ("leasehold-verify", &[]),
    ("leasehold-tests", &["*"]),
];

/// What every stock policy may use, whatever its name.
pub(super) const STOCK_MAY_USE: &[&str] = &["leasehold-policy-sdk"];

/// Which of our crates may name a foreign one. Foreign crates that are not here are free.
pub(super) const OWNED: &[(&str, &[&str])] = &[
    ("wasmtime", &["leasehold-policy-host"]),
    ("wasmparser", &["leasehold-policy-host"]),
    ("wit-bindgen", &["leasehold-policy-sdk"]),
    ("openraft", &["leasehold-backend-raft"]),
    ("fjall", &["leasehold-backend-raft"]),
    (
        "imbl",
        &["leasehold-domain", "leasehold-machine", "leasehold-core"],
    ),
    (
        "tokio-postgres",
        &["leasehold-backend-postgres", "leasehold-test-servers"],
    ),
    ("tonic", &["leasehold-backend-etcd"]),
    ("tonic-prost", &["leasehold-backend-etcd"]),
    // In the benchmark that compares formats.
    ("prost", &["leasehold-backend-etcd", "leasehold-stored"]),
    ("minicbor", &["leasehold-stored"]),
    ("rusqlite", &["leasehold-audit"]),
    ("rusqlite_migration", &["leasehold-audit"]),
    ("ed25519-dalek", &["leasehold-core", "leasehold-evidence"]),
    ("tlog_tiles", &["leasehold-evidence"]),
    ("signed_note", &["leasehold-evidence"]),
    ("jsonschema", &["leasehold-policy-host"]),
    ("axum", &["leasehold-http"]),
    ("hyper", &["leasehold-http"]),
    ("hyper-util", &["leasehold-http"]),
    (
        "tokio-rustls",
        &[
            "leasehold-backend-postgres",
            "leasehold-backend-raft",
            "leasehold-http",
        ],
    ),
    ("ppp", &["leasehold-http"]),
    ("ipnet", &["leasehold-core"]),
    ("socket2", &["leasehold-http"]),
    ("jsonwebtoken", &["leasehold-core"]),
    ("prometheus", &["leasehold-core", "leasehold-http"]),
    ("tracing-subscriber", &["leasehold-core"]),
    ("toml", &["leasehold-core", "leasehold-cli"]),
    ("utoipa", &["leasehold-wire", "leasehold-http"]),
    (
        "reqwest",
        &["leasehold-client", "leasehold-core", "leasehold-tests"],
    ),
    (
        "clap",
        &[
            "leasehold-cli",
            "leasehold-evidence",
            "leasehold-policy-pack",
            "leasehold-tests",
        ],
    ),
    ("anyhow", &["leasehold-policy-pack", "leasehold-tests"]),
];

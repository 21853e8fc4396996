//! Small guests of the world, written by hand, each of which can be wrong in one place.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use leasehold_domain::Facts;
use leasehold_domain::Operation;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::WallMillis;
use leasehold_policy_host::BoundPolicy;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::Evaluation;
use leasehold_policy_host::HostError;
use leasehold_policy_host::Module;
use leasehold_policy_host::PolicyEngine;
use serde_json::json;

/// Where the answer of `decide` lies; zeros are "allow without limits".
pub(crate) const ANSWER: usize = 4_096;
/// Where texts for answers lie.
pub(crate) const TEXT: usize = 8_192;

/// A guest whose parts are replaced by tests.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) operations: Vec<String>,
    pub(crate) needs_lock: bool,
    pub(crate) schema: String,
    /// The body of `decide`, with the arguments' address in local 0.
    pub(crate) decide: String,
    /// The bytes at [`ANSWER`].
    pub(crate) answer: Vec<u8>,
    /// The bytes at [`TEXT`].
    pub(crate) text: Vec<u8>,
    /// More of the core module: functions, a start.
    pub(crate) more: String,
    /// More of the component, before everything else.
    pub(crate) outside: String,
    /// Pages of memory at the start.
    pub(crate) pages: u32,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            name: "by-hand".to_owned(),
            version: "1.2.3".to_owned(),
            operations: vec!["acquire".to_owned()],
            needs_lock: false,
            schema: "{}".to_owned(),
            decide: format!("(i32.const {ANSWER})"),
            answer: Vec::new(),
            text: Vec::new(),
            more: String::new(),
            outside: String::new(),
            pages: 4,
        }
    }
}

/// The types of the world, as `(import "name" (type (eq …)))`, which is how tools write them.
const TYPES: &[(&str, &str)] = &[
    (
        "pair",
        r#"(record (field "key" string) (field "value" string))"#,
    ),
    (
        "mode",
        r#"(variant (case "exclusive") (case "shared" u32))"#,
    ),
    (
        "request",
        r#"(record (field "operation" string) (field "namespace" string) (field "lock" string)
        (field "mode" (option $mode)) (field "ttl-ms" (option u64)) (field "wait-ms" (option u64))
        (field "grace-ms" (option u64)) (field "instance" (option string))
        (field "labels" (list $pair)) (field "reason" (option string))
        (field "value" (option string)) (field "successor" (option string))
        (field "lease" (option string)))"#,
    ),
    (
        "principal",
        r#"(record (field "subject" string) (field "team" (option string))
        (field "roles" (list string)) (field "claims" (list $pair)))"#,
    ),
    (
        "holder",
        r#"(record (field "lease" string) (field "subject" string) (field "team" (option string))
        (field "instance" (option string)) (field "labels" (list $pair))
        (field "reason" (option string)) (field "mode" $mode) (field "token" u64)
        (field "since-ms" u64) (field "remaining-ms" u64) (field "draining" bool))"#,
    ),
    (
        "lock-view",
        r#"(record (field "revision" u64) (field "limit" u32) (field "holders" (list $holder))
        (field "waiters" u32) (field "cooldown-remaining-ms" u64)
        (field "reserved-for" (option string)) (field "last-token" u64))"#,
    ),
    (
        "usage",
        r#"(record (field "subject-leases" u32) (field "team-leases" u32))"#,
    ),
    (
        "facts",
        r#"(record (field "now-ms" u64) (field "utc-weekday" u8) (field "utc-day-ms" u32)
        (field "lock" (option $lock-view)) (field "usage" (option $usage)))"#,
    ),
    (
        "limits",
        r#"(record (field "max-ttl-ms" (option u64)) (field "max-hold-ms" (option u64)))"#,
    ),
    (
        "denial",
        r#"(record (field "code" string) (field "message" string)
        (field "retry-after-ms" (option u64)))"#,
    ),
    (
        "verdict",
        r#"(variant (case "allow" $limits) (case "deny" $denial))"#,
    ),
    (
        "manifest",
        r#"(record (field "name" string) (field "version" string)
        (field "operations" (list string)) (field "needs-lock" bool) (field "needs-usage" bool)
        (field "config-schema" string))"#,
    ),
];

impl Guest {
    /// The component's text.
    pub(crate) fn wat(&self) -> String {
        let mut types = String::new();
        for (name, is) in TYPES {
            let _ = writeln!(
                types,
                "(type ${name}' {is})(import \"{name}\" (type ${name} (eq ${name}')))"
            );
        }
        let (outside, more, decide, pages) = (&self.outside, &self.more, &self.decide, self.pages);
        let data = self.data();
        format!(
            r#"(component {outside} {types}
            (import "trace" (func $trace (param "message" string)))
            (core module $room
              (memory (export "memory") {pages})
              (global $next (mut i32) (i32.const 65536))
              (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                (global.set $next (i32.add (local.get $at) (local.get 3)))
                (local.get $at)))
            (core instance $room (instantiate $room))
            (core func $trace' (canon lower (func $trace) (memory (core memory $room "memory"))))
            (core module $policy
              (import "room" "memory" (memory 0))
              (import "host" "trace" (func $trace (param i32 i32)))
              {data}
              {more}
              (func (export "describe") (result i32) (i32.const 1024))
              (func (export "check") (param i32 i32) (result i32) (i32.const 2048))
              (func (export "decide") (param i32) (result i32) {decide}))
            (core instance $host (export "trace" (func $trace')))
            (core instance $p (instantiate $policy
              (with "room" (instance $room)) (with "host" (instance $host))))
            (func $describe (result $manifest) (canon lift (core func $p "describe")
              (memory (core memory $room "memory"))))
            (func $check (param "config" string) (result (result (error string)))
              (canon lift (core func $p "check") (memory (core memory $room "memory"))
                (realloc (core func $room "realloc"))))
            (func $decide (param "request" $request) (param "principal" $principal)
              (param "facts" $facts) (param "config" string)
              (result (result $verdict (error string)))
              (canon lift (core func $p "decide") (memory (core memory $room "memory"))
                (realloc (core func $room "realloc"))))
            (export "describe" (func $describe))
            (export "check" (func $check))
            (export "decide" (func $decide)))"#
        )
    }

    /// The manifest at 1024, its texts from 16384 on, the answer and its text.
    fn data(&self) -> String {
        let mut texts = Vec::new();
        let mut put = |bytes: &[u8]| {
            let at = 16_384 + texts.len();
            texts.extend_from_slice(bytes);
            (at as u32, bytes.len() as u32)
        };
        let name = put(self.name.as_bytes());
        let version = put(self.version.as_bytes());
        let rows: Vec<_> = self
            .operations
            .iter()
            .map(|row| put(row.as_bytes()))
            .collect();
        let schema = put(self.schema.as_bytes());
        while !(texts.len()).is_multiple_of(8) {
            texts.push(0);
        }
        let operations = ((16_384 + texts.len()) as u32, rows.len() as u32);
        for (at, length) in rows {
            texts.extend_from_slice(&at.to_le_bytes());
            texts.extend_from_slice(&length.to_le_bytes());
        }
        let mut manifest = Vec::new();
        let words = |out: &mut Vec<u8>, (at, length): (u32, u32)| {
            out.extend_from_slice(&at.to_le_bytes());
            out.extend_from_slice(&length.to_le_bytes());
        };
        words(&mut manifest, name);
        words(&mut manifest, version);
        words(&mut manifest, operations);
        manifest.extend_from_slice(&[u8::from(self.needs_lock), 0, 0, 0]);
        words(&mut manifest, schema);
        let parts = [
            (1_024, &manifest),
            (ANSWER, &self.answer),
            (TEXT, &self.text),
            (16_384, &texts),
        ];
        let row = |(at, bytes): (usize, &Vec<u8>)| {
            let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
            format!("(data (i32.const {at}) \"{escaped}\")")
        };
        parts.into_iter().map(row).collect()
    }

    /// The component's bytes.
    pub(crate) fn wasm(&self) -> Vec<u8> {
        wat::parse_str(self.wat()).expect("the guest's text is a component")
    }

    /// Loads it.
    pub(crate) fn compile(&self, engine: &PolicyEngine) -> Result<Arc<Module>, HostError> {
        engine.compile(&self.wasm())
    }

    /// Loads it and binds it to an empty configuration.
    pub(crate) fn bound(&self, engine: &PolicyEngine) -> BoundPolicy {
        self.compile(engine)
            .expect("it loads")
            .bind(&json!({}))
            .expect("it binds")
    }

    /// One decision of it.
    pub(crate) fn decided(&self, engine: &PolicyEngine) -> Evaluation {
        decide(&self.bound(engine))
    }
}

/// An engine with the default limits.
pub(crate) fn engine() -> PolicyEngine {
    PolicyEngine::new(EngineLimits::default()).expect("an engine")
}

/// A decision on a plain request.
pub(crate) fn decide(policy: &BoundPolicy) -> Evaluation {
    policy.decide(&request(), &principal(), &facts())
}

pub(crate) fn request() -> Request {
    Request::new(Operation::Acquire, "demo/nightly".parse().expect("a lock"))
}

pub(crate) fn principal() -> Principal {
    Principal {
        subject: "svc".parse().expect("a subject"),
        team: None,
        roles: RoleSet::default(),
        claims: BTreeMap::new(),
    }
}

pub(crate) fn facts() -> Facts {
    Facts {
        now: WallMillis(1_795_456_800_000),
        lock: None,
        usage: None,
    }
}

/// The bytes of an answer: the place of each part is the contract's canonical layout.
pub(crate) fn allow(max_ttl_ms: Option<u64>, max_hold_ms: Option<u64>) -> Vec<u8> {
    let mut bytes = vec![0; 48];
    for (at, limit) in [(16, max_ttl_ms), (32, max_hold_ms)] {
        if let Some(limit) = limit {
            bytes[at] = 1;
            bytes[at + 8..at + 16].copy_from_slice(&limit.to_le_bytes());
        }
    }
    bytes
}

/// A denial whose code and message are `(address, length)`.
pub(crate) fn deny(code: (u32, u32), message: (u32, u32)) -> Vec<u8> {
    let mut bytes = vec![0; 48];
    bytes[8] = 1;
    for (at, word) in [(16, code.0), (20, code.1), (24, message.0), (28, message.1)] {
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

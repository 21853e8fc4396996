//! The types of the world `leasehold:policy/policy`, as tools write them.

use std::fmt::Write;

/// The types of the contract 1.0.0: imports of the world, one by one.
pub(crate) fn of_the_world() -> String {
    let mut text = String::new();
    for (name, is) in TYPES {
        let _ = writeln!(
            text,
            "(type ${name}' {is})(import \"{name}\" (type ${name} (eq ${name}')))"
        );
    }
    text
}

/// Returns the types of the contracts from 1.1.0 on: one import of an interface, with an alias of each
/// type. `more` is what else the interface has.
#[must_use]
pub fn imported_types(version: &str, more: &str) -> String {
    let (mut items, mut aliases) = (String::new(), String::new());
    let has_counters = version >= "1.2.0";
    let declares_inputs = version >= "1.3.0";
    for (name, is) in TYPES {
        let is = match *name {
            "limits" if has_counters => {
                items.push_str(COUNTER);
                LIMITS_WITH_COUNTERS
            }
            "manifest" if declares_inputs => {
                items.push_str(INPUTS);
                MANIFEST_WITH_INPUTS
            }
            _ => is,
        };
        let _ = writeln!(
            items,
            "(type ${name}' {is})(export \"{name}\" (type ${name} (eq ${name}')))"
        );
        let _ = writeln!(aliases, "(alias export $types \"{name}\" (type ${name}))");
    }
    format!(
        "(import \"leasehold:policy/types@{version}\" (instance $types {items} {more})) {aliases}"
    )
}

const COUNTER: &str = r#"(type $counter' (record (field "name" string) (field "maximum" u32)
    (field "code" (option string))))(export "counter" (type $counter (eq $counter')))
"#;
const LIMITS_WITH_COUNTERS: &str = r#"(record (field "max-ttl-ms" (option u64))
    (field "max-hold-ms" (option u64)) (field "counters" (list $counter)))"#;

const INPUTS: &str = r#"(type $inputs' (record (field "fields" (list string))
    (field "now-granularity-ms" (option u64))))(export "inputs" (type $inputs (eq $inputs')))
"#;
const MANIFEST_WITH_INPUTS: &str = r#"(record (field "name" string) (field "version" string)
    (field "operations" (list string)) (field "needs-lock" bool) (field "needs-usage" bool)
    (field "config-schema" string) (field "reads" (option $inputs)))"#;

/// The types by name, each after those that it names.
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

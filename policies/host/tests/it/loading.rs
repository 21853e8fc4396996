//! Modules that are refused when they are uploaded.

use leasehold_domain::limits::MODULE_BYTES_MAX;
use leasehold_policy_host::HostError;
use leasehold_policy_host::PolicyFault;
use leasehold_policy_host::cases;

use crate::guest::Guest;
use crate::guest::InEngine;
use crate::guest::decide;
use crate::guest::engine;

fn refused(guest: &Guest) -> HostError {
    guest.compile(&engine()).unwrap_err()
}

#[test]
fn a_module_that_wants_wasi_is_told_which_import() {
    let wasi = r#"(import "wasi:clocks/monotonic-clock@0.2.0"
        (instance (export "now" (func (result u64)))))"#;
    let error = refused(&Guest {
        outside: wasi.to_owned(),
        ..Guest::default()
    });
    assert_eq!(
        error,
        HostError::ForbiddenImport("wasi:clocks/monotonic-clock@0.2.0".to_owned())
    );
    assert!(error.to_string().contains("no WASI"), "{error}");
}

#[test]
fn other_files_are_not_modules() {
    let engine = engine();
    let refused = |wasm: &[u8]| engine.compile(wasm).unwrap_err();
    assert!(matches!(refused(b""), HostError::NotAComponent(_)));
    assert!(matches!(refused(b"#!/bin/sh"), HostError::NotAComponent(_)));
    let core = wat::parse_str("(module)").unwrap();
    assert!(refused(&core).to_string().contains("core module"));
    let whole = Guest::default().wasm();
    assert!(matches!(
        refused(&whole[..whole.len() / 2]),
        HostError::Compile(_)
    ));
    let large = vec![0; MODULE_BYTES_MAX + 1];
    assert!(matches!(refused(&large), HostError::TooLarge { .. }));
}

#[test]
fn another_world_is_not_ours() {
    let engine = engine();
    let empty = wat::parse_str("(component)").unwrap();
    assert!(matches!(
        engine.compile(&empty),
        Err(HostError::WrongWorld(_))
    ));
    let wat = Guest::default()
        .wat()
        .replace(r#"(field "waiters" u32)"#, r#"(field "waiters" u64)"#);
    let other = wat::parse_str(wat).unwrap();
    let error = engine.compile(&other).unwrap_err();
    assert!(matches!(error, HostError::WrongWorld(_)), "{error}");
    let wat = Guest::default().wat();
    let other = wat.replace(
        r#"(func $trace (param "message" string))"#,
        r#"(func $trace (param "message" u64))"#,
    );
    let other = other.replace("(func $trace (param i32 i32))", "(func $trace (param i64))");
    let error = engine.compile(&wat::parse_str(other).unwrap()).unwrap_err();
    assert!(matches!(error, HostError::WrongWorld(_)), "{error}");
}

#[test]
fn a_looping_start_is_stopped() {
    let more = "(func $s (loop $l (br $l))) (start $s)".to_owned();
    let error = refused(&Guest {
        more,
        ..Guest::default()
    });
    assert!(
        matches!(error, HostError::Describe(PolicyFault::FuelSpent(_))),
        "{error}"
    );
}

#[test]
fn features_that_are_off_do_not_compile() {
    for more in ["(func (drop (i32x4.relaxed_trunc_f32x4_s (v128.const i32x4 0 0 0 0))))"] {
        let guest = Guest {
            more: more.to_owned(),
            ..Guest::default()
        };
        let Ok(wasm) = wat::parse_str(guest.wat()) else {
            continue;
        };
        let error = engine().compile(&wasm).unwrap_err();
        assert!(matches!(error, HostError::Compile(_)), "{more}: {error}");
    }
    let error = refused(&Guest {
        pages: 1_000,
        ..Guest::default()
    });
    assert!(matches!(error, HostError::Compile(_)), "{error}");
}

#[test]
fn a_manifest_that_lies_is_refused() {
    let field = |guest: Guest| match refused(&guest) {
        HostError::Manifest { field, .. } => field,
        other => unreachable!("{other}"),
    };
    let plain = Guest::default;
    for name in ["", "Upper", "1st", "a_b", &"x".repeat(64)] {
        assert_eq!(
            field(Guest {
                name: name.to_owned(),
                ..plain()
            }),
            "name"
        );
    }
    for version in [
        "",
        "1",
        "1.0",
        "v1.0.0",
        "1.0.0.0",
        &format!("1.0.0-{}", "x".repeat(64)),
    ] {
        assert_eq!(
            field(Guest {
                version: version.to_owned(),
                ..plain()
            }),
            "version"
        );
    }
    for operations in [&["fly"][..], &[], &["acquire", "acquire"]] {
        let operations = operations.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            field(Guest {
                operations,
                ..plain()
            }),
            "operations"
        );
    }
    for schema in ["", "{", "7", r#"{"type": "no-such-type"}"#] {
        assert_eq!(
            field(Guest {
                schema: schema.to_owned(),
                ..plain()
            }),
            "config-schema"
        );
    }
}

#[test]
fn a_bad_module_does_not_touch_a_good_one() {
    let engine = engine();
    let good = Guest::default().bound(&engine);
    let before = decide(&good);
    let bad = Guest {
        version: "rubbish".to_owned(),
        ..Guest::default()
    };
    assert!(bad.compile(&engine).is_err());
    assert!(engine.compile(b"\0asm\x0d\0\x01\0rubbish").is_err());
    assert_eq!(decide(&good), before);
    drop(engine);
    assert_eq!(decide(&good), before);
}

#[test]
fn the_cases_in_a_module_are_run() {
    let case = |expect: &str| {
        format!(
            r#"[{{"name": "one", "config": {{}}, "request": {{"operation": "acquire",
            "lock": "demo/nightly"}}, "principal": {{"subject": "a"}}, "expect": {expect}}}]"#
        )
    };
    let load = |cases: &str| {
        let wasm = cases::embed(&Guest::default().wasm(), cases.as_bytes())?;
        engine().compile(&wasm)
    };
    assert!(load(&case(r#"{"allow": {}}"#)).is_ok());
    let failed = load(&case(r#"{"deny": {"code": "no"}}"#)).unwrap_err();
    assert!(
        matches!(&failed, HostError::CaseFailed { case, .. } if case == "one"),
        "{failed}"
    );
    assert!(matches!(load("[{}]"), Err(HostError::Cases(_))));
    let unjudged = case(r#"{"allow": {}}"#).replace("acquire", "revoke");
    assert!(matches!(load(&unjudged), Err(HostError::CaseFailed { .. })));
    let wasm = cases::embed(&Guest::default().wasm(), b"[]").unwrap();
    assert!(
        cases::embed(&wasm, b"[]").is_err(),
        "cases are not replaced"
    );
}

//! Stubs for WASI.

use leasehold_domain::PolicyAnswer;
use leasehold_policy_host::Contract;
use leasehold_policy_host::HostError;
use leasehold_policy_host::stub_wasi;

use crate::guest::Guest;
use crate::guest::InEngine;
use crate::guest::engine;

#[test]
fn wasi_imports_are_replaced_by_stubs() {
    let clock = |version: &str| {
        format!(
            r#"(import "wasi:io/poll@{version}" (instance $poll
                (export "pollable" (type (sub resource)))))
            (alias export $poll "pollable" (type $pollable))
            (import "wasi:clocks/monotonic-clock@{version}" (instance
                (export "now" (func (result u64)))
                (alias outer 1 $pollable (type $p))
                (export "pollable" (type $p' (eq $p)))
                (export "subscribe-duration" (func (param "when" u64) (result (own $p'))))))"#
        )
    };
    for version in [None, Some("1.1.0"), Some("1.2.0"), Some("1.3.0")] {
        let guest = Guest {
            interface: version.map(|version| (version.to_owned(), String::new())),
            outside: clock("0.2.3"),
            ..Guest::default()
        };
        let engine = engine();
        let refused = guest.compile(&engine).unwrap_err();
        assert!(
            matches!(refused, HostError::ForbiddenImport(_)),
            "{refused}"
        );
        let stubbed = stub_wasi(&guest.wasm()).unwrap();
        let module = engine.compile(&stubbed).unwrap();
        // The frame of a module of 1.0.0 imports the types of 1.1.0, which are the same.
        assert_eq!(module.contract().version(), version.unwrap_or("1.1.0"));
        let policy = module.bind(&serde_json::json!({})).unwrap();
        assert!(matches!(
            crate::guest::decide(&policy).answer,
            Ok(PolicyAnswer::Allow(_))
        ));
    }
    // Nothing is changed where nothing has to be.
    let plain = Guest::default().wasm();
    assert_eq!(stub_wasi(&plain).unwrap(), plain);
    let unknown = |name: &str| {
        let outside = format!(r#"(import "{name}" (instance)) {}"#, clock("0.2.3"));
        let guest = Guest {
            outside,
            ..Guest::default()
        };
        assert_eq!(
            stub_wasi(&guest.wasm()).unwrap_err(),
            HostError::ForbiddenImport(name.to_owned())
        );
    };
    unknown("wasi:http/types@0.2.3");
    unknown("wasi:cli/exit@0.3.0");
}

/// A component without its custom sections, such as the names of its parts.
fn stripped(wasm: &[u8]) -> Vec<u8> {
    let mut kept = wasm[..8].to_vec();
    let sections = wasmparser::Parser::new(0).parse_all(wasm);
    for payload in sections.map(Result::unwrap) {
        if let Some((id, range)) = payload.as_section().filter(|(id, _)| *id != 0) {
            kept.push(id);
            wasm_encoder::Encode::encode(&wasm[range], &mut kept);
        }
    }
    kept
}

/// The imports of the frame are those of the contract. `LEASEHOLD_UPDATE=1` writes them.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "whether the files shall be written is not the gateway's configuration"
)]
fn the_frame_imports_what_each_contract_has() {
    for version in Contract::ALL.map(Contract::version).into_iter().skip(1) {
        let types = leasehold_policy_guests::imported_types(version, "");
        let trace = r#"(import "trace" (func (param "message" string)))"#;
        let imports = stripped(&wat::parse_str(format!("(component {types} {trace})")).unwrap());
        let file = format!(
            "{}/stubs/imports-{version}.wasm",
            env!("CARGO_MANIFEST_DIR")
        );
        if std::env::var_os("LEASEHOLD_UPDATE").is_some() {
            std::fs::write(&file, &imports).unwrap();
        }
        assert_eq!(std::fs::read(&file).unwrap(), imports, "{file}");
    }
}

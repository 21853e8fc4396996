//! The binary itself, as far as it needs no gateway. Also makes `cargo test` build it, so that the
//! end-to-end tests of `tests/` find it.

use std::process::Command;

fn leasehold(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_leasehold"))
        .args(arguments)
        .env_remove("LEASEHOLD_KEY")
        .env_remove("LEASEHOLD_URL")
        .output()
        .expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn it_says_its_version_and_how_it_is_used() {
    let (code, said, _) = leasehold(&["--version"]);
    assert_eq!(
        (code, said.trim()),
        (Some(0), concat!("leasehold ", env!("CARGO_PKG_VERSION")))
    );
    let (code, said, _) = leasehold(&["--help"]);
    assert_eq!(code, Some(0));
    for command in [
        "serve",
        "run",
        "lock",
        "key",
        "namespace",
        "policy",
        "audit",
    ] {
        assert!(said.contains(command), "{command} is not in\n{said}");
    }
}

#[test]
fn mistakes_have_codes() {
    assert_eq!(leasehold(&["lock", "steal"]).0, Some(64));
    let (code, _, said) = leasehold(&["lock", "get", "demo/a"]);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("LEASEHOLD_KEY"), "{said}");
    let nobody = [
        "lock",
        "get",
        "demo/a",
        "--key",
        "lh_x",
        "--server",
        "http://127.0.0.1:1",
    ];
    assert_eq!(leasehold(&nobody).0, Some(69));
}

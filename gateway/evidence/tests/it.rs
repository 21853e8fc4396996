//! The program that verifies without a gateway, on files that were written once and must stay right.

use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(golden(name)).unwrap()
}

fn verify(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_leasehold-evidence");
    Command::new(program).args(arguments).output().unwrap()
}

fn verify_file(name: &str, more: &[&str]) -> (Option<i32>, String) {
    let (file, key) = (golden(name), text("log-key.txt"));
    let arguments = [&[file.to_str().unwrap(), "--log-key", key.trim()], more].concat();
    let output = verify(&arguments);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn files_of_earlier_builds_are_verified() {
    let earlier = golden("earlier.txt");
    let earlier = ["--earlier", earlier.to_str().unwrap()];
    for (name, more, expected) in [
        ("export.jsonl", &[][..], "intact: events 2 to 299"),
        ("export.jsonl", &earlier, "the log only grew since"),
        ("event.tlog-proof", &[], "the event is entry 77"),
        ("growth.json", &earlier, "only grew"),
        ("earlier.txt", &[], "signed: a checkpoint"),
        ("export.jsonl", &["--json"], "\"kind\":\"export\""),
    ] {
        let (code, said) = verify_file(name, more);
        assert_eq!(code, Some(0), "{name}: {said}");
        assert!(said.contains(expected), "{name}: {said}");
    }
}

#[test]
fn codes_tell_what_is_wrong() {
    let (code, said) = verify_file("growth.json", &[]);
    assert_eq!(code, Some(65), "{said}");
    assert_eq!(verify_file("none", &[]).0, Some(66));
    // Whose signature is to count, nobody can leave out.
    let file = golden("export.jsonl");
    let without_key = verify(&[file.to_str().unwrap()]);
    assert_eq!(without_key.status.code(), Some(2));
    let wrong = verify(&[file.to_str().unwrap(), "--log-key", "a+b+c"]);
    assert_eq!(wrong.status.code(), Some(65));
}

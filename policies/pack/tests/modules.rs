//! The committed modules against their sources, by the command itself.

use std::process::Command;

#[test]
fn the_committed_modules_are_what_their_sources_give() {
    let mut pack = Command::new(env!("CARGO_BIN_EXE_pack"));
    let status = pack.arg("check").status().expect("the packer runs");
    assert!(status.success(), "`pack check` told why above: {status}");
}

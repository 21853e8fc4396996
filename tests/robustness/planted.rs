//! Whether the gateways can have the bug that a run is to plant.

use anyhow::Result;
use anyhow::ensure;

use super::command;

/// Asks the binary, before anything is started: gateways without the bug would keep every promise,
/// and the run would tell that the checks find nothing.
///
/// # Errors
/// The binary was built without planted bugs, or has none of that name.
pub(crate) fn demand(bug: &str) -> Result<()> {
    let binary = crate::binary().display().to_string();
    judge(bug, &binary, &command::run(&binary, &["--version"])?)
}

fn judge(bug: &str, binary: &str, version: &str) -> Result<()> {
    let bugs = version.split_once("planted-bugs:").map(|(_, bugs)| bugs);
    let Some(bugs) = bugs.map(str::trim) else {
        anyhow::bail!(
            "{binary} was built without planted bugs; build it with\n  \
             cargo build --workspace --bins --features leasehold-cli/planted-bugs"
        );
    };
    ensure!(
        bugs.split_whitespace().any(|known| known == bug),
        "{binary} has no bug {bug:?}; it has {bugs}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_planted_only_where_it_can_be() {
        let says = |bug, version| judge(bug, "leasehold", version).map_err(|e| e.to_string());
        let with = "leasehold 0.1.0 planted-bugs: skip-fsync blind-grant\n";
        assert_eq!(says("skip-fsync", with), Ok(()));
        assert!(says("skip", with).unwrap_err().contains("no bug \"skip\""));
        let without = says("skip-fsync", "leasehold 0.1.0\n").unwrap_err();
        assert!(without.contains("--features"), "{without}");
    }
}

//! A bug that the environment asks for. A build that cannot have it does not start: whoever tests
//! with a bug must not be shown that all is well by gateways without one.

use leasehold_backend_raft::PlantedBug;

use super::ConfigError;

/// Refuses a bug that this process would not have.
pub(super) fn check() -> Result<(), ConfigError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "no configuration key: a gateway that is configured has no bugs to choose"
    )]
    let asked = std::env::var(PlantedBug::VARIABLE).ok();
    judge(asked.as_deref(), PlantedBug::CAN_BE)
}

fn judge(asked: Option<&str>, can_be: bool) -> Result<(), ConfigError> {
    let Some(asked) = asked else { return Ok(()) };
    let problem = match PlantedBug::from_name(asked) {
        Some(_) if can_be => return Ok(()),
        Some(_) => "this gateway was built without the feature planted-bugs".to_owned(),
        None => format!(
            "there is no {asked:?}; there is {}",
            PlantedBug::ALL.map(PlantedBug::name).join(", ")
        ),
    };
    Err(ConfigError::at(PlantedBug::VARIABLE, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_that_would_not_be_there_is_refused() {
        assert_eq!(judge(None, false), Ok(()));
        assert_eq!(judge(Some("skip-fsync"), true), Ok(()));
        let without = judge(Some("skip-fsync"), false).unwrap_err().to_string();
        assert!(without.contains("planted-bugs"), "{without}");
        let unknown = judge(Some("skip-sync"), true).unwrap_err().to_string();
        assert!(unknown.contains("blind-grant"), "{unknown}");
    }
}

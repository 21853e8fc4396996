//! Refuses what builds of a store's feature level do not know. Which feature needs which level stands in
//! [`Feature::level`].

use leasehold_domain::Feature;
use leasehold_domain::FeatureLevel;

use crate::failure::Failure;
use crate::failure::FailureKind;

/// Checks that a store of this level may have a feature. `store` is what the message calls it.
///
/// # Errors
/// `conflict`: its level is too low; the message says what to do.
pub(crate) fn require(feature: Feature, level: FeatureLevel, store: &str) -> Result<(), Failure> {
    if level.has(feature) {
        return Ok(());
    }
    let message = format!(
        "{} need feature level {}, and {store} has level {level}: gateways of an older build may still \
         use it, and would ignore them. Start this build on all of them, then raise the level: \
         `leasehold cluster raise-level`",
        feature.name(),
        feature.level()
    );
    Err(Failure::new(FailureKind::Conflict, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_refused_below_its_level_and_the_message_names_both() {
        assert!(require(Feature::Rollouts, FeatureLevel(2), "the store").is_ok());
        let refused = require(Feature::Rollouts, FeatureLevel::FIRST, "the default store");
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Conflict);
        for part in [
            "rollouts",
            "level 2",
            "the default store has level 1",
            "raise-level",
        ] {
            assert!(refused.message.contains(part), "{}", refused.message);
        }
    }
}

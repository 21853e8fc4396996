//! What a flag allows of a rollout.

use std::fmt;

use leasehold_policy_evaluate::BUCKETS;
use serde_json::Value;

/// The most that a flag allows of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagLimit {
    /// The greatest share of a canary, in thousandths of a percent.
    pub share: u32,
    /// Whether the rollout stays in its step.
    pub hold: bool,
}

impl FlagLimit {
    /// No restriction: the approved plan alone applies.
    pub const NONE: Self = Self {
        share: BUCKETS,
        hold: false,
    };
    /// The candidate judges nothing.
    pub const STOP: Self = Self {
        share: 0,
        hold: true,
    };

    /// Reads the value of a flag: a number from 0 to 100 is the greatest share in percent; `true` sets
    /// no limit; `false`, `"off"` and `"shadow"` stop; `"hold"` keeps the rollout in its step.
    ///
    /// # Errors
    /// Anything else.
    pub(super) fn of(value: &Value) -> Result<Self, String> {
        match value {
            Value::Bool(true) => Ok(Self::NONE),
            Value::Bool(false) => Ok(Self::STOP),
            Value::String(text) if ["off", "shadow"].contains(&&**text) => Ok(Self::STOP),
            Value::String(text) if text == "hold" => Ok(Self {
                hold: true,
                ..Self::NONE
            }),
            Value::Number(number) => match number.as_f64() {
                Some(0.0) => Ok(Self::STOP),
                Some(percent) if (0.0..=100.0).contains(&percent) => Ok(Self {
                    share: thousandths(percent),
                    hold: false,
                }),
                _ => Err("the value is not a number from 0 to 100".to_owned()),
            },
            _ => Err(
                "the value is not a number from 0 to 100, true, false, \"off\", \"shadow\" or \"hold\""
                    .to_owned(),
            ),
        }
    }

    /// Returns the share of a canary under this limit: never more than the approved one.
    #[must_use]
    pub fn narrow(self, approved: u32) -> u32 {
        approved.min(self.share)
    }

    /// Whether the candidate judges nothing, also not for the targets that the plan names.
    #[must_use]
    pub fn stops(self) -> bool {
        self.share == 0
    }
}

/// Returns percent as thousandths of a percent, rounded down.
fn thousandths(percent: f64) -> u32 {
    // A decimal such as 0.29 has a binary fraction a little below; the ledger shows thousandths.
    let thousandths = (percent * 1_000.0 + 1e-6).floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is 0 to 100,000"
    )]
    let thousandths = thousandths as u32;
    thousandths
}

impl fmt::Display for FlagLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            limit if limit.stops() => write!(f, "the candidate judges nothing"),
            Self {
                share: BUCKETS,
                hold: false,
            } => write!(f, "no limit"),
            Self {
                share: BUCKETS,
                hold: true,
            } => write!(f, "held in its step"),
            Self { share, .. } => write!(f, "at most {} %", f64::from(share) / 1_000.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_and_others_are_refused() {
        let percent = |share: u32| FlagLimit { share, hold: false };
        let hold = FlagLimit {
            hold: true,
            ..FlagLimit::NONE
        };
        for (value, limit) in [
            (json!(true), FlagLimit::NONE),
            (json!(100), FlagLimit::NONE),
            (json!(10), percent(10_000)),
            (json!(0.29), percent(290)),
            (json!(99.9999), percent(99_999)),
            (json!("hold"), hold),
            (json!(0), FlagLimit::STOP),
            (json!(false), FlagLimit::STOP),
            (json!("off"), FlagLimit::STOP),
            (json!("shadow"), FlagLimit::STOP),
        ] {
            assert_eq!(FlagLimit::of(&value), Ok(limit), "{value}");
        }
        let others = [
            json!(-1),
            json!(100.01),
            json!(1e300),
            json!("on"),
            json!("10"),
            json!(null),
            json!([10]),
            json!({ "share": 10 }),
        ];
        for value in others {
            assert!(FlagLimit::of(&value).is_err(), "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_value_of_a_flag_widens_the_approved_share(
            approved in 0..=BUCKETS,
            value in prop_oneof![
                any::<f64>().prop_map(|value| json!(value)),
                (0.0..=101.0).prop_map(|value: f64| json!(value)),
                any::<i64>().prop_map(|value| json!(value)),
                any::<bool>().prop_map(|value| json!(value)),
                "[a-z0-9]{0,6}".prop_map(|value| json!(value)),
            ],
        ) {
            if let Ok(limit) = FlagLimit::of(&value) {
                prop_assert!(limit.narrow(approved) <= approved);
                prop_assert!(limit.share <= BUCKETS);
                if let Some(percent) = value.as_f64() {
                    prop_assert!(f64::from(limit.share) <= percent * 1_000.0 + 1e-5);
                }
            }
        }
    }
}

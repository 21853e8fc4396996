//! Compares the two versions of each rollout on the same requests, rolls back a canary whose guardrails
//! are exceeded, and advances automatic rollouts.
//!
//! The pipeline queues each decided request that a rollout covers (`Comparer::ask`). A thread evaluates
//! the other version and counts the differences (`Tally`). Each gateway reports its counts to the others
//! ([`Reporter`]), and a task judges the sums of each window ([`guard()`]). The document of a rollout and its changes are in `governance`.

mod comparer;
mod difference;
mod flag_watch;
mod guard;
mod reporter;
mod sum;
mod tally;
mod window;

pub use self::comparer::Comparer;
pub(crate) use self::comparer::Comparison;
pub(crate) use self::comparer::described;
pub use self::difference::Difference;
pub use self::flag_watch::watch_flags;
pub use self::guard::guard;
pub use self::reporter::Reporter;
pub use self::sum::GatewayStanding;
pub use self::sum::GatewayState;
pub use self::sum::StepSum;
pub use self::sum::SummedWindow;
pub use self::tally::Counts;
pub use self::tally::SampleDifference;
pub use self::tally::Standing;
pub use self::window::Evidence;
pub use self::window::WindowVerdict;

//! Compares the two versions of each rollout on the same requests, and rolls back a canary whose
//! guardrails are exceeded.
//!
//! The pipeline queues each decided request that a rollout covers (`Comparer::ask`). A thread evaluates
//! the other version and counts the differences (`Tally`). A task checks the counts of each window and
//! rolls back ([`guard`]). The document of a rollout and its changes are in `governance`.

mod comparer;
mod difference;
mod guard;
mod tally;

pub use self::comparer::Comparer;
pub(crate) use self::comparer::Comparison;
pub(crate) use self::comparer::described;
pub use self::difference::Difference;
pub use self::guard::guard;
pub use self::tally::Counts;
pub use self::tally::Evidence;
pub use self::tally::SampleDifference;
pub use self::tally::Standing;
pub use self::tally::WindowVerdict;

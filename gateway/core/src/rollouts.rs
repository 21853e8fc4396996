//! Rollouts at work: the two versions of a policy are compared on the same requests, and a candidate
//! that a guardrail finds bad is rolled back.
//!
//! The pipeline hands over each request that both versions judge, once it is decided
//! (`Comparer::ask`). A thread asks the other version and counts what differs (`Tally`). A task
//! looks at the counts of each window and rolls back ([`guard`]). What a rollout is, and who may
//! change it, is governance's.

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

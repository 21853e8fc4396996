#![doc = include_str!("../README.md")]

mod bucket;
mod denial;
mod error;
mod evaluate;
mod step;

pub use self::bucket::BUCKET_FUNCTION;
pub use self::bucket::BUCKETS;
pub use self::bucket::bucket;
pub use self::denial::break_glass;
pub use self::error::EvaluationError;
pub use self::evaluate::Asked;
pub use self::evaluate::Evaluation;
pub use self::evaluate::JudgedCounter;
pub use self::evaluate::Judgment;
pub use self::evaluate::Question;
pub use self::step::Step;

#![doc = include_str!("../README.md")]

mod denial;
mod error;
mod evaluate;
mod step;

pub use self::error::EvaluationError;
pub use self::evaluate::Asked;
pub use self::evaluate::Evaluation;
pub use self::evaluate::Judgment;
pub use self::evaluate::Question;
pub use self::step::Step;

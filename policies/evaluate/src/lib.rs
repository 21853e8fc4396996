#![doc = include_str!("../README.md")]

mod denial;
mod error;
mod evaluate;
mod step;

pub use self::error::EvaluationError;
pub use self::evaluate::Judgment;
pub use self::evaluate::evaluate;
pub use self::step::Step;

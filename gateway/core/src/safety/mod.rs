//! Safe mode: a store that has not agreed within its window grants nothing until it does again, and
//! an incident tells of it.
//!
//! `agreement` judges, and is pure. `Evidence` is what the way of a request
//! leaves behind for it. The watchman (a module of its own) is the task of one store that looks,
//! probes and records.
//! `SafeMode` is what requests ask. [`Incidents`] are kept in a file of the data folder, because
//! the store that an incident is about is the one place where it cannot be kept; once that store
//! works again, its ledger is told.

pub(crate) mod agreement;
mod clocks;
mod evaluations;
mod evidence;
mod file;
pub(crate) mod incident;
mod incidents;
pub(crate) mod mode;
mod refusals;

pub(crate) use self::clocks::ClockWatch;
pub(crate) use self::evaluations::EvaluationWatch;
pub use self::incident::Acknowledged;
pub use self::incident::ClockAhead;
pub use self::incident::Ended;
pub use self::incident::EndedBy;
pub use self::incident::Incident;
pub use self::incident::LastGood;
pub use self::incident::NotReproduced;
pub use self::incident::Recorded;
pub use self::incident::WitnessRefusal;
pub use self::incidents::IncidentPage;
pub use self::incidents::IncidentQuery;
pub use self::incidents::Incidents;
pub(crate) use self::mode::SafeMode;
pub use self::mode::Safety;
pub(crate) use self::mode::begins_ownership;
pub(crate) use self::refusals::RefusalWatch;

#[cfg(test)]
pub(crate) mod tests;

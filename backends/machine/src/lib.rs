#![doc = include_str!("../README.md")]

mod apply;
mod cap_usage;
mod claim;
mod counters;
mod ended;
#[cfg(test)]
mod explore;
mod lease;
mod moment;
mod planted;
mod record;
mod shared_policies;
mod shift;
mod state;
pub mod stored;
mod view;
mod waiter;

pub use apply::apply;
pub use ended::EndedRequest;
pub use moment::Moment;
pub use planted::PlantedBug;
pub use record::{ChangeParts, LockRecord, Misfit, RESERVATION_MS_MAX, RecordChange};
pub use state::{Applied, FrozenState, PATIENCE, State, StateBuilder};
pub use view::HOLDERS_SHOWN_MAX;
pub use waiter::Waiter;

//! What a company's own flag service says of rollouts: how much of the approved plan applies now.
//!
//! A rollout may name a flag. The flag's answer is an upper limit ([`FlagLimit`]): it narrows the share
//! of a canary, stops it, or holds the rollout in its step. It never widens a share and never advances
//! a rollout. Requests read an immutable [`FlagSnapshot`] in memory; only [`OfrepSource::look`] uses
//! the network.

mod client;
#[cfg(test)]
pub(crate) mod fixture;
mod limit;
mod ofrep;
mod parse;
mod snapshot;

use std::fmt;
use std::sync::Arc;

pub use self::client::FlagClientError;
pub use self::limit::FlagLimit;
pub use self::ofrep::OfrepSource;
pub use self::snapshot::FlagSnapshot;
pub use self::snapshot::FlagStatus;

/// Where the limits of rollouts come from.
pub trait FlagSource: fmt::Debug + Send + Sync {
    /// Returns the newest answers. Reads memory only, because every request that a rollout covers
    /// calls it. One request uses one snapshot, so that its versions do not change while it is decided.
    fn snapshot(&self) -> Arc<FlagSnapshot>;
}

/// The gateway's own state: the stage of a rollout is what its document says. A rollout that names a
/// flag, which another gateway can ask for and this one cannot, lets the candidate judge nothing here.
#[derive(Debug, Default)]
pub struct OwnState(Arc<FlagSnapshot>);

impl FlagSource for OwnState {
    fn snapshot(&self) -> Arc<FlagSnapshot> {
        self.0.clone()
    }
}

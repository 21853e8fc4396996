//! How far a ledger is behind its store.

/// What the backend has and the ledger has not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lag {
    /// How many events.
    pub events: u64,
    /// The age of the oldest of them, in seconds of wall time; 0 if there is none, not a number if
    /// the store cannot say.
    pub seconds: f64,
}

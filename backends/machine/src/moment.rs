//! When a write happens, and above which number its tokens begin.

use leasehold_domain::FeatureLevel;
use leasehold_domain::Millis;
use leasehold_domain::WallMillis;

/// When and from where a write happens. The machine reads no clock: all time comes in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Logical time. A value below a record's own clock is lifted to it.
    pub now: Millis,
    /// Wall-clock time, for people only.
    pub wall: WallMillis,
    /// The store's revision × [`leasehold_domain::limits::TOKENS_PER_WRITE`]: greater for every
    /// later write of the store. Tokens of this write are above it, so they are above those of a
    /// record that was deleted. The rule holds as long as one write has at most 1,023 commands
    /// for one lock, because a command makes at most one token.
    pub token_floor: u64,
    /// By which level's rules the write is applied. A change of a rule asks for the level here, so
    /// that every build that applies the write makes the same of it.
    pub level: FeatureLevel,
}

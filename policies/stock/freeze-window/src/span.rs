//! One freeze between two times that a clock shows.

use leasehold_policy_sdk::UtcTime;

use crate::zone::PUT_BACK_MAX_MS;
use crate::zone::Twice;
use crate::zone::Wall;
use crate::zone::Zone;

/// From one time to another; the end is free again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    from: Wall,
    until: Wall,
}

impl Span {
    pub(crate) fn of(from: Wall, until: Wall) -> Self {
        Self { from, until }
    }

    /// When it ends, if it is on `at` the moment at which the clock shows `wall`. Of a time that the
    /// clock shows twice the first is meant at the beginning and the second at the end, so that a
    /// freeze is never shorter than it reads.
    pub(crate) fn end(self, zone: &Zone, at: UtcTime, wall: Wall) -> Option<UtcTime> {
        let possible = self.from.plus(-PUT_BACK_MAX_MS)..self.until.plus(PUT_BACK_MAX_MS);
        if !possible.contains(&wall) {
            return None;
        }
        let from = zone.utc(self.from, Twice::First);
        let until = zone.utc(self.until, Twice::Second);
        (from..until).contains(&at).then_some(until)
    }
}

//! A record on another clock: for stores in which every record keeps a time of its own.

use std::sync::Arc;

use leasehold_domain::Millis;

use super::LockRecord;
use crate::shift::Shift;

impl LockRecord {
    /// The same record with all its times moved by the same amount, so that its clock shows
    /// `clock`: what was to last for a while lasts for that while from there. A store whose
    /// gateways have no common clock puts a record that it sees for the first time on the
    /// gateway's own; whoever wrote it may be counting differently.
    #[must_use]
    pub fn rebased(mut self, clock: Millis) -> Self {
        let shift = Shift {
            from: self.clock,
            to: clock,
        };
        let moved = |at: &mut Millis| *at = shift.time(*at);
        moved(&mut self.clock);
        for lease in &mut self.holders {
            moved(&mut lease.granted);
            moved(&mut lease.deadline);
            lease.hold_until.iter_mut().for_each(moved);
        }
        if let Some(rest) = self.rest.as_deref_mut() {
            let queue = rest.queue.iter_mut().map(Arc::make_mut);
            queue.for_each(|waiter| waiter.shift(shift));
            // 0 is no time but the absence of one.
            if rest.cooldown_until > Millis::default() {
                moved(&mut rest.cooldown_until);
            }
            rest.reservations
                .iter_mut()
                .for_each(|reservation| moved(&mut reservation.until));
            rest.ended.iter_mut().for_each(|ended| moved(&mut ended.at));
        }
        self
    }
}

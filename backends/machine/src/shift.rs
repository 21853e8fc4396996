//! Conversion of times from one clock to another.

use leasehold_domain::Millis;

/// How times on one clock become times on another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shift {
    pub(crate) from: Millis,
    pub(crate) to: Millis,
}

impl Shift {
    /// What was so long before or after `from` is so long before or after `to`.
    pub(crate) fn time(self, time: Millis) -> Millis {
        match time >= self.from {
            true => self.to.plus(self.from.until(time)),
            false => Millis(self.to.0.saturating_sub(time.until(self.from))),
        }
    }
}

//! A timer on the clock that counts suspension.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::ClockId;
use nix::sys::timerfd::Expiration;
use nix::sys::timerfd::TimerFd;
use nix::sys::timerfd::TimerFlags;
use nix::sys::timerfd::TimerSetTimeFlags;

/// A timer that can be waited for with `poll`. If its time passes while the machine is suspended,
/// it is due on waking.
#[derive(Debug)]
pub(super) struct Timer(TimerFd);

impl Timer {
    pub(super) fn new() -> Result<Self, Errno> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        TimerFd::new(ClockId::CLOCK_BOOTTIME, flags).map(Self)
    }

    /// The time since boot.
    #[expect(clippy::unused_self, reason = "the clock of this timer")]
    pub(super) fn now(&self) -> Duration {
        leasehold_client::Moment::now().since_boot()
    }

    /// Lets it be due at this time since boot; replaces what was set before.
    pub(super) fn set(&self, at: Duration) {
        // Zero would switch it off.
        let at = Expiration::OneShot(TimeSpec::from_duration(at.max(Duration::from_nanos(1))));
        if self
            .0
            .set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            .is_err()
        {
            unreachable!("a time of day before the end of time");
        }
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

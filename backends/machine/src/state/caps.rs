//! What the caps of a namespace leave to an acquire.

use leasehold_domain::Action;
use leasehold_domain::Caps;
use leasehold_domain::Command;

use super::State;
use super::execute::Copies;
use crate::in_use::InUse;
use crate::in_use::Room;

/// The room below a cap in which [`State::is_near_cap`] counts as near, as a part of the cap.
const MARGIN_PARTS: u64 = 8;
/// The least such room.
const MARGIN_MIN: u64 = 64;
/// The greatest.
const MARGIN_MAX: u64 = 1_024;

impl State {
    /// Returns whether acquires of these commands may exceed a cap if others, of which this state has
    /// not heard, have added something meanwhile: an eighth of the cap, but at least 64 and at most
    /// 1,024. A store whose gateways prepare their writes side by side must then make sure that
    /// nothing was added.
    #[must_use]
    pub fn is_near_cap<'a>(&self, commands: impl Iterator<Item = &'a Command> + Clone) -> bool {
        let capped = commands.filter_map(|command| Some((command, caps(command)?)));
        let added = capped.clone().count() as u64;
        let near = |cap: Option<u64>, present: u64| {
            cap.is_some_and(|cap| {
                let margin = (cap / MARGIN_PARTS).clamp(MARGIN_MIN, MARGIN_MAX);
                present.saturating_add(added).saturating_add(margin) >= cap
            })
        };
        capped.into_iter().any(|(command, caps)| {
            let in_use = self.locks.in_use(&command.lock.namespace);
            near(caps.locks, in_use.locks) || near(caps.waiters, in_use.waiters)
        })
    }

    /// Returns what the caps leave to a command; `None` if it is held to none.
    pub(super) fn room(&self, command: &Command) -> Option<Room> {
        let caps = caps(command)?;
        let in_use = self.locks.in_use(&command.lock.namespace);
        Some(self.room_of(command, caps, in_use))
    }

    /// Returns what the caps leave to a command if all locks of its namespace take `in_use`.
    fn room_of(&self, command: &Command, caps: Caps, in_use: InUse) -> Room {
        let own = self.locks.get(&command.lock).map(InUse::of);
        let others = in_use.shifted(own.unwrap_or_default(), InUse::default());
        Room { caps, others }
    }

    /// The same beside the commands of a batch that were tried on copies.
    pub(super) fn room_beside(&self, command: &Command, copies: &Copies<'_>) -> Option<Room> {
        let caps = caps(command)?;
        let namespace = &command.lock.namespace;
        let beside = copies.iter();
        let beside =
            beside.filter(|(lock, _)| lock.namespace == *namespace && **lock != &command.lock);
        let in_use = beside.fold(self.locks.in_use(namespace), |in_use, (lock, (copy, _))| {
            let before = self.locks.get(lock).map(InUse::of);
            in_use.shifted(before.unwrap_or_default(), InUse::of(copy))
        });
        Some(self.room_of(command, caps, in_use))
    }
}

/// Returns the caps to which a command is held; `None` if there are none.
fn caps(command: &Command) -> Option<Caps> {
    let caps = command.expect.as_ref()?.caps?;
    let acquires = matches!(
        command.action,
        Action::Acquire { .. } | Action::AcquireOnce { .. }
    );
    acquires.then_some(caps)
}

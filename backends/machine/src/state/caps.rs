//! Checks acquires against the caps of their namespaces.

use leasehold_domain::Action;
use leasehold_domain::Caps;
use leasehold_domain::Command;

use super::State;
use super::execute::Copies;
use crate::cap_usage::CapCheck;
use crate::cap_usage::CapUsage;

/// Usage within this part of a cap below it counts as near for [`State::is_near_cap`]: an eighth.
const MARGIN_PARTS: u64 = 8;
/// The smallest such margin.
const MARGIN_MIN: u64 = 64;
/// The largest.
const MARGIN_MAX: u64 = 1_024;

impl State {
    /// Returns whether these acquires may exceed a cap together with concurrent writes that this
    /// state does not have yet. Assumes that those add less than an eighth of the cap, but at least
    /// 64 and at most 1,024. Near a cap, a store whose gateways prepare writes concurrently must
    /// make its write conditional on the whole state.
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
            let cap_usage = self.locks.cap_usage(&command.lock.namespace);
            near(caps.locks, cap_usage.locks) || near(caps.waiters, cap_usage.waiters)
        })
    }

    /// Returns the check of a command against its caps; `None` if it has none.
    pub(super) fn cap_check(&self, command: &Command) -> Option<CapCheck> {
        let caps = caps(command)?;
        let cap_usage = self.locks.cap_usage(&command.lock.namespace);
        Some(self.cap_check_with(command, caps, cap_usage))
    }

    /// Returns the check if all locks of the command's namespace use `cap_usage` of the caps.
    fn cap_check_with(&self, command: &Command, caps: Caps, cap_usage: CapUsage) -> CapCheck {
        let own = self.locks.get(&command.lock).map(CapUsage::of);
        let others = cap_usage.shifted(own.unwrap_or_default(), CapUsage::default());
        CapCheck { caps, others }
    }

    /// Returns the check of a command after the commands of its batch that were tried on copies.
    pub(super) fn cap_check_with_copies(
        &self,
        command: &Command,
        copies: &Copies<'_>,
    ) -> Option<CapCheck> {
        let caps = caps(command)?;
        let namespace = &command.lock.namespace;
        let others = copies.iter();
        let others =
            others.filter(|(lock, _)| lock.namespace == *namespace && **lock != &command.lock);
        let cap_usage = others.fold(
            self.locks.cap_usage(namespace),
            |cap_usage, (lock, (copy, _))| {
                let before = self.locks.get(lock).map(CapUsage::of);
                cap_usage.shifted(before.unwrap_or_default(), CapUsage::of(copy))
            },
        );
        Some(self.cap_check_with(command, caps, cap_usage))
    }
}

/// Returns the caps of an acquire; `None` if it has none, or for another command.
fn caps(command: &Command) -> Option<Caps> {
    let caps = command.expect.as_ref()?.caps?;
    let acquires = matches!(
        command.action,
        Action::Acquire { .. } | Action::AcquireOnce { .. }
    );
    acquires.then_some(caps)
}

//! The connections that count against limits, by address.

use std::collections::BTreeSet;
use std::collections::HashMap;

use crate::limiting::AddressGroup;

/// Connections by address, oldest first, and the addresses by how many they have.
#[derive(Debug, Default)]
pub(super) struct Counted {
    groups: HashMap<AddressGroup, BTreeSet<u64>>,
    by_size: BTreeSet<(usize, AddressGroup)>,
    total: usize,
}

impl Counted {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.total
    }

    /// How many an address has.
    pub(super) fn of(&self, group: AddressGroup) -> usize {
        self.groups.get(&group).map_or(0, BTreeSet::len)
    }

    /// The connections of an address, oldest first.
    pub(super) fn connections(&self, group: AddressGroup) -> impl Iterator<Item = u64> {
        self.groups.get(&group).into_iter().flatten().copied()
    }

    /// The addresses with the most connections, and how many they have.
    pub(super) fn largest(&self, count: usize) -> Vec<(usize, AddressGroup)> {
        self.by_size.iter().rev().take(count).copied().collect()
    }

    pub(super) fn add(&mut self, group: AddressGroup, number: u64) {
        let before = self.of(group);
        if self.groups.entry(group).or_default().insert(number) {
            self.total += 1;
            self.resized(group, before);
        }
    }

    /// Returns whether it was counted.
    pub(super) fn remove(&mut self, group: AddressGroup, number: u64) -> bool {
        let before = self.of(group);
        let connections = self.groups.get_mut(&group);
        let removed = connections.is_some_and(|connections| connections.remove(&number));
        if removed {
            self.total -= 1;
            self.resized(group, before);
        }
        removed
    }

    fn resized(&mut self, group: AddressGroup, before: usize) {
        self.by_size.remove(&(before, group));
        match self.of(group) {
            0 => drop(self.groups.remove(&group)),
            size => drop(self.by_size.insert((size, group))),
        }
    }
}

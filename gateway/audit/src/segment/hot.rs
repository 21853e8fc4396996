//! A segment that is not on disk yet: its postings, in a form that is cheap to add to.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::hash::RandomState;

use leasehold_domain::Event;

use super::Blocks;
use super::EndedHold;
use super::WALLS_KEY;
use super::hold_key;
use super::varint::encode_offsets;
use super::varint::encode_walls;
use crate::dimension;
use crate::dimension::Dimension;

/// One value that occurs in the segment: where its key is, and its newest posting (plus one).
#[derive(Debug)]
struct Value {
    start: u32,
    length: u32,
    newest: u32,
}

/// An open segment's index. Keys (a dimension's byte and the value) are interned in one string of
/// bytes; postings are linked backwards, so that adding one never moves another: six bytes for
/// each posting, some 20 bytes and the key for each value.
#[derive(Debug)]
pub(crate) struct Hot {
    /// The cursor of the segment's first event.
    pub(crate) first: u64,
    hasher: RandomState,
    keys: Vec<u8>,
    values: Vec<Value>,
    /// Open addressing with linear probing; an index into `values` plus one, 0 for empty.
    slots: Vec<u32>,
    /// Those of `values` that are policy sets.
    sets: Vec<u32>,
    offsets: Vec<u16>,
    /// For each posting, the one before of the same value, plus one.
    before: Vec<u32>,
    /// Wall times of all events.
    pub(crate) walls: Vec<u64>,
    /// The holds that ended here, with the hash of their lock.
    pub(crate) ended: Vec<(u64, EndedHold)>,
    scratch: String,
}

impl Hot {
    /// An empty segment that begins at this cursor.
    pub(crate) fn new(first: u64) -> Self {
        Self {
            first,
            hasher: RandomState::new(),
            keys: Vec::new(),
            values: Vec::new(),
            slots: vec![0; 64],
            sets: Vec::new(),
            offsets: Vec::new(),
            before: Vec::new(),
            walls: Vec::new(),
            ended: Vec::new(),
            scratch: String::new(),
        }
    }

    /// How many events it has.
    pub(crate) fn len(&self) -> usize {
        self.walls.len()
    }

    /// Adds the next event. A segment takes at most 65,536.
    pub(crate) fn add(&mut self, event: &Event) {
        let mut scratch = std::mem::take(&mut self.scratch);
        dimension::values(event, &mut scratch, self);
        self.scratch = scratch;
        self.walls.push(event.wall.0);
    }

    /// The rising offsets of the events with this value; none if there is no such event.
    pub(crate) fn list(&self, dimension: Dimension, value: &str) -> Option<Vec<u16>> {
        if dimension == Dimension::Policy {
            return self.policy_list(value);
        }
        let mut key = vec![dimension as u8];
        key.extend_from_slice(value.as_bytes());
        let slot = self.slot(&key);
        let at = self.slots[slot].checked_sub(1)?;
        Some(self.postings(at))
    }

    /// The segment's index as it is stored.
    pub(crate) fn blocks(&self) -> Blocks {
        let mut entries: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut policies: BTreeMap<String, Vec<u16>> = BTreeMap::new();
        for at in 0..u32::try_from(self.values.len()).unwrap_or(u32::MAX) {
            let key = self.key(at);
            if key[0] == Dimension::PolicySet as u8 {
                let postings = self.postings(at);
                let set = std::str::from_utf8(&key[1..]).unwrap_or_default();
                for policy in dimension::policies(set) {
                    policies
                        .entry(policy)
                        .or_default()
                        .extend_from_slice(&postings);
                }
                continue;
            }
            let mut list = Vec::new();
            encode_offsets(&self.postings(at), &mut list);
            entries.insert(key.to_vec(), list);
        }
        for (policy, mut postings) in policies {
            postings.sort_unstable();
            postings.dedup();
            let mut list = Vec::new();
            encode_offsets(&postings, &mut list);
            let mut key = vec![Dimension::Policy as u8];
            key.extend_from_slice(policy.as_bytes());
            entries.insert(key, list);
        }
        for (lock, hold) in &self.ended {
            hold.encode(entries.entry(hold_key(*lock).to_vec()).or_default());
        }
        let walls = entries.entry(WALLS_KEY.to_vec()).or_default();
        encode_walls(&self.walls, walls);
        let mut blocks = Blocks::default();
        for (key, value) in &entries {
            blocks.push(key, value);
        }
        blocks
    }

    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.capacity()
            + self.values.capacity() * size_of::<Value>()
            + (self.slots.capacity() + self.sets.capacity() + self.before.capacity()) * 4
            + self.offsets.capacity() * 2
            + self.walls.capacity() * 8
            + self.ended.capacity() * size_of::<(u64, EndedHold)>()
    }

    fn policy_list(&self, policy: &str) -> Option<Vec<u16>> {
        let mut all = Vec::new();
        for at in &self.sets {
            let set = std::str::from_utf8(&self.key(*at)[1..]).unwrap_or_default();
            if dimension::policies(set).any(|found| found == policy) {
                all.extend(self.postings(*at));
            }
        }
        all.sort_unstable();
        (!all.is_empty()).then_some(all)
    }

    fn key(&self, at: u32) -> &[u8] {
        let value = &self.values[at as usize];
        &self.keys[value.start as usize..][..value.length as usize]
    }

    fn postings(&self, at: u32) -> Vec<u16> {
        let mut offsets = Vec::new();
        let mut next = self.values[at as usize].newest;
        while let Some(posting) = next.checked_sub(1) {
            offsets.push(self.offsets[posting as usize]);
            next = self.before[posting as usize];
        }
        offsets.reverse();
        offsets
    }

    /// The slot of a key, or the empty one where it would go.
    fn slot(&self, key: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let hash = self.hasher.hash_one(key);
        let mut slot = usize::try_from(hash & mask as u64).unwrap_or(0);
        while let Some(at) = self.slots[slot].checked_sub(1) {
            if self.key(at) == key {
                break;
            }
            slot = (slot + 1) & mask;
        }
        slot
    }

    /// Interns the key that stands at the end of `keys`, from `start` on.
    fn intern(&mut self, start: usize) -> u32 {
        let slot = self.slot(&self.keys[start..]);
        if let Some(at) = self.slots[slot].checked_sub(1) {
            self.keys.truncate(start);
            return at;
        }
        let at = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(Value {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            length: u32::try_from(self.keys.len() - start).unwrap_or(u32::MAX),
            newest: 0,
        });
        self.slots[slot] = at + 1;
        if self.keys[start] == Dimension::PolicySet as u8 {
            self.sets.push(at);
        }
        if self.values.len() * 4 > self.slots.len() * 3 {
            self.grow();
        }
        at
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 2];
        for at in 0..u32::try_from(self.values.len()).unwrap_or(u32::MAX) {
            let slot = self.slot(self.key(at));
            self.slots[slot] = at + 1;
        }
    }
}

impl dimension::Values for Hot {
    fn value(&mut self, dimension: Dimension, value: &str) {
        let start = self.keys.len();
        self.keys.push(dimension as u8);
        self.keys.extend_from_slice(value.as_bytes());
        let at = self.intern(start) as usize;
        let offset = u16::try_from(self.walls.len()).unwrap_or(u16::MAX);
        let newest = self.values[at].newest;
        if newest != 0 && self.offsets[newest as usize - 1] == offset {
            return;
        }
        self.offsets.push(offset);
        self.before.push(newest);
        self.values[at].newest = u32::try_from(self.offsets.len()).unwrap_or(u32::MAX);
    }
}

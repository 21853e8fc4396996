//! A closed segment's index: sorted keys with their values, packed into blocks of a few kilobytes,
//! and a directory of the blocks' first keys. So a segment costs some hundred rows, not one row
//! for each value.

use super::varint::pull;
use super::varint::push;

/// A block is closed when it has so many bytes; one long value makes a longer block.
const BLOCK_BYTES: usize = 4_096;

/// A segment's blocks, being packed.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// The first key of each block, in the same form as a block's entries, with empty values.
    pub(crate) directory: Vec<u8>,
    pub(crate) blocks: Vec<Vec<u8>>,
}

impl Blocks {
    /// Adds an entry. Keys come in rising order.
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) {
        let full = self
            .blocks
            .last()
            .is_none_or(|block| block.len() >= BLOCK_BYTES);
        if full {
            entry(&mut self.directory, key, &[]);
            self.blocks.push(Vec::new());
        }
        if let Some(block) = self.blocks.last_mut() {
            entry(block, key, value);
        }
    }
}

fn entry(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    push(out, key.len() as u64);
    out.extend_from_slice(key);
    push(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// The number of the block that holds `key` if any does: the last whose first key is not greater.
pub(crate) fn pick(directory: &[u8], key: &[u8]) -> Option<usize> {
    Entries(directory)
        .take_while(|(first, _)| *first <= key)
        .count()
        .checked_sub(1)
}

/// The value of `key` in a block.
pub(crate) fn find<'b>(block: &'b [u8], key: &[u8]) -> Option<&'b [u8]> {
    Entries(block)
        .find(|(found, _)| *found == key)
        .map(|(_, value)| value)
}

struct Entries<'b>(&'b [u8]);

impl<'b> Iterator for Entries<'b> {
    type Item = (&'b [u8], &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Some((field(&mut self.0)?, field(&mut self.0)?))
    }
}

fn field<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = usize::try_from(pull(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn every_key_is_found_and_no_other(
            entries: BTreeMap<Vec<u8>, Vec<u8>>,
            long in proptest::collection::vec(0_usize..9_000, 0..12),
            other: Vec<u8>,
        ) {
            let mut entries = entries;
            for (at, length) in long.into_iter().enumerate() {
                entries.insert(format!("long{at}").into_bytes(), vec![7; length]);
            }
            let mut packed = Blocks::default();
            for (key, value) in &entries {
                packed.push(key, value);
            }
            let get = |key: &[u8]| {
                pick(&packed.directory, key).and_then(|at| find(&packed.blocks[at], key))
            };
            for (key, value) in &entries {
                prop_assert_eq!(get(key), Some(&value[..]));
            }
            prop_assert_eq!(get(&other), entries.get(&other).map(Vec::as_slice));
        }
    }
}

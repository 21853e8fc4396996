//! Chunks: some consecutive events in one row. Their canonical bytes stand in lines, packed
//! together: neighbours are much alike, so that a row holds eight times the events, and the file,
//! its log and its checkpoints move an eighth of the bytes. What is hashed are the canonical
//! bytes, never the packed ones.

use std::sync::Arc;

use leasehold_domain::Digest;
use leasehold_domain::Event;
use leasehold_evidence::leaf_hash;
use lz4_flex::block::CompressTable;
use lz4_flex::block::compress_into_with_table;
use lz4_flex::block::decompress_into;
use lz4_flex::block::get_maximum_output_size;

use crate::canonical;
use crate::chain;

/// Most events in a chunk. Who reads one event unpacks its chunk: some 20 microseconds.
const EVENTS_MAX: usize = 32;

/// A chunk takes no more events once it has so many bytes; one long event makes a longer chunk.
const BYTES_MAX: usize = 32 * 1_024;

/// How the lines are packed, in the first byte; a later way gets another number. This one: the
/// length of the lines (four bytes, little-endian), and an LZ4 block.
const LZ4: u8 = 1;

/// No LZ4 block unpacks to more times its size.
const RATIO_MAX: usize = 255;

const CHAIN_BYTES: usize = 32;

/// An event in a chunk.
#[derive(Debug)]
pub(crate) struct Written {
    /// Its leaf hash.
    pub(crate) leaf: Digest,
    /// The chain after it.
    pub(crate) chain: Digest,
    /// How many canonical bytes it has.
    pub(crate) bytes: usize,
}

/// A chunk that is being filled, with room that is used again for the next.
pub(crate) struct Filling {
    lines: Vec<u8>,
    chains: Vec<u8>,
    packed: Vec<u8>,
    table: CompressTable,
}

impl Written {
    /// Of these canonical bytes, after the event with the chain `before`.
    pub(crate) fn of(body: &[u8], before: &Digest) -> Self {
        let leaf = leaf_hash(body);
        Self {
            chain: chain::next(before, &leaf),
            leaf,
            bytes: body.len(),
        }
    }
}

impl Filling {
    pub(crate) fn new() -> Self {
        Self {
            lines: Vec::new(),
            chains: Vec::new(),
            packed: Vec::new(),
            table: CompressTable::small(),
        }
    }

    /// Adds an event after the one with the chain `before`.
    pub(crate) fn add(&mut self, backend: &str, event: &Event, before: &Digest) -> Written {
        let start = self.lines.len();
        canonical::write(backend, event, &mut self.lines);
        let body = &self.lines[start..];
        let written = Written::of(body, before);
        self.lines.push(b'\n');
        self.chains.extend_from_slice(&written.chain.0);
        written
    }

    pub(crate) fn is_full(&self) -> bool {
        self.lines.len() >= BYTES_MAX || self.chains.len() >= EVENTS_MAX * CHAIN_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    /// The chunk as it is stored: the chain after each event, and the packed lines.
    pub(crate) fn pack(&mut self) -> (&[u8], &[u8]) {
        let lines = &self.lines;
        let length = u32::try_from(lines.len()).unwrap_or(u32::MAX);
        self.packed.clear();
        self.packed.push(LZ4);
        self.packed.extend_from_slice(&length.to_le_bytes());
        let start = self.packed.len();
        self.packed
            .resize(start + get_maximum_output_size(lines.len()), 0);
        // It fails only if the room is too small, and it is not.
        let written = compress_into_with_table(lines, &mut self.packed[start..], &mut self.table);
        self.packed.truncate(start + written.unwrap_or(0));
        (&self.chains, &self.packed)
    }

    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        self.chains.clear();
    }
}

/// A chunk that was read.
#[derive(Debug)]
pub(crate) struct Chunk {
    first: u64,
    chains: Vec<u8>,
    lines: String,
    /// Where each line ends, without its end of line.
    ends: Vec<usize>,
}

impl Chunk {
    /// A stored chunk; none if its bytes are damaged. The chain has to be checked all the same.
    pub(crate) fn read(first: u64, chains: &[u8], packed: &[u8]) -> Option<Self> {
        let lines = unpack(packed)?;
        let ends: Vec<usize> = lines.match_indices('\n').map(|(at, _)| at).collect();
        let ends_there = ends.last().is_some_and(|end| end + 1 == lines.len());
        let fits = ends_there && chains.len() == ends.len() * CHAIN_BYTES;
        fits.then(|| Self {
            first,
            chains: chains.to_vec(),
            lines,
            ends,
        })
    }

    /// The event at this cursor, and the chain after it; none if it is not in this chunk.
    pub(crate) fn get(&self, cursor: u64) -> Option<(Arc<str>, Digest)> {
        let at = usize::try_from(cursor.checked_sub(self.first)?).ok()?;
        let chain = chain_at(self.first, &self.chains, cursor)?;
        Some((self.line(at)?.into(), chain))
    }

    fn line(&self, at: usize) -> Option<&str> {
        let start = match at.checked_sub(1) {
            Some(before) => self.ends.get(before)? + 1,
            None => 0,
        };
        self.lines.get(start..*self.ends.get(at)?)
    }

    /// Each event's cursor and canonical bytes, and the chain after it as it is stored.
    pub(crate) fn events(&self) -> impl Iterator<Item = (u64, &str, Digest)> {
        (self.first..)
            .zip((0..self.ends.len()).filter_map(|at| self.line(at)))
            .zip(chains(&self.chains))
            .map(|((cursor, body), chain)| (cursor, body, chain))
    }
}

/// The chain after each event of a chunk that begins at `first`, up to the one at `cursor`.
pub(crate) fn chain_at(first: u64, stored: &[u8], cursor: u64) -> Option<Digest> {
    chains(stored).nth(usize::try_from(cursor.checked_sub(first)?).ok()?)
}

fn chains(stored: &[u8]) -> impl Iterator<Item = Digest> {
    stored.as_chunks().0.iter().copied().map(Digest)
}

fn unpack(packed: &[u8]) -> Option<String> {
    let (form, rest) = packed.split_first()?;
    let (length, block) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if *form != LZ4 || length > block.len().saturating_mul(RATIO_MAX) {
        return None;
    }
    let mut lines = vec![0; length];
    let written = decompress_into(block, &mut lines).ok()?;
    (written == length).then(|| String::from_utf8(lines).ok())?
}

#[cfg(test)]
mod tests;

//! The right edge of a growing tree.

use leasehold_domain::Digest;
use thiserror::Error;

use crate::node::empty_root;
use crate::node::node_hash;

/// The hashes of the largest whole subtrees that a tree consists of, the largest first: one for each
/// bit that is set in its size. That is all that the root needs, and all that growing needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    nodes: Vec<Digest>,
}

/// A subtree cannot stand where the tree ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a subtree of {leaves} leaves cannot begin at leaf {at}")]
pub struct Misplaced {
    /// Where the tree ends.
    pub at: u64,
    /// The leaves of the subtree.
    pub leaves: u64,
}

impl Edge {
    /// Puts the edge together again; nothing if there are not as many hashes as such a tree has.
    #[must_use]
    pub fn new(size: u64, nodes: Vec<Digest>) -> Option<Self> {
        (size.count_ones() as usize == nodes.len()).then_some(Self { size, nodes })
    }

    /// Returns the number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the hashes, that of the largest subtree first.
    #[must_use]
    pub fn nodes(&self) -> &[Digest] {
        &self.nodes
    }

    /// Adds a leaf. Tells of each subtree of two and more leaves that becomes whole by it: its level
    /// (it has 2^level leaves) and its hash.
    pub fn push(&mut self, leaf: Digest, whole: impl FnMut(u32, Digest)) {
        self.join(0, leaf, whole);
    }

    /// Adds a whole subtree of 2^`level` leaves, `level` 0 to 63.
    ///
    /// # Errors
    /// The tree does not end at a multiple of the subtree's leaves, or would have more than 2^63.
    pub fn append(&mut self, level: u32, node: Digest) -> Result<(), Misplaced> {
        let (at, leaves) = (self.size, 1_u64.checked_shl(level).unwrap_or(u64::MAX));
        let fits = level < 63 && at % leaves == 0 && at.checked_add(leaves).is_some();
        if !fits {
            return Err(Misplaced { at, leaves });
        }
        self.join(level, node, |_, _| {});
        Ok(())
    }

    fn join(&mut self, level: u32, node: Digest, mut whole: impl FnMut(u32, Digest)) {
        let (mut above, mut joined) = (level, node);
        while self.size >> above & 1 == 1 {
            let Some(left) = self.nodes.pop() else {
                break;
            };
            joined = node_hash(&left, &joined);
            above += 1;
            whole(above, joined);
        }
        self.nodes.push(joined);
        self.size += 1 << level;
    }

    /// Returns the tree's hash.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut nodes = self.nodes.iter().rev();
        let Some(last) = nodes.next() else {
            return empty_root();
        };
        nodes.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// Returns the levels of the whole subtrees that the leaves from `from` to before `to` consist of, in
/// their order, each as large as its place and the end allow.
pub fn subtrees(from: u64, to: u64) -> impl Iterator<Item = (u32, u64)> {
    let mut at = from;
    std::iter::from_fn(move || {
        let left = to.checked_sub(at).filter(|left| *left > 0)?;
        let level = at.trailing_zeros().min(left.ilog2());
        let index = at >> level;
        at += 1 << level;
        Some((level, index))
    })
}

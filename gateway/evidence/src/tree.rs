//! The tree of a ledger: what grows with each event, and the proofs over what was stored of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;

use leasehold_domain::Digest;
use thiserror::Error;
use tlog_tiles::HashReader;

use crate::edge::Edge;
use crate::node::node_hash;
use crate::node::ours;
use crate::node::theirs;

/// Hashes in a full tile.
pub const TILE_HASHES: usize = 256;

/// Levels of the tree that a level of tiles spans.
pub const TILE_LEVELS: u32 = 8;

/// A tile: consecutive hashes of one level. Level 0 has the leaf hashes, level 1 the hashes of 256
/// leaves each, level 2 of 65,536, and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Its level, from 0.
    pub level: u32,
    /// Its place in its level, from 0.
    pub index: u64,
    /// 1 to 256 hashes.
    pub hashes: Vec<Digest>,
}

/// What a growing tree keeps in memory: its right edge, and of each level from 1 the tile that is not
/// full: at most 8 KiB a level. Leaf hashes are not kept: they follow from the events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Growth {
    edge: Edge,
    /// Of level 1 and following.
    open: Vec<Vec<Digest>>,
}

impl Growth {
    /// Returns the number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Returns the tree's hash.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.edge.root()
    }

    /// Adds a leaf; returns the tiles of level 1 and following that it fills.
    pub fn push(&mut self, leaf: Digest) -> Vec<Tile> {
        let Self { edge, open } = self;
        let before = edge.size();
        let mut full = Vec::new();
        edge.push(leaf, |level, node| {
            if level % TILE_LEVELS != 0 {
                return;
            }
            let tile_level = level / TILE_LEVELS;
            let at = tile_level as usize - 1;
            if open.len() == at {
                open.push(Vec::new());
            }
            open[at].push(node);
            if open[at].len() == TILE_HASHES {
                full.push(Tile {
                    level: tile_level,
                    index: before >> level >> TILE_LEVELS,
                    hashes: std::mem::take(&mut open[at]),
                });
            }
        });
        full
    }

    /// Returns the hashes of a tile of level 1 or following that is not full, or is empty.
    #[must_use]
    pub fn open_tile(&self, level: u32, index: u64) -> Option<&[Digest]> {
        let width = TILE_LEVELS * level;
        if index != self.size().checked_shr(width + TILE_LEVELS).unwrap_or(0) {
            return None;
        }
        let open = self.open.get(level.checked_sub(1)? as usize);
        Some(open.map_or(&[], Vec::as_slice))
    }

    /// Returns it as bytes: the size, the edge, and the open tiles, of which the size tells how many
    /// hashes each has.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size().to_be_bytes().to_vec();
        let open = self.open.iter().flatten();
        for hash in self.edge.nodes().iter().chain(open) {
            bytes.extend_from_slice(&hash.0);
        }
        bytes
    }

    /// Reads what [`Growth::to_bytes`] wrote; nothing if the bytes have another form.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk()?;
        let size = u64::from_be_bytes(*size);
        let (hashes, rest) = rest.as_chunks();
        let mut hashes = hashes.iter().copied().map(Digest);
        let nodes = hashes.by_ref().take(size.count_ones() as usize).collect();
        let edge = Edge::new(size, nodes)?;
        let mut open = Vec::new();
        for level in (1..).map(|level| level * TILE_LEVELS) {
            let at_level = size.checked_shr(level).unwrap_or(0);
            if at_level == 0 {
                break;
            }
            let there = usize::try_from(at_level % TILE_HASHES as u64).ok()?;
            let tile: Vec<_> = hashes.by_ref().take(there).collect();
            (tile.len() == there).then(|| open.push(tile))?;
        }
        (rest.is_empty() && hashes.next().is_none()).then_some(Self { edge, open })
    }
}

/// Where the hashes of stored tiles are read.
pub trait Tiles {
    /// Why one cannot be read.
    type Error: Display;

    /// Returns the hashes of a tile, at least the first `hashes` of them.
    ///
    /// # Errors
    /// It cannot be read.
    fn tile(&self, level: u32, index: u64, hashes: usize) -> Result<Vec<Digest>, Self::Error>;
}

/// A proof could not be made.
#[derive(Debug, Error)]
pub enum ProveError<E> {
    /// The tree has no such leaf or size.
    #[error("the tree of {size} leaves has no {asked}")]
    OutOfRange {
        /// The size of the tree.
        size: u64,
        /// What was asked for.
        asked: String,
    },
    /// A tile could not be read.
    #[error(transparent)]
    Tiles(E),
    /// The tiles have not the hashes that the proof needs.
    #[error("the stored tree is damaged: {0}")]
    Damaged(String),
}

/// Returns the inclusion proof of a leaf in the tree of `size` leaves: RFC 6962 section 2.1.1.
///
/// # Errors
/// There is no such leaf, or the tree cannot be read.
pub fn prove_inclusion<T: Tiles>(
    tiles: &T,
    leaf: u64,
    size: u64,
) -> Result<Vec<Digest>, ProveError<T::Error>> {
    if leaf >= size {
        let asked = format!("leaf {leaf}");
        return Err(ProveError::OutOfRange { size, asked });
    }
    let nodes = Nodes::new(tiles, size);
    nodes.told(tlog_tiles::prove_record(size, leaf, &nodes))
}

/// Returns the proof that the tree of `old` leaves is the beginning of that of `size`: RFC 6962
/// section 2.1.2.
///
/// # Errors
/// `old` is not 1 to `size`, or the tree cannot be read.
pub fn prove_consistency<T: Tiles>(
    tiles: &T,
    old: u64,
    size: u64,
) -> Result<Vec<Digest>, ProveError<T::Error>> {
    if !(1..=size).contains(&old) {
        let asked = format!("beginning of {old} leaves");
        return Err(ProveError::OutOfRange { size, asked });
    }
    let nodes = Nodes::new(tiles, size);
    nodes.told(tlog_tiles::prove_tree(size, old, &nodes))
}

/// Returns the hash of the tree's first `size` leaves.
///
/// # Errors
/// The tree cannot be read.
pub fn root_at<T: Tiles>(tiles: &T, size: u64) -> Result<Digest, ProveError<T::Error>> {
    let nodes = Nodes::new(tiles, size);
    let root = nodes.told(tlog_tiles::tree_hash(size, &nodes).map(|root| vec![root]))?;
    Ok(root[0])
}

/// Returns the hashes of whole subtrees, each given by level and place, in a tree of `size` leaves.
///
/// # Errors
/// The tree cannot be read.
pub fn node_hashes<T: Tiles>(
    tiles: &T,
    wanted: impl Iterator<Item = (u32, u64)>,
    size: u64,
) -> Result<Vec<Digest>, ProveError<T::Error>> {
    let nodes = Nodes::new(tiles, size);
    let read = wanted.map(|(level, index)| nodes.node(level, index).map(|node| theirs(&node)));
    nodes.told(read.collect())
}

/// Nodes, computed from tiles, of which each is read once.
struct Nodes<'t, T: Tiles> {
    tiles: &'t T,
    size: u64,
    read: RefCell<BTreeMap<(u32, u64), Vec<Digest>>>,
    failed: RefCell<Option<T::Error>>,
}

impl<'t, T: Tiles> Nodes<'t, T> {
    fn new(tiles: &'t T, size: u64) -> Self {
        Self {
            tiles,
            size,
            read: RefCell::default(),
            failed: RefCell::default(),
        }
    }

    /// The hash of the whole subtree with this place among those of 2^`level` leaves.
    fn node(&self, level: u32, index: u64) -> Result<Digest, tlog_tiles::Error> {
        let (tile_level, within) = (level / TILE_LEVELS, level % TILE_LEVELS);
        let first = index << within;
        let place = (tile_level, first >> TILE_LEVELS);
        let mut read = self.read.borrow_mut();
        let hashes = match read.entry(place) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(unknown) => {
                let of_level = self.size >> (tile_level * TILE_LEVELS);
                let begins = place.1 << TILE_LEVELS;
                let there = of_level.saturating_sub(begins).min(TILE_HASHES as u64);
                let there = usize::try_from(there).unwrap_or(TILE_HASHES);
                let tile = self.tiles.tile(place.0, place.1, there);
                let hashes = tile.map_err(|error| {
                    let told = tlog_tiles::Error::InvalidInput(error.to_string());
                    self.failed.replace(Some(error));
                    told
                })?;
                unknown.insert(hashes)
            }
        };
        let from = usize::try_from(first % TILE_HASHES as u64).unwrap_or(0);
        let part = hashes.get(from..from + (1 << within));
        part.map(subtree).ok_or(tlog_tiles::Error::IndexesNotInTree)
    }

    /// The outcome in our words.
    fn told(
        &self,
        outcome: Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error>,
    ) -> Result<Vec<Digest>, ProveError<T::Error>> {
        match outcome {
            Ok(hashes) => Ok(hashes.into_iter().map(ours).collect()),
            Err(error) => Err(match self.failed.take() {
                Some(failed) => ProveError::Tiles(failed),
                None => ProveError::Damaged(error.to_string()),
            }),
        }
    }
}

impl<T: Tiles> HashReader for Nodes<'_, T> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let nodes = indexes.iter().map(|index| {
            let (level, index) = tlog_tiles::split_stored_hash_index(*index);
            self.node(u32::from(level), index).map(|node| theirs(&node))
        });
        nodes.collect()
    }
}

/// The hash over a power of two of hashes.
fn subtree(hashes: &[Digest]) -> Digest {
    match hashes {
        [one] => *one,
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            node_hash(&subtree(left), &subtree(right))
        }
    }
}

/// A proof does not show what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the proof does not lead to the root")]
pub struct WrongProof;

/// Checks that the tree of `size` leaves with this root has this leaf at this place.
///
/// # Errors
/// The proof does not show it.
pub fn check_inclusion(
    proof: &[Digest],
    (leaf, hash): (u64, &Digest),
    (size, root): (u64, &Digest),
) -> Result<(), WrongProof> {
    let proof = proof.iter().map(theirs).collect();
    let checked = (leaf < size)
        .then(|| tlog_tiles::check_record(&proof, size, theirs(root), leaf, theirs(hash)));
    checked.and_then(Result::ok).ok_or(WrongProof)
}

/// Checks that the first tree, of a size and a root, is the beginning of the second.
///
/// # Errors
/// The proof does not show it.
pub fn check_consistency(
    proof: &[Digest],
    (old, old_root): (u64, &Digest),
    (size, root): (u64, &Digest),
) -> Result<(), WrongProof> {
    let proof = proof.iter().map(theirs).collect();
    let checked = (1..=size)
        .contains(&old)
        .then(|| tlog_tiles::check_tree(&proof, size, theirs(root), old, theirs(old_root)));
    checked.and_then(Result::ok).ok_or(WrongProof)
}

//! Questions about the Merkle tree, answered from what is in memory, the stored tiles, and the events.

use std::cell::RefCell;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::TreeQuestion;
use leasehold_domain::Digest;
use leasehold_evidence::Growth;
use leasehold_evidence::ProveError;
use leasehold_evidence::TILE_HASHES;
use leasehold_evidence::Tile;
use leasehold_evidence::Tiles;
use leasehold_evidence::leaf_hash;
use leasehold_evidence::node_hashes;
use leasehold_evidence::prove_consistency;
use leasehold_evidence::prove_inclusion;
use leasehold_evidence::root_at;

use super::reader::Lookup;
use super::reader::Readers;
use super::state::Shared;
use super::tree::block_id;
use crate::error::corrupt;

/// Answers a question about the tree.
pub(super) fn hashes(
    shared: &Shared,
    readers: &Readers,
    question: &TreeQuestion,
) -> Result<Vec<Digest>, BackendError> {
    let ((growth, filled), before) = {
        let state = shared.state();
        (state.tree.in_memory(), state.start.cursor.0)
    };
    let size = match question {
        TreeQuestion::Inclusion { size, .. }
        | TreeQuestion::Consistency { size, .. }
        | TreeQuestion::Root { size }
        | TreeQuestion::Nodes { size, .. } => *size,
    };
    if size > growth.size() {
        let detail = format!("the ledger's tree has {} leaves, not {size}", growth.size());
        return Err(BackendError::without_effect(ErrorKind::Invalid, detail));
    }
    readers.with(|connection| {
        let stored = Stored {
            lookup: RefCell::new(Lookup::new(connection)?),
            growth,
            filled,
            before,
        };
        let answer = match question {
            TreeQuestion::Inclusion { leaf, size } => prove_inclusion(&stored, *leaf, *size),
            TreeQuestion::Consistency { old, size } => prove_consistency(&stored, *old, *size),
            TreeQuestion::Root { size } => root_at(&stored, *size).map(|root| vec![root]),
            TreeQuestion::Nodes { nodes, size } => {
                node_hashes(&stored, nodes.iter().copied(), *size)
            }
        };
        answer.map_err(|error| match error {
            ProveError::Tiles(error) => error,
            ProveError::Damaged(_) => corrupt(error.to_string()),
            ProveError::OutOfRange { .. } => {
                BackendError::without_effect(ErrorKind::Invalid, error.to_string())
            }
        })
    })
}

/// The tree as it was when the question came.
struct Stored<'c> {
    lookup: RefCell<Lookup<'c>>,
    growth: Growth,
    filled: Vec<Tile>,
    before: u64,
}

impl Tiles for Stored<'_> {
    type Error = BackendError;

    fn tile(&self, level: u32, index: u64, hashes: usize) -> Result<Vec<Digest>, BackendError> {
        let mut lookup = self.lookup.borrow_mut();
        if level == 0 {
            let first = self.before + 1 + index * TILE_HASHES as u64;
            let cursors = first..first + hashes as u64;
            let leaf = |cursor| Ok(leaf_hash(lookup.row(cursor)?.body.as_bytes()));
            return cursors.map(leaf).collect();
        }
        let place = |tile: &&Tile| (tile.level, tile.index) == (level, index);
        if let Some(tile) = self.filled.iter().find(place) {
            return Ok(tile.hashes.clone());
        }
        if let Some(open) = self.growth.open_tile(level, index) {
            return Ok(open.to_vec());
        }
        let stored = lookup.block(block_id(level, index))?;
        let (stored, rest) = stored.as_chunks();
        match rest.is_empty() {
            true => Ok(stored.iter().copied().map(Digest).collect()),
            false => Err(corrupt(format!("tile {level}/{index} is damaged"))),
        }
    }
}

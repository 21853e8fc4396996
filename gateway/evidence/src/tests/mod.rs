//! A log of made-up events, its proofs compared with a second implementation, and files that were
//! changed.

mod files;
mod growing;

use std::collections::BTreeMap;

use leasehold_domain::Digest;

use crate::Checkpoint;
use crate::ConsistencyProof;
use crate::ExportHeader;
use crate::Growth;
use crate::InclusionProof;
use crate::LogKey;
use crate::TILE_HASHES;
use crate::Tiles;
use crate::TrustedKeys;
use crate::ends_block;
use crate::leaf_hash;
use crate::leaves_line;
use crate::node_hashes;
use crate::prove_consistency;
use crate::prove_inclusion;
use crate::root_at;
use crate::subtrees;

pub(super) const ORIGIN: &str = "locks.example.com/home";

/// A log in memory, which keeps what a ledger would.
pub(super) struct Log {
    pub(super) events: Vec<String>,
    pub(super) growth: Growth,
    stored: BTreeMap<(u32, u64), Vec<Digest>>,
}

impl Log {
    /// Events with the cursors 1 to `count`, of this history.
    pub(super) fn of(count: u64, history: &str) -> Self {
        let mut log = Self {
            events: Vec::new(),
            growth: Growth::default(),
            stored: BTreeMap::new(),
        };
        for cursor in 1..=count {
            log.add(format!(
                "{{\"v\":1,\"cursor\":{cursor},\"of\":\"{history}\"}}"
            ));
        }
        log
    }

    pub(super) fn add(&mut self, event: String) {
        for tile in self.growth.push(leaf_hash(event.as_bytes())) {
            self.stored.insert((tile.level, tile.index), tile.hashes);
        }
        self.events.push(event);
    }

    /// A signed checkpoint of its first `size` events.
    pub(super) fn checkpoint(&self, size: u64) -> String {
        let root = root_at(self, size).unwrap();
        let origin = ORIGIN.to_owned();
        Checkpoint { origin, size, root }.sign(&[key()]).unwrap()
    }

    pub(super) fn inclusion(&self, index: u64, size: u64) -> InclusionProof {
        InclusionProof {
            event: self.events[index as usize].clone(),
            index,
            hashes: prove_inclusion(self, index, size).unwrap(),
            checkpoint: self.checkpoint(size),
        }
    }

    pub(super) fn consistency(&self, old: u64, size: u64) -> ConsistencyProof {
        let hashes = prove_consistency(self, old, size).unwrap();
        ConsistencyProof::new(old, &hashes, self.checkpoint(size))
    }

    /// An export of the events from place `from` to before `to`.
    pub(super) fn export(&self, from: u64, to: u64, size: u64) -> String {
        let nodes = |from, to| node_hashes(self, subtrees(from, to), size).unwrap();
        let around = (&nodes(0, from)[..], &nodes(to, size)[..]);
        let places = (from, from + 1, to - from);
        let header = ExportHeader::new(places, around, self.checkpoint(size));
        let mut text = header.to_line();
        let mut block = Vec::new();
        for index in from..to {
            let event = &self.events[index as usize];
            block.push(leaf_hash(event.as_bytes()));
            text.push_str(event);
            text.push('\n');
            if ends_block(index) || index + 1 == to {
                text.push_str(&leaves_line(&std::mem::take(&mut block)));
            }
        }
        text
    }
}

impl Tiles for Log {
    type Error = String;

    fn tile(&self, level: u32, index: u64, hashes: usize) -> Result<Vec<Digest>, String> {
        if level == 0 {
            let from = index as usize * TILE_HASHES;
            let events = &self.events[from..from + hashes];
            let leaves = events.iter().map(|event| leaf_hash(event.as_bytes()));
            return Ok(leaves.collect());
        }
        let stored = self.stored.get(&(level, index)).map(Vec::as_slice);
        let tile = stored.or_else(|| self.growth.open_tile(level, index));
        tile.map(<[Digest]>::to_vec)
            .ok_or_else(|| format!("tile {level}/{index} is missing"))
    }
}

pub(super) fn key() -> LogKey {
    LogKey::from_secret(&[7; 32])
}

pub(super) fn keys() -> TrustedKeys {
    TrustedKeys::parse(&[key().public(ORIGIN)], &[]).unwrap()
}

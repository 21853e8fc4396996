#![doc = include_str!("../README.md")]

mod checkpoint;
mod edge;
mod export;
mod node;
mod proof;
mod tree;
mod verify;

#[cfg(test)]
mod tests;

pub use checkpoint::{Checkpoint, CheckpointError, KeyError, LogKey, TrustedKeys, Verified};
pub use edge::{Edge, Misplaced, subtrees};
pub use export::{
    Compared, EXPORT, ExportError, ExportHeader, ExportReport, ends_block, leaves_line,
    verify_export,
};
pub use node::{empty_root, leaf_hash, node_hash};
pub use proof::{CONSISTENCY, ConsistencyProof, InclusionProof, ProofError, TLOG_PROOF};
pub use tree::{
    Growth, ProveError, TILE_HASHES, TILE_LEVELS, Tile, Tiles, WrongProof, check_consistency,
    check_inclusion, node_hashes, prove_consistency, prove_inclusion, root_at,
};
pub use verify::{Report, VerifyError, verify};

//! The Merkle tree over the events.
//!
//! It follows from the events, so it has no migration of its own: it lies among the index blocks, and
//! what is missing of it, because an earlier build closed segments, is built at the next start. Leaf
//! hashes are not stored, but computed from the 256 events of their tile. Of the levels above, full
//! tiles are stored with the segment that fills them, 32 bytes for 256 events; what is not full, with
//! every segment, in place of what the one before has stored.

use leasehold_domain::Digest;
use leasehold_evidence::Growth;
use leasehold_evidence::Tile;
use leasehold_evidence::leaf_hash;
use rusqlite::Connection;
use rusqlite::OptionalExtension as _;

use crate::OpenError;
use crate::chunk::Chunk;

/// The row of `meta` with the tree at the end of the last closed segment.
const TREE: &str = "tree";

/// The tree as far as it is in memory.
#[derive(Debug, Default)]
pub(super) struct Tree {
    growth: Growth,
    /// Full tiles that are not stored yet.
    filled: Vec<Tile>,
}

/// What a segment that is closed adds to the stored tree.
#[derive(Debug)]
pub(super) struct TreePart {
    growth: Vec<u8>,
    tiles: Vec<Tile>,
}

impl Tree {
    pub(super) fn push(&mut self, leaf: Digest) {
        self.filled.extend(self.growth.push(leaf));
    }

    pub(super) fn size(&self) -> u64 {
        self.growth.size()
    }

    /// The parts in memory: what grows, and full tiles that are not stored yet.
    pub(super) fn in_memory(&self) -> (Growth, Vec<Tile>) {
        (self.growth.clone(), self.filled.clone())
    }

    pub(super) fn root(&self) -> Digest {
        self.growth.root()
    }

    /// Everything up to here that is not stored.
    pub(super) fn part(&self) -> TreePart {
        TreePart {
            growth: self.growth.to_bytes(),
            tiles: self.filled.clone(),
        }
    }

    /// Forgets full tiles that are stored.
    pub(super) fn stored(&mut self, part: &TreePart) {
        self.filled.retain(|tile| !part.tiles.contains(tile));
    }
}

/// The id of a tile among the blocks of the segments' indexes, which have ids from 0.
pub(super) fn block_id(level: u32, index: u64) -> i64 {
    -1 - (i64::from(level) << 48 | index.cast_signed())
}

/// Stores a part, in the transaction that is open.
pub(super) fn write(connection: &Connection, part: &TreePart) -> Result<(), rusqlite::Error> {
    for tile in &part.tiles {
        let hashes: Vec<u8> = tile.hashes.iter().flat_map(|hash| hash.0).collect();
        let sql = "INSERT OR REPLACE INTO blocks (id, data) VALUES (?1, ?2)";
        connection.execute(sql, (block_id(tile.level, tile.index), hashes))?;
    }
    let sql = "INSERT OR REPLACE INTO meta VALUES (?1, ?2)";
    connection.execute(sql, (TREE, &part.growth)).map(drop)
}

/// Reads the tree of the events after `start` up to `end`, where the last closed segment ends, and
/// stores what is missing of it.
pub(super) fn recover(connection: &Connection, start: u64, end: u64) -> Result<Tree, OpenError> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    // Whatever else stands there is no tree, and is written anew.
    let stored = connection
        .query_row(sql, [TREE], |row| {
            Ok(row.get_ref(0)?.as_blob().ok().and_then(Growth::from_bytes))
        })
        .optional()?
        .flatten();
    let mut tree = Tree {
        growth: stored
            .filter(|growth| growth.size() <= end - start)
            .unwrap_or_default(),
        filled: Vec::new(),
    };
    let from = start + tree.size();
    if from == end {
        return Ok(tree);
    }
    let mut statement = connection.prepare(
        "SELECT first, chains, bodies FROM chunks WHERE first > ?1 AND first <= ?2 ORDER BY first",
    )?;
    let mut rows = statement.query([from, end].map(u64::cast_signed))?;
    while let Some(row) = rows.next()? {
        let next = start + tree.size() + 1;
        let first = row.get::<_, i64>(0)?.cast_unsigned();
        let (chains, bodies) = (
            row.get_ref(1)?.as_blob().ok(),
            row.get_ref(2)?.as_blob().ok(),
        );
        let chunk = chains
            .zip(bodies)
            .filter(|_| first == next)
            .and_then(|(chains, bodies)| Chunk::read(first, chains, bodies));
        let problem = "it is missing, or its chunk is damaged".to_owned();
        let chunk = chunk.ok_or(OpenError::Tampered {
            cursor: next,
            problem,
        })?;
        for (_, body, _) in chunk.events() {
            tree.push(leaf_hash(body.as_bytes()));
        }
    }
    let part = tree.part();
    let transaction = connection.unchecked_transaction()?;
    write(&transaction, &part)?;
    transaction.commit()?;
    tree.stored(&part);
    tracing::info!(after = from, up_to = end, "ledger.tree built");
    Ok(tree)
}

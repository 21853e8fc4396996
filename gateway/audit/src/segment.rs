//! Segments: runs of events that are indexed together, in memory while open, in blocks once closed.

mod block;
mod holds;
mod hot;
mod varint;

pub(crate) use block::Blocks;
pub(crate) use block::find;
pub(crate) use block::pick;
pub(crate) use holds::EndedHold;
pub(crate) use holds::OpenHold;
pub(crate) use holds::OpenHolds;
pub(crate) use holds::decode_ended;
pub(crate) use holds::hold_key;
pub(crate) use holds::lock_hash;
pub(crate) use hot::Hot;
pub(crate) use varint::decode_offsets;
pub(crate) use varint::decode_walls;

/// The key of a closed segment's wall times.
pub(crate) const WALLS_KEY: &[u8] = b"w";

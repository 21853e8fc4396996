//! Stored bytes: a version, then the body; for stores that keep records, documents and events as
//! values of their own. Such a store checks its pages; a value that does not decode is corrupt all
//! the same.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::EndedRequest;
use crate::LockRecord;

/// Plain postcard.
const PLAIN: u8 = 1;
/// Postcard in an LZ4 block with its size in front.
const PACKED: u8 = 2;
/// Plain postcard of a record whose waiters are stored elsewhere. A build that does not know of that
/// must not take it for a record without a queue.
const HEAD: u8 = 3;
/// Postcard, in an LZ4 block with its size in front, of packed values and of the acquires whose
/// leases the same write has ended.
const PACKED_WITH_ENDED: u8 = 4;
/// The largest body that a packed record may unfold to.
const BODY_BYTES_MAX: usize = 512 * 1_024 * 1_024;

/// Why stored bytes are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// There are none.
    #[error("empty")]
    Empty,
    /// A newer build made them.
    #[error("version {0} is not known to this build")]
    Version(u8),
    /// They are no block of LZ4, or of one that is too large.
    #[error("does not unpack")]
    Packed,
    /// They are of another form.
    #[error("{0}")]
    Body(#[from] postcard::Error),
}

/// For small things that are read one by one.
///
/// # Errors
/// The value has no stored form.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, StoredError> {
    Ok(postcard::to_extend(value, vec![PLAIN])?)
}

/// For a record whose waiters are values of their own.
///
/// # Errors
/// The value has no stored form.
pub fn encode_head(head: &LockRecord) -> Result<Vec<u8>, StoredError> {
    Ok(postcard::to_extend(head, vec![HEAD])?)
}

/// For lists of things that resemble each other.
///
/// # Errors
/// The value has no stored form.
pub fn pack<T: Serialize>(values: &T) -> Result<Vec<u8>, StoredError> {
    let body = postcard::to_allocvec(values)?;
    let mut bytes = vec![PACKED];
    bytes.extend(lz4_flex::compress_prepend_size(&body));
    Ok(bytes)
}

/// Packs values as [`pack`] does, together with the acquires whose leases the same write has ended.
///
/// # Errors
/// The values have no stored form.
pub fn pack_with_ended<T: Serialize>(
    values: &T,
    ended: &[EndedRequest],
) -> Result<Vec<u8>, StoredError> {
    let body = postcard::to_allocvec(&(values, ended))?;
    let mut bytes = vec![PACKED_WITH_ENDED];
    bytes.extend(lz4_flex::compress_prepend_size(&body));
    Ok(bytes)
}

/// Reads what [`pack_with_ended`] made, or what builds before it made with [`pack`].
///
/// # Errors
/// As for [`decode`].
pub fn unpack_with_ended<T: DeserializeOwned>(
    bytes: &[u8],
) -> Result<(T, Vec<EndedRequest>), StoredError> {
    match bytes.split_first() {
        Some((&PACKED_WITH_ENDED, body)) => Ok(postcard::from_bytes(&unpack(body)?)?),
        _ => Ok((decode(bytes)?, Vec::new())),
    }
}

fn unpack(body: &[u8]) -> Result<Vec<u8>, StoredError> {
    let size = lz4_flex::block::uncompressed_size(body);
    let (size, _) = size.map_err(|_| StoredError::Packed)?;
    if size > BODY_BYTES_MAX {
        return Err(StoredError::Packed);
    }
    lz4_flex::decompress_size_prepended(body).map_err(|_| StoredError::Packed)
}

/// What any of these made.
///
/// # Errors
/// The bytes are not what was made, or unpack to more than 512 MiB.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoredError> {
    let (version, body) = bytes.split_first().ok_or(StoredError::Empty)?;
    match *version {
        PLAIN | HEAD => Ok(postcard::from_bytes(body)?),
        PACKED => Ok(postcard::from_bytes(&unpack(body)?)?),
        other => Err(StoredError::Version(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_read_and_nothing_else() {
        let value = vec![7_u64; 1_000];
        let (plain, packed) = (encode(&value).unwrap(), pack(&value).unwrap());
        assert!(packed.len() < 100, "{}", packed.len());
        assert_eq!(decode::<Vec<u64>>(&plain).unwrap(), value);
        assert_eq!(decode::<Vec<u64>>(&packed).unwrap(), value);
        assert_eq!(decode::<u64>(&[]), Err(StoredError::Empty));
        assert_eq!(decode::<u64>(&[9, 1]), Err(StoredError::Version(9)));
        let ended = pack_with_ended(&value, &[]).unwrap();
        assert_eq!(ended[0], PACKED_WITH_ENDED);
        for bytes in [&plain, &packed, &ended] {
            let unpacked = unpack_with_ended::<Vec<u64>>(bytes).unwrap();
            assert_eq!(unpacked, (value.clone(), Vec::new()));
        }
        // A build that does not know of them refuses it.
        assert!(decode::<Vec<u64>>(&ended).is_err());
        let huge = [PACKED, 255, 255, 255, 255, 0];
        assert_eq!(decode::<u64>(&huge), Err(StoredError::Packed));
    }
}

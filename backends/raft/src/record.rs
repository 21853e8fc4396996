//! Stored bytes: version, checksum, body. The one place that encodes and decodes log records.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of every record that this build writes.
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 5;

/// Why stored bytes are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("cut off")]
    Short,
    #[error("checksum differs")]
    Checksum,
    #[error("version {0} is not known to this build")]
    Version(u8),
    #[error("{0}")]
    Body(postcard::Error),
}

/// Version, CRC-32 of the body, body.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, RecordError> {
    let head = vec![VERSION, 0, 0, 0, 0];
    let mut bytes = postcard::to_extend(value, head).map_err(RecordError::Body)?;
    let crc = crc32fast::hash(&bytes[HEAD_BYTES..]);
    bytes[1..HEAD_BYTES].copy_from_slice(&crc.to_be_bytes());
    Ok(bytes)
}

/// The value, if version and checksum fit.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    let (head, body) = bytes
        .split_at_checked(HEAD_BYTES)
        .ok_or(RecordError::Short)?;
    if head[0] != VERSION {
        return Err(RecordError::Version(head[0]));
    }
    if crc32fast::hash(body).to_be_bytes() != head[1..] {
        return Err(RecordError::Checksum);
    }
    postcard::from_bytes(body).map_err(RecordError::Body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_bit_is_noticed_anywhere() {
        let bytes = encode(&vec![1_u64, 2, 3]).unwrap();
        assert_eq!(decode::<Vec<u64>>(&bytes).unwrap(), [1, 2, 3]);
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(decode::<Vec<u64>>(&bad).is_err(), "byte {at}");
        }
        assert_eq!(decode::<Vec<u64>>(&bytes[..3]), Err(RecordError::Short));
    }
}

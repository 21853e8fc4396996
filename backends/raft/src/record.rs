//! Stored bytes: version, checksum, body. The one place that encodes and decodes log records.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of every record that this build writes. Records of another are refused, not
/// misread. 2: decisions and leases have the rule's digest.
const VERSION: u8 = 2;
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
    let mut record = RecordWriter::default();
    record.push(value)?;
    Ok(record.finish())
}

/// A record that is written piece by piece, and read as one struct of the pieces.
#[derive(Debug)]
pub(crate) struct RecordWriter(Vec<u8>);

impl Default for RecordWriter {
    fn default() -> Self {
        Self(vec![VERSION, 0, 0, 0, 0])
    }
}

impl RecordWriter {
    /// Adds a piece. After an error the record must not be used.
    pub(crate) fn push<T: Serialize>(&mut self, piece: &T) -> Result<(), RecordError> {
        let begun = std::mem::take(&mut self.0);
        self.0 = postcard::to_extend(piece, begun).map_err(RecordError::Body)?;
        Ok(())
    }

    /// The record's bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut bytes = self.0;
        let crc = crc32fast::hash(&bytes[HEAD_BYTES..]);
        bytes[1..HEAD_BYTES].copy_from_slice(&crc.to_be_bytes());
        bytes
    }
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

    #[test]
    fn another_version_is_named() {
        let mut bytes = encode(&7_u64).unwrap();
        for other in [VERSION - 1, VERSION + 1] {
            bytes[0] = other;
            assert_eq!(decode::<u64>(&bytes), Err(RecordError::Version(other)));
        }
    }
}

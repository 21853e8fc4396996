//! Stored bytes: version, checksum, body. The one place that encodes and decodes log records.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of every record that this build writes, but for those that hold a whole state.
/// Records of another are refused, not misread. 2: decisions and leases have the rule's digest.
const VERSION: u8 = 2;
/// The version of records that hold a whole state: it ends with the acquires whose leases have
/// ended. Such records of version 2, without them, are read, too; so the checksum covers this
/// version, and no damaged byte makes a record of one version look like one of the other.
const STATE_VERSION: u8 = 3;
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

/// The same for a value that holds a whole state.
pub(crate) fn encode_state<T: Serialize>(value: &T) -> Result<Vec<u8>, RecordError> {
    let mut record = RecordWriter::of_state();
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
    /// A record that holds a whole state.
    pub(crate) fn of_state() -> Self {
        Self(vec![STATE_VERSION, 0, 0, 0, 0])
    }

    /// Adds a piece. After an error the record must not be used.
    pub(crate) fn push<T: Serialize>(&mut self, piece: &T) -> Result<(), RecordError> {
        let begun = std::mem::take(&mut self.0);
        self.0 = postcard::to_extend(piece, begun).map_err(RecordError::Body)?;
        Ok(())
    }

    /// The record's bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut bytes = self.0;
        let crc = checksum(bytes[0], &bytes[HEAD_BYTES..]);
        bytes[1..HEAD_BYTES].copy_from_slice(&crc.to_be_bytes());
        bytes
    }
}

/// The value, if version and checksum fit.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    let (_, body) = checked(bytes, &[VERSION])?;
    postcard::from_bytes(body).map_err(RecordError::Body)
}

/// The same for a value that holds a whole state. `Before` is what such a record held in
/// version 2.
pub(crate) fn decode_state<T, Before>(bytes: &[u8]) -> Result<T, RecordError>
where
    T: DeserializeOwned + From<Before>,
    Before: DeserializeOwned,
{
    let (version, body) = checked(bytes, &[VERSION, STATE_VERSION])?;
    if version == STATE_VERSION {
        return postcard::from_bytes(body).map_err(RecordError::Body);
    }
    let before: Before = postcard::from_bytes(body).map_err(RecordError::Body)?;
    Ok(before.into())
}

/// The version, which must be one of `known`, and a body whose checksum fits.
fn checked<'b>(bytes: &'b [u8], known: &[u8]) -> Result<(u8, &'b [u8]), RecordError> {
    let (head, body) = bytes
        .split_at_checked(HEAD_BYTES)
        .ok_or(RecordError::Short)?;
    if !known.contains(&head[0]) {
        return Err(RecordError::Version(head[0]));
    }
    if checksum(head[0], body).to_be_bytes() != head[1..] {
        return Err(RecordError::Checksum);
    }
    Ok((head[0], body))
}

fn checksum(version: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    if version == STATE_VERSION {
        hasher.update(&[version]);
    }
    hasher.update(body);
    hasher.finalize()
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
        for other in [VERSION - 1, STATE_VERSION + 1] {
            bytes[0] = other;
            let decoded = decode_state::<u64, u64>(&bytes);
            assert_eq!(decoded, Err(RecordError::Version(other)));
        }
    }

    /// The form itself is pinned by the machine's golden bytes.
    #[test]
    fn a_state_of_the_version_before_is_read() {
        use leasehold_machine::State;
        use leasehold_machine::StateBeforeEnded;
        let mut state = State::default();
        state.put_blob(std::sync::Arc::from(&b"module"[..]));
        let now = encode_state(&state).unwrap();
        assert_eq!(now[0], STATE_VERSION);
        assert_eq!(
            decode_state::<State, StateBeforeEnded>(&now).as_ref(),
            Ok(&state)
        );
        // A state ended without the list of ended requests, here an empty one of one byte.
        let body = &now[HEAD_BYTES..now.len() - 1];
        let mut before = vec![VERSION];
        before.extend(crc32fast::hash(body).to_be_bytes());
        before.extend(body);
        assert_eq!(decode_state::<State, StateBeforeEnded>(&before), Ok(state));
        assert!(
            decode::<u64>(&now).is_err(),
            "no other record has that version"
        );
        let mut damaged = now;
        damaged[0] = VERSION;
        let refused = decode_state::<State, StateBeforeEnded>(&damaged);
        assert_eq!(refused, Err(RecordError::Checksum));
    }
}

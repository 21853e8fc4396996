//! Stored bytes: version, checksum, forms. The one place that encodes and decodes log records.

use std::io;

use leasehold_backend_api::Levels;
use leasehold_backend_api::UnsupportedLevel;
use leasehold_stored::Form;
use leasehold_stored::Invalid;
use leasehold_stored::decode_next;
use leasehold_stored::encode_into;

use crate::entry::Entry;
use crate::form::Sent;
use crate::level;

/// The version of every record that this build writes. Records of another are refused, not misread.
/// A new field of a form needs no new version.
const VERSION: u8 = 5;
/// Builds before the first release wrote versions up to this, in forms that no later build reads.
const BEFORE_RELEASE_MAX: u8 = 4;
const HEAD_BYTES: usize = 5;
/// Initial capacity, enough for most records: growing a buffer step by step costs as much as the
/// encoding.
const BYTES_USUAL: usize = 1_024;

/// Why stored bytes are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("cut off")]
    Short,
    #[error("checksum differs")]
    Checksum,
    #[error("version {0} is of a build before the first release, which no later build reads")]
    BeforeRelease(u8),
    #[error("version {0} is not known to this build")]
    Version(u8),
    #[error("{0}")]
    Level(#[from] UnsupportedLevel),
    #[error("{0}")]
    Body(#[from] Invalid),
}

impl From<RecordError> for io::Error {
    fn from(error: RecordError) -> Self {
        let kind = match &error {
            RecordError::Level(_) => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// Version, CRC-32 of the version and the form, form.
pub(crate) fn encode<T: Sent>(value: &T) -> Vec<u8> {
    let mut record = RecordWriter::default();
    record.push(&value.form());
    record.finish()
}

/// A record that is written form by form, and read as a sequence of them.
#[derive(Debug)]
pub(crate) struct RecordWriter(Vec<u8>);

impl Default for RecordWriter {
    fn default() -> Self {
        let mut bytes = Vec::with_capacity(BYTES_USUAL);
        bytes.extend([VERSION, 0, 0, 0, 0]);
        Self(bytes)
    }
}

impl RecordWriter {
    /// Adds a form.
    pub(crate) fn push<'a>(&mut self, form: &impl Form<'a>) {
        encode_into(form, &mut self.0);
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
pub(crate) fn decode<T: Sent>(bytes: &[u8]) -> Result<T, RecordError> {
    let mut body = checked(bytes)?;
    let form = decode_next(&mut body)?.ok_or(RecordError::Short)?;
    match body.is_empty() {
        true => Ok(T::restore(form)?),
        false => Err(Invalid::new("bytes are left over").into()),
    }
}

/// The entry, if version and checksum fit and its level is known. An entry of an unknown level may
/// have parts that this build cannot read: the level is told first.
pub(crate) fn decode_entry(bytes: &[u8], levels: Levels) -> Result<Entry, RecordError> {
    match decode::<Entry>(bytes) {
        Ok(entry) => {
            level::admit_entry(levels, &entry)?;
            Ok(entry)
        }
        Err(RecordError::Body(invalid)) => {
            if let Some(level) = leasehold_stored::log::level_of(checked(bytes)?) {
                levels.admit(level.max(levels.min))?;
            }
            Err(invalid.into())
        }
        Err(error) => Err(error),
    }
}

/// The forms of a record, if version and checksum fit.
pub(crate) fn checked(bytes: &[u8]) -> Result<&[u8], RecordError> {
    let (head, body) = bytes
        .split_at_checked(HEAD_BYTES)
        .ok_or(RecordError::Short)?;
    match head[0] {
        VERSION => {}
        before @ ..=BEFORE_RELEASE_MAX => return Err(RecordError::BeforeRelease(before)),
        other => return Err(RecordError::Version(other)),
    }
    if checksum(head[0], body).to_be_bytes() != head[1..] {
        return Err(RecordError::Checksum);
    }
    Ok(body)
}

fn checksum(version: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[version]);
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_bit_is_noticed_anywhere() {
        let bytes = encode(&"a name".to_owned());
        assert_eq!(decode::<String>(&bytes).unwrap(), "a name");
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(decode::<String>(&bad).is_err(), "byte {at}");
        }
        assert_eq!(decode::<String>(&bytes[..3]), Err(RecordError::Short));
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = encode(&7_u64);
        bytes[0] = VERSION + 1;
        assert_eq!(
            decode::<u64>(&bytes),
            Err(RecordError::Version(VERSION + 1))
        );
        for before in 0..VERSION {
            bytes[0] = before;
            let refused = decode::<u64>(&bytes).unwrap_err();
            assert_eq!(refused, RecordError::BeforeRelease(before));
            assert!(refused.to_string().contains("before the first release"));
        }
    }
}

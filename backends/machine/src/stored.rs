//! Stored bytes: a version, then a form; for stores that keep records, documents and events as values
//! of their own. Such a store checks its pages; a value that does not decode is corrupt all the same.

use leasehold_stored::Form;
use leasehold_stored::Formed;
use leasehold_stored::Invalid;
use leasehold_stored::encode_into;

/// A form as it is.
const PLAIN: u8 = 5;
/// A form in an LZ4 block with its size in front.
const PACKED: u8 = 6;
/// Builds before the first release wrote versions up to this, in forms that no later build reads.
const BEFORE_RELEASE_MAX: u8 = 4;
/// The largest form that packed bytes may unfold to.
const BODY_BYTES_MAX: usize = 512 * 1_024 * 1_024;

/// Why stored bytes are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// There are none.
    #[error("empty")]
    Empty,
    /// A build before the first release made them.
    #[error("version {0} is of a build before the first release, which no later build reads")]
    BeforeRelease(u8),
    /// A newer build made them.
    #[error("version {0} is not known to this build")]
    Version(u8),
    /// They are no block of LZ4, or of one that is too large.
    #[error("does not unpack")]
    Packed,
    /// They are of another form.
    #[error("{0}")]
    Body(#[from] Invalid),
}

/// For small things that are read one by one.
#[must_use]
pub fn encode<T: for<'a> Formed<'a>>(value: &T) -> Vec<u8> {
    let mut bytes = vec![PLAIN];
    encode_into(&value.form(), &mut bytes);
    bytes
}

/// For lists of things that resemble each other. They are read as a `Vec`.
#[must_use]
pub fn pack<'a, T: Formed<'a> + 'a>(values: impl IntoIterator<Item = &'a T>) -> Vec<u8> {
    let forms: Vec<T::Form> = values.into_iter().map(T::form).collect();
    pack_form(&forms)
}

/// For what is put together of several values.
#[must_use]
pub fn pack_form<'a>(form: &impl Form<'a>) -> Vec<u8> {
    let mut body = Vec::new();
    encode_into(form, &mut body);
    let mut bytes = vec![PACKED];
    bytes.extend(lz4_flex::compress_prepend_size(&body));
    bytes
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
pub fn decode<T: for<'a> Formed<'a>>(bytes: &[u8]) -> Result<T, StoredError> {
    let (version, body) = bytes.split_first().ok_or(StoredError::Empty)?;
    match *version {
        PLAIN => Ok(leasehold_stored::decode(body)?),
        PACKED => Ok(leasehold_stored::decode(&unpack(body)?)?),
        before @ ..=BEFORE_RELEASE_MAX => Err(StoredError::BeforeRelease(before)),
        other => Err(StoredError::Version(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_read_and_nothing_else() {
        let value = vec![7_u64; 1_000];
        let (plain, packed) = (encode(&value), pack(&value));
        assert!(packed.len() < 100, "{}", packed.len());
        for bytes in [&plain, &packed] {
            assert_eq!(decode::<Vec<u64>>(bytes).unwrap(), value);
        }
        assert_eq!(decode::<u64>(&[]), Err(StoredError::Empty));
        assert_eq!(decode::<u64>(&[9, 1]), Err(StoredError::Version(9)));
        for before in 0..=BEFORE_RELEASE_MAX {
            let refused = Err(StoredError::BeforeRelease(before));
            assert_eq!(decode::<u64>(&[before, 1]), refused);
        }
        let huge = [PACKED, 255, 255, 255, 255, 0];
        assert_eq!(decode::<u64>(&huge), Err(StoredError::Packed));
    }
}

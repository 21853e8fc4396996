//! Lists of numbers as differences in LEB128.

pub(crate) fn push(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

/// Takes one number off the front; none if the bytes end or are no number.
pub(crate) fn pull(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Some(value);
        }
    }
    None
}

/// Rising offsets, each as the distance from the one before.
pub(crate) fn encode_offsets(offsets: &[u16], out: &mut Vec<u8>) {
    let mut before = 0;
    for offset in offsets {
        push(out, u64::from(offset - before));
        before = *offset;
    }
}

/// The opposite of [`encode_offsets`]; none if the bytes are damaged.
pub(crate) fn decode_offsets(mut bytes: &[u8]) -> Option<Vec<u16>> {
    let mut offsets = Vec::with_capacity(bytes.len());
    let mut before = 0_u64;
    while !bytes.is_empty() {
        before = before.checked_add(pull(&mut bytes)?)?;
        offsets.push(u16::try_from(before).ok()?);
    }
    Some(offsets)
}

/// Times in any order, each as the (zigzag) difference from the one before.
pub(crate) fn encode_walls(walls: &[u64], out: &mut Vec<u8>) {
    let mut before = 0_u64;
    for wall in walls {
        let difference = wall.wrapping_sub(before).cast_signed();
        push(
            out,
            ((difference << 1) ^ (difference >> 63)).cast_unsigned(),
        );
        before = *wall;
    }
}

/// The opposite of [`encode_walls`]; none if the bytes are damaged.
pub(crate) fn decode_walls(mut bytes: &[u8]) -> Option<Vec<u64>> {
    let mut walls = Vec::new();
    let mut before = 0_u64;
    while !bytes.is_empty() {
        let zigzag = pull(&mut bytes)?;
        let difference = (zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed());
        before = before.wrapping_add(difference.cast_unsigned());
        walls.push(before);
    }
    Some(walls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_come_back(walls: Vec<u64>) {
            let mut bytes = Vec::new();
            encode_walls(&walls, &mut bytes);
            prop_assert_eq!(decode_walls(&bytes), Some(walls));
        }

        #[test]
        fn offsets_come_back(offsets: std::collections::BTreeSet<u16>) {
            let offsets: Vec<u16> = offsets.into_iter().collect();
            let mut bytes = Vec::new();
            encode_offsets(&offsets, &mut bytes);
            prop_assert_eq!(decode_offsets(&bytes), Some(offsets));
        }

        #[test]
        fn damaged_bytes_do_no_harm(bytes: Vec<u8>) {
            if let Some(offsets) = decode_offsets(&bytes) {
                prop_assert!(offsets.is_sorted());
            }
            decode_walls(&bytes);
        }
    }
}

//! Assigns units (locks, teams or subjects) to the buckets of a canary.

/// The name of the function, recorded in rollouts and decisions. A changed function must get another
/// name, so that a gateway that does not know it does not decide by it.
pub const BUCKET_FUNCTION: &str = "mmh3-v1";

/// How many buckets there are. A share of one percent is 1,000 of them.
pub const BUCKETS: u32 = 100_000;

/// Returns the bucket of a unit in the rollout with this salt: 0 to [`BUCKETS`] − 1.
///
/// The hash is `MurmurHash3_x86_32` (Austin Appleby, public domain) with seed 0 over the UTF-8 bytes of
/// the salt, a zero byte, and those of the unit. The bucket is the hash times 100,000, shifted right
/// by 32 bits. This is the function `mmh3-v1`; it never changes. A unit belongs to a share of n buckets
/// if its bucket is below n, so increasing the share removes no unit.
#[must_use]
pub fn bucket(salt: &str, unit: &str) -> u32 {
    let mut bytes = Vec::with_capacity(salt.len() + 1 + unit.len());
    bytes.extend_from_slice(salt.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(unit.as_bytes());
    let scaled = u64::from(murmur3(&bytes)) * u64::from(BUCKETS);
    u32::try_from(scaled >> 32).unwrap_or(BUCKETS - 1)
}

/// Returns the `MurmurHash3_x86_32` hash of these bytes with seed 0.
fn murmur3(bytes: &[u8]) -> u32 {
    let mix = |word: u32| {
        let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15);
        word.wrapping_mul(0x1b87_3593)
    };
    let (blocks, tail) = bytes.as_chunks::<4>();
    let mut hash: u32 = 0;
    for block in blocks {
        hash ^= mix(u32::from_le_bytes(*block));
        hash = hash
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64);
    }
    let word = tail
        .iter()
        .rev()
        .fold(0, |word, byte| (word << 8) | u32::from(*byte));
    if !tail.is_empty() {
        hash ^= mix(word);
    }
    // The length counts modulo 2^32, as in the reference.
    #[expect(clippy::cast_possible_truncation, reason = "the reference does so")]
    let length = bytes.len() as u32;
    hash ^= length;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_murmur3() {
        for (text, hash) in [
            ("", 0),
            ("a", 0x3c25_69b2),
            ("hello", 0x248b_fa47),
            ("hello, world", 0x149b_bb7f),
            ("The quick brown fox jumps over the lazy dog", 0x2e4f_f723),
        ] {
            assert_eq!(murmur3(text.as_bytes()), hash, "{text:?}");
        }
    }

    #[test]
    fn buckets_are_as_published() {
        let published = include_str!("../bucket-vectors.tsv");
        let mut count = 0;
        for line in published.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [salt, unit, expected] = fields[..] else {
                panic!("{line:?}");
            };
            assert_eq!(bucket(salt, unit).to_string(), expected, "{line:?}");
            count += 1;
        }
        assert!(count >= 12, "{count} vectors");
    }

    #[test]
    fn units_are_spread_evenly_and_each_salt_spreads_them_anew() {
        let units: Vec<String> = (0..20_000).map(|n| format!("payments/job-{n}")).collect();
        let in_tenth = |salt: &str| {
            let chosen = units.iter().map(|unit| bucket(salt, unit) < BUCKETS / 10);
            chosen.collect::<Vec<bool>>()
        };
        let (one, other) = (in_tenth("r1-5f3a"), in_tenth("r2-99c0"));
        let share = one.iter().filter(|chosen| **chosen).count();
        assert!((1_800..2_200).contains(&share), "{share}");
        let both = one.iter().zip(&other).filter(|(a, b)| **a && **b).count();
        assert!((120..290).contains(&both), "{both}");
    }
}

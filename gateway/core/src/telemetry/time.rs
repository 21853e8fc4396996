//! Wall-clock times for people.

use leasehold_domain::WallMillis;

/// RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn rfc3339(wall: WallMillis) -> String {
    let ms = i64::try_from(wall.0).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    format!("{at:.3}")
}

/// Reads an RFC 3339 time; `None` if it is none, or before 1970.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<WallMillis> {
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(WallMillis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_are_utc() {
        assert_eq!(
            rfc3339(WallMillis(1_763_906_400_007)),
            "2025-11-23T14:00:00.007Z"
        );
        assert_eq!(rfc3339(WallMillis(0)), "1970-01-01T00:00:00.000Z");
    }
}

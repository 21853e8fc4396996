//! RFC 3339 in UTC with milliseconds, for people; the integer beside it is what counts.

use leasehold_domain::WallMillis;

/// 9999-12-31T23:59:59.999Z: RFC 3339 has no later year.
const LATEST_MS: u64 = 253_402_300_799_999;

/// The time as text of 24 bytes; a time after the year 9999 is shown as the end of that year.
pub(crate) fn rfc3339(time: WallMillis) -> [u8; 24] {
    let ms = time.0.min(LATEST_MS);
    let (days, in_day) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    put(&mut text[0..4], year);
    put(&mut text[5..7], month);
    put(&mut text[8..10], day);
    put(&mut text[11..13], in_day / 3_600_000);
    put(&mut text[14..16], in_day / 60_000 % 60);
    put(&mut text[17..19], in_day / 1_000 % 60);
    put(&mut text[20..23], in_day % 1_000);
    text
}

fn put(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// Year, month and day of a day since 1970 (Hinnant's `civil_from_days`, for days not negative).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_time_that_jiff_writes(ms in 0..=LATEST_MS) {
            let ours = String::from_utf8(rfc3339(WallMillis(ms)).to_vec()).unwrap();
            let theirs = jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap();
            prop_assert_eq!(ours, format!("{theirs:.3}"));
        }
    }

    #[test]
    fn later_than_the_last_year_is_its_end() {
        assert_eq!(&rfc3339(WallMillis(u64::MAX)), b"9999-12-31T23:59:59.999Z");
    }
}

//! Checks one field of a request against its limit, and names both in the message.

use leasehold_domain::limits;
use leasehold_domain::text;

use crate::failure::Failure;

/// Checks the description of a key, a lock or a namespace.
pub fn check_description(description: &str) -> Result<(), Failure> {
    prose(
        "description",
        Some(description),
        limits::DESCRIPTION_BYTES_MAX,
    )
}

/// Checks a cap of a namespace.
pub(crate) fn check_cap(field: &str, cap: Option<u64>) -> Result<(), Failure> {
    cap.map_or(Ok(()), |cap| {
        within(field, cap, 1, limits::NAMESPACE_CAP_MAX)
    })
}

/// Checks how long after its creation a key is to expire.
pub fn check_key_lifetime(expires_in_ms: Option<u64>) -> Result<(), Failure> {
    let (min, max) = (limits::KEY_LIFETIME_MS_MIN, limits::KEY_LIFETIME_MS_MAX);
    expires_in_ms.map_or(Ok(()), |ms| within("expires_in_ms", ms, min, max))
}

/// Checks how long a rotated key is to stay valid.
pub fn check_key_overlap(overlap_ms: u64) -> Result<(), Failure> {
    within("overlap_ms", overlap_ms, 0, limits::KEY_OVERLAP_MS_MAX)
}

/// Checks a number.
pub(crate) fn within(field: &str, value: u64, min: u64, max: u64) -> Result<(), Failure> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(Failure::invalid(format!(
            "{field}: must be {min} to {max}, not {value}"
        )))
    }
}

/// Checks text that tells one holder from another.
pub(crate) fn name(field: &str, value: Option<&str>, bytes_max: usize) -> Result<(), Failure> {
    checked(field, value, bytes_max, text::check_name)
}

/// Checks text for people.
pub(crate) fn prose(field: &str, value: Option<&str>, bytes_max: usize) -> Result<(), Failure> {
    checked(field, value, bytes_max, text::check_prose)
}

/// Checks what a holder publishes: read by programs.
pub(crate) fn value(value: Option<&str>) -> Result<(), Failure> {
    let no_control = |text: &str| {
        let control = |c: char| c.is_control() && c != '\n' && c != '\t';
        match text.chars().any(control) {
            true => Err("must not hold control characters"),
            false => Ok(()),
        }
    };
    checked("value", value, limits::VALUE_BYTES_MAX, no_control)
}

fn checked(
    field: &str,
    value: Option<&str>,
    bytes_max: usize,
    check: impl Fn(&str) -> Result<(), &'static str>,
) -> Result<(), Failure> {
    let Some(value) = value else {
        return Ok(());
    };
    if value.len() > bytes_max {
        let length = value.len();
        return Err(Failure::invalid(format!(
            "{field}: must be at most {bytes_max} bytes, not {length}"
        )));
    }
    check(value).map_err(|problem| Failure::invalid(format!("{field}: {problem}")))
}

//! Admission: whether a request may be judged at all. Shape and limits only; no policy, no store.

use std::collections::BTreeMap;

use leasehold_domain::LockSettings;
use leasehold_domain::Mode;
use leasehold_domain::Request;
use leasehold_domain::limits;

use crate::failure::Failure;
use crate::field_limits::check_description;
use crate::field_limits::name;
use crate::field_limits::prose;
use crate::field_limits::value;
use crate::field_limits::within;

/// Checks a request against the limits.
pub(crate) fn check(request: &Request) -> Result<(), Failure> {
    if let Some(ttl_ms) = request.ttl_ms {
        within("ttl_ms", ttl_ms, limits::TTL_MS_MIN, limits::TTL_MS_MAX)?;
    }
    if let Some(wait_ms) = request.wait_ms {
        within("wait_ms", wait_ms, 0, limits::WAIT_MS_MAX)?;
    }
    if let Some(grace_ms) = request.grace_ms {
        within("grace_ms", grace_ms, 0, limits::GRACE_MS_MAX)?;
    }
    if let Some(Mode::Shared { permits }) = request.mode {
        within(
            "permits",
            u64::from(permits),
            1,
            u64::from(limits::PERMITS_MAX),
        )?;
    }
    name(
        "instance",
        request.instance.as_deref(),
        limits::INSTANCE_BYTES_MAX,
    )?;
    prose(
        "reason",
        request.reason.as_deref(),
        limits::REASON_BYTES_MAX,
    )?;
    name("ticket", request.ticket(), limits::TICKET_BYTES_MAX)?;
    if let Some(ttl_ms) = request.override_ttl_ms() {
        let (min, max) = (limits::OVERRIDE_TTL_MS_MIN, limits::OVERRIDE_TTL_MS_MAX);
        within("override_ttl_ms", ttl_ms, min, max)?;
    }
    value(request.value.as_deref())?;
    check_labels(&request.labels)
}

fn check_labels(labels: &BTreeMap<Box<str>, Box<str>>) -> Result<(), Failure> {
    let (count, max) = (labels.len(), limits::LABELS_MAX);
    if count > max {
        let message = format!("labels: must be at most {max}, not {count}");
        return Err(Failure::invalid(message));
    }
    for (key, value) in labels {
        if key.is_empty() {
            return Err(Failure::invalid("labels: a key must not be empty"));
        }
        name("labels: a key", Some(key), limits::LABEL_KEY_BYTES_MAX)?;
        let field = format!("labels.{key}");
        name(&field, Some(value), limits::LABEL_VALUE_BYTES_MAX)?;
    }
    Ok(())
}

/// Checks the length of a cooldown against the limit.
pub(crate) fn check_cooldown(cooldown_ms: u64) -> Result<(), Failure> {
    within("cooldown_ms", cooldown_ms, 0, limits::COOLDOWN_MS_MAX)
}

/// Checks a lock's settings against the limits.
pub(crate) fn check_settings(settings: &LockSettings) -> Result<(), Failure> {
    within(
        "limit",
        u64::from(settings.limit),
        1,
        u64::from(limits::PERMITS_MAX),
    )?;
    check_cooldown(settings.cooldown_ms)?;
    check_description(&settings.description)
}

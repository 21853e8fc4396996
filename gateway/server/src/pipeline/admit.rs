//! Admission: whether a request may be judged at all. Shape and limits only; no policy, no store.

use leasehold_domain::LockSettings;
use leasehold_domain::Mode;
use leasehold_domain::NamespaceName;
use leasehold_domain::Request;
use leasehold_domain::limits;
use leasehold_wire::v1::error::ErrorCode;

use super::failure::Failure;
use crate::governance::plan::NamespacePlan;
use crate::governance::plan::Plan;

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
    text(
        "instance",
        request.instance.as_deref(),
        limits::INSTANCE_BYTES_MAX,
    )?;
    text(
        "reason",
        request.reason.as_deref(),
        limits::REASON_BYTES_MAX,
    )?;
    text("value", request.value.as_deref(), limits::VALUE_BYTES_MAX)?;
    if request.labels.len() > limits::LABELS_MAX {
        return Err(Failure::invalid(format!(
            "labels: at most {}",
            limits::LABELS_MAX
        )));
    }
    for (key, value) in &request.labels {
        if key.is_empty() {
            return Err(Failure::invalid("labels: a key must not be empty"));
        }
        text("labels: a key", Some(key), limits::LABEL_KEY_BYTES_MAX)?;
        text(
            "labels: a value",
            Some(value),
            limits::LABEL_VALUE_BYTES_MAX,
        )?;
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
    text(
        "description",
        Some(&settings.description),
        limits::DESCRIPTION_BYTES_MAX,
    )
}

/// The namespace that a request is for.
pub(crate) fn namespace<'a>(
    plan: &'a Plan,
    name: &NamespaceName,
) -> Result<&'a NamespacePlan, Failure> {
    plan.namespace(name).ok_or_else(|| {
        Failure::new(
            ErrorCode::NamespaceNotFound,
            format!("there is no namespace {name}"),
        )
    })
}

fn within(field: &str, value: u64, min: u64, max: u64) -> Result<(), Failure> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(Failure::invalid(format!(
            "{field}: must be {min} to {max}, not {value}"
        )))
    }
}

fn text(field: &str, value: Option<&str>, bytes_max: usize) -> Result<(), Failure> {
    match value {
        Some(value) if value.len() > bytes_max => Err(Failure::invalid(format!(
            "{field}: at most {bytes_max} bytes"
        ))),
        Some(value)
            if value
                .chars()
                .any(|c| c.is_control() && c != '\n' && c != '\t') =>
        {
            Err(Failure::invalid(format!(
                "{field}: must not hold control characters"
            )))
        }
        _ => Ok(()),
    }
}

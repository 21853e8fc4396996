//! What requests about signed policies must satisfy.

use leasehold_domain::limits;
use serde_json::Value;
use serde_json::json;

use super::Rule;
use super::range;
use super::text;
use crate::openapi::patterns;

/// Text of people that must not be empty.
fn given(max: usize) -> Value {
    let mut rule = text(&patterns::prose(), max);
    rule["minLength"] = json!(1);
    rule["allOf"] = json!([{ "pattern": "\\S" }]);
    rule
}

/// The rules about signatures and marks of policies.
pub(super) fn rules() -> Vec<Rule> {
    let why = || given(limits::REASON_BYTES_MAX);
    let most = u64::from(limits::POLICY_SIGNATURES_REQUIRED_MAX);
    let pem = json!({ "minLength": 1, "maxLength": limits::TRUSTED_KEY_PEM_BYTES_MAX });
    vec![
        ("PolicyMarkRequest", "reason", why()),
        ("RevokeTrustedKeyRequest", "reason", why()),
        ("RequireSignaturesRequest", "reason", why()),
        (
            "RequireSignaturesRequest",
            "required_signatures",
            range(0, most),
        ),
        ("RequireSignaturesRequest", "revision", range(0, u64::MAX)),
        (
            "TrustKeyRequest",
            "name",
            given(limits::TRUSTED_KEY_NAME_BYTES_MAX),
        ),
        ("TrustKeyRequest", "public_key", pem),
        ("TrustKeyRequest", "reason", super::reason()),
    ]
}

//! The bytes of a policy's verdict.

use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyLimits;
use leasehold_domain::PolicyVerdict;

use crate::canonical::json::Json;

pub(super) fn verdict(json: &mut Json<'_>, verdict: &PolicyVerdict) {
    json.begin(b'{');
    json.text("binding", &verdict.binding);
    json.text("policy", &verdict.policy);
    json.text("version", &verdict.version);
    json.hex("module", &verdict.module.0);
    json.hex("config", &verdict.config.0);
    json.plain("enforcement", verdict.enforcement.as_str());
    json.plain("answer", verdict.answer.as_str());
    match &verdict.answer {
        PolicyAnswer::Allow(tightest) => {
            json.key("limits");
            limits(json, tightest);
        }
        PolicyAnswer::Deny {
            code,
            message,
            retry_after_ms,
        } => {
            json.text("code", code);
            json.text("message", message);
            json.optional_number("retry_after_ms", *retry_after_ms);
        }
        PolicyAnswer::Error { message, passed } => {
            json.text("message", message);
            json.flag("passed", *passed);
        }
    }
    json.number("fuel", verdict.fuel);
    if let Some(choice) = &verdict.rollout {
        json.text("rollout", &choice.rollout);
        json.text("stage", &choice.stage);
        json.optional_text("variant", choice.variant.as_deref());
        json.optional_number("bucket", choice.bucket.map(u64::from));
        json.optional_text("bucket_function", choice.bucket_function.as_deref());
        json.optional_number("flag_share", choice.flag_share.map(u64::from));
    }
    json.end(b'}');
}

pub(super) fn limits(json: &mut Json<'_>, limits: &PolicyLimits) {
    json.begin(b'{');
    json.optional_number("max_ttl_ms", limits.max_ttl_ms);
    json.optional_number("max_hold_ms", limits.max_hold_ms);
    if !limits.counters.is_empty() {
        json.key("counters");
        json.begin(b'[');
        for counter in &limits.counters {
            json.comma();
            json.begin(b'{');
            json.text("name", &counter.name);
            json.number("maximum", counter.maximum.into());
            json.optional_text("code", counter.code.as_deref());
            json.end(b'}');
        }
        json.end(b']');
    }
    json.end(b'}');
}

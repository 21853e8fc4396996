//! What runs the policies, with the limits of the configuration.

use std::sync::Arc;

use leasehold_core::config::Config;
use leasehold_core::governance::Governance;
use leasehold_core::pipeline::decide::Decider;
use leasehold_core::replay::DecisionSamples;
use leasehold_core::telemetry::Metrics;
use leasehold_domain::Clock;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::PolicyEngine;

use super::AppError;
use super::compiled;

/// Makes what runs the policies, with the limits of the configuration.
pub(super) fn decider(
    config: &Config,
    (clock, metrics): (&Arc<dyn Clock>, &Arc<Metrics>),
    (governance, samples): (&Governance, &Arc<DecisionSamples>),
) -> Decider {
    let decider = Decider::new(
        clock.clone(),
        metrics.clone(),
        config.audit.records_renewals(),
        config.policy.request_budget(),
        governance.flags().clone(),
    );
    decider
        .sampled(samples.clone())
        .requiring_tickets(config.policy.break_glass_ticket_required)
}

/// The policy engine, with its compiled modules in the data directory.
pub(super) fn engine(config: &Config) -> Result<PolicyEngine, AppError> {
    let limits = EngineLimits {
        fuel: config.policy.fuel,
        deadline_ms: config.policy.deadline_ms,
        memory_bytes: config.policy.memory_bytes,
        instances: config.policy.instances_max,
        verdict_cache_bytes: config.policy.verdict_cache_bytes,
        ..EngineLimits::default()
    };
    let engine = match compiled::folder(&config.storage.data_dir) {
        Ok(folder) => PolicyEngine::with_cache(limits, &folder),
        Err(problem) => {
            tracing::warn!(
                problem,
                "compiled policies are not kept; each start compiles them"
            );
            PolicyEngine::new(limits)
        }
    };
    engine.map_err(|error| AppError::Policies(error.to_string()))
}

//! The flag service of rollouts.

use std::sync::Arc;

use leasehold_core::config::Config;
use leasehold_core::flags::FlagSource;
use leasehold_core::flags::OfrepSource;
use leasehold_core::flags::OwnState;
use leasehold_core::governance::Governance;
use leasehold_core::pipeline::Pipeline;
use leasehold_core::rollouts::watch_flags;
use leasehold_core::tasks::Supervised;
use leasehold_core::tasks::supervise;
use leasehold_core::telemetry::Metrics;
use leasehold_domain::Clock;

use super::AppError;

/// The flag service, if one is configured.
pub(super) struct Flags(Option<Arc<OfrepSource>>);

impl Flags {
    /// Makes the client of the service.
    pub(super) fn open(
        config: &Config,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, AppError> {
        let Some(settings) = &config.rollouts.flag_service else {
            return Ok(Self(None));
        };
        let source = OfrepSource::new(settings, clock.clone(), metrics.clone());
        let source = source.map_err(|error| AppError::FlagService(error.to_string()))?;
        Ok(Self(Some(Arc::new(source))))
    }

    /// Returns where the limits of rollouts come from.
    pub(super) fn source(&self) -> Arc<dyn FlagSource> {
        match &self.0 {
            Some(service) => service.clone(),
            None => Arc::new(OwnState::default()),
        }
    }

    /// Starts what asks the service.
    pub(super) fn follow(
        self,
        governance: &Arc<Governance>,
        pipeline: &Pipeline,
        metrics: &Metrics,
    ) -> Option<Supervised> {
        let service = self.0?;
        let (governance, reporter) = (governance.clone(), pipeline.reporter().clone());
        Some(supervise("flags", metrics.tasks(), move || {
            watch_flags(governance.clone(), reporter.clone(), service.clone())
        }))
    }
}

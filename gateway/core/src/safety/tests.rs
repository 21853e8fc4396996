//! What tests of this room and of others share.

use std::sync::Arc;
use std::time::Duration;

use leasehold_domain::WallMillis;

use super::Incident;
use super::Incidents;
use super::Safety;
use super::agreement::Rules;
use crate::config::SafeModeEnd;

/// Rules that are quick enough for tests with a real clock.
pub(crate) const RULES: Rules = Rules {
    window: Duration::from_millis(300),
    probe_every: Duration::from_millis(60),
    recover_probes: 3,
};

/// What safe mode goes by in tests: nothing is kept.
pub(crate) fn safety() -> Safety {
    Safety {
        rules: RULES,
        end: SafeModeEnd::Recovered,
        incidents: Arc::new(Incidents::in_memory("here".to_owned())),
        unwritten_events_max: u64::MAX,
    }
}

/// An incident that lasts, of the number's own.
pub(crate) fn incident(number: u64) -> Incident {
    Incident {
        id: format!("incident-{number}"),
        window_ms: 5_000,
        failed: 1,
        last_error: Some("Unavailable: nobody answers".to_owned()),
        ..Incident::open("home", "here", WallMillis(1_700_000_000_000 + number))
    }
}

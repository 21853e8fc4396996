//! When a gateway reports.

use super::*;

fn of(epoch: u64, windows_over: u64) -> GatewayReport {
    let step = StepReport {
        salt: "s".to_owned(),
        epoch,
        windows_over,
        ..StepReport::default()
    };
    GatewayReport {
        rollouts: BTreeMap::from([("r".to_owned(), step)]),
        ..GatewayReport::default()
    }
}

#[test]
fn a_gateway_reports_new_steps_at_once_and_windows_at_a_bounded_rate() {
    let at = Duration::from_millis;
    assert!(is_due(&of(1, 0), None, at(0)));
    let written = (at(1_000), of(1, 0));
    let due = |report: &GatewayReport, now| is_due(report, Some(&written), at(now));
    assert!(due(&of(2, 0), 1_001));
    assert!(due(&GatewayReport::default(), 1_001));
    assert!(!due(&of(1, 1), 1_000 + ROLLOUT_REPORT_PAUSE_MS - 1));
    assert!(due(&of(1, 1), 1_000 + ROLLOUT_REPORT_PAUSE_MS));
    assert!(!due(&of(1, 0), 1_000 + ROLLOUT_REPORT_EVERY_MS - 1));
    assert!(due(&of(1, 0), 1_000 + ROLLOUT_REPORT_EVERY_MS));
    let idle = (at(0), GatewayReport::default());
    let due = |now| is_due(&GatewayReport::default(), Some(&idle), at(now));
    assert!(!due(ROLLOUT_REPORT_IDLE_EVERY_MS - 1));
    assert!(due(ROLLOUT_REPORT_IDLE_EVERY_MS));
}

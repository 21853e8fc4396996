mod basics;
mod calendars;
mod clocks;
mod database;
mod unions;

use leasehold_policy_sdk::Denial;
use leasehold_policy_sdk::Pairs;
use leasehold_policy_sdk::UtcTime;
use leasehold_policy_sdk::read_config;

use super::*;

fn time(text: &str) -> UtcTime {
    text.parse().unwrap()
}

/// A configuration with these windows.
fn windows(windows: &str) -> Config {
    config(&format!(r#"{{ "windows": [{windows}] }}"#))
}

fn config(json: &str) -> Config {
    let config = read_config(json).unwrap();
    FreezeWindow::check(&config).unwrap();
    config
}

/// Why a configuration is refused.
fn refusal(json: &str) -> String {
    let config = read_config::<Config>(json);
    config
        .and_then(|config| FreezeWindow::check(&config))
        .unwrap_err()
}

fn decide(config: &Config, principal: &Principal, labels: Pairs, now: &str) -> Verdict {
    let mut request = Request::new(Operation::Acquire, "demo", "prod/api");
    request.labels = labels;
    let facts = Facts {
        now: time(now),
        ..Facts::default()
    };
    FreezeWindow::decide(&request, principal, &facts, config).unwrap()
}

fn denied(config: &Config, now: &str) -> Option<Denial> {
    let principal = Principal::new("svc-deploy", Some("web"));
    match decide(config, &principal, Pairs::default(), now) {
        Verdict::Deny(denial) => Some(denial),
        Verdict::Allow(_) => None,
    }
}

/// When the freeze ends, in UTC, if there is one.
fn end(config: &Config, now: &str) -> Option<String> {
    let ms = denied(config, now)?.retry_after_ms?;
    Some(UtcTime::from_millis(time(now).as_millis() + ms).to_string())
}

/// Holds that the freeze is off, on and off again at these moments, and one second before them.
fn on_between(config: &Config, from: &str, until: &str) {
    let before = |text: &str| UtcTime::from_millis(time(text).as_millis() - 1_000).to_string();
    assert_eq!(end(config, &before(from)), None, "before {from}");
    assert_eq!(end(config, from).as_deref(), Some(until), "at {from}");
    assert_eq!(
        end(config, &before(until)).as_deref(),
        Some(until),
        "before {until}"
    );
    assert_eq!(end(config, until), None, "at {until}");
}

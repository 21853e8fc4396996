//! What those who are denied are told.

use leasehold_policy_sdk::UtcTime;
use leasehold_policy_sdk::Verdict;

use crate::union::Freeze;

/// How many windows of a chain are named.
const NAMED_MAX: usize = 3;

/// The denial of a request during a freeze.
pub(crate) fn denial(freeze: &Freeze<'_>, now: UtcTime) -> Verdict {
    let until = freeze.until;
    let mut message = format!("frozen by {} until ", names(freeze));
    if !freeze.whole {
        message.push_str("at least ");
    }
    message.push_str(&until.to_string());
    if let Some(last) = freeze.chain.last()
        && let Some(zone) = &last.window.time_zone
    {
        let wall = last.zone.wall(until).to_minute();
        message.push_str(&format!(" ({wall} in {zone})"));
    }
    if let Some(more) = freeze
        .chain
        .first()
        .and_then(|first| first.window.message.as_ref())
    {
        message.push_str(": ");
        message.push_str(more);
    }
    message.truncate(message.floor_char_boundary(1_000));
    Verdict::deny("frozen", message).retry_after_ms(now.until(until))
}

/// The windows of the chain, each once in a row.
fn names(freeze: &Freeze<'_>) -> String {
    let mut names: Vec<&str> = freeze.chain.iter().map(|one| &*one.window.name).collect();
    names.dedup();
    let more = names.len() > NAMED_MAX;
    names.truncate(NAMED_MAX);
    let mut names = format!("`{}`", names.join("`, then `"));
    if more {
        names.push_str(" and so on");
    }
    names
}

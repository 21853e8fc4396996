//! Freezes that overlap or touch, as one.

use leasehold_policy_sdk::UtcTime;

use crate::window::Calendars;
use crate::window::Window;
use crate::zone::Zone;

/// How far ahead the end is looked for.
const AHEAD_MS_MAX: u64 = 366 * 86_400_000;

/// How often a window is asked what follows; more would cost more than it tells.
const QUESTIONS_MAX: usize = 500;

/// A window that is meant for the request, and its clock.
#[derive(Debug)]
pub(crate) struct Meant<'a> {
    pub(crate) window: &'a Window,
    pub(crate) zone: Zone,
}

impl<'a> Meant<'a> {
    /// The window with its clock. A zone that one of `others` has is not looked for again.
    pub(crate) fn of(window: &'a Window, others: &[Self]) -> Result<Self, String> {
        let name = window.time_zone.as_ref();
        let mut others = others.iter();
        let same = others.find(|other| name.is_some() && other.window.time_zone.as_ref() == name);
        let zone = match same {
            Some(other) => other.zone.clone(),
            None => window.zone()?,
        };
        Ok(Self { window, zone })
    }
}

/// The freeze that is on, with all that follow without a gap.
#[derive(Debug)]
pub(crate) struct Freeze<'a> {
    /// The windows, one after the other; of those that are on now the one that ends last.
    pub(crate) chain: Vec<&'a Meant<'a>>,
    pub(crate) until: UtcTime,
    /// Whether nothing follows. If not, the end is beyond what was looked at.
    pub(crate) whole: bool,
}

impl<'a> Freeze<'a> {
    /// The freeze that is on, if one is.
    pub(crate) fn at(meant: &'a [Meant<'a>], calendars: &Calendars, now: UtcTime) -> Option<Self> {
        let last = |at: UtcTime| {
            let on = meant.iter().filter_map(|one| {
                let end = one.window.end(&one.zone, calendars, at)?;
                Some((end, one))
            });
            on.max_by_key(|(end, _)| *end)
        };
        let (mut until, first) = last(now)?;
        let mut chain = vec![first];
        let horizon = UtcTime::from_millis(now.as_millis().saturating_add(AHEAD_MS_MAX));
        let mut questions = QUESTIONS_MAX;
        loop {
            // At its end a window is off, so the end of the next one is later.
            let Some((end, next)) = last(until) else {
                return Some(Self {
                    chain,
                    until,
                    whole: true,
                });
            };
            questions = questions.saturating_sub(meant.len());
            if questions == 0 || until > horizon {
                return Some(Self {
                    chain,
                    until,
                    whole: false,
                });
            }
            until = end;
            chain.push(next);
        }
    }
}

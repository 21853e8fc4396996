//! One freeze.

mod moment;

use std::collections::BTreeMap;

use leasehold_policy_sdk::LockPattern;
use leasehold_policy_sdk::Principal;
use leasehold_policy_sdk::Request;
use leasehold_policy_sdk::UtcTime;
use serde::Deserialize;

use self::moment::Moment;
use crate::calendar::Days;
use crate::exception::Exception;
use crate::week::Weekly;
use crate::year::Yearly;
use crate::zone::Zone;
use crate::zones;

/// Days by the name of their list.
pub(crate) type Calendars = BTreeMap<String, Vec<Days>>;

/// One freeze; see `schema.json`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Window {
    pub(crate) name: String,
    locks: Option<Vec<LockPattern>>,
    pub(crate) time_zone: Option<String>,
    from: Option<Moment>,
    until: Option<Moment>,
    weekly: Option<Weekly>,
    yearly: Option<Yearly>,
    calendars: Option<Vec<String>>,
    pub(crate) message: Option<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

impl Window {
    /// Whether it is meant for this request, whatever the time.
    pub(crate) fn freezes(&self, request: &Request, principal: &Principal) -> bool {
        let covers = |pattern: &LockPattern| pattern.matches(&request.lock);
        let locks = self.locks.as_ref();
        let excepts = |exception: &Exception| exception.met(request, principal);
        locks.is_none_or(|patterns| patterns.iter().any(covers))
            && !self.exceptions.iter().any(excepts)
    }

    /// Whose clock it goes by.
    pub(crate) fn zone(&self) -> Result<Zone, String> {
        let offset = self.weekly.as_ref().and_then(|weekly| weekly.utc_offset);
        match &self.time_zone {
            Some(name) => zones::find(name),
            None => Ok(Zone::fixed(offset.unwrap_or_default().0)),
        }
    }

    /// When it ends, if it is on.
    pub(crate) fn end(&self, zone: &Zone, calendars: &Calendars, at: UtcTime) -> Option<UtcTime> {
        if let Some(weekly) = &self.weekly {
            return weekly.end(zone, at);
        }
        if let Some(yearly) = &self.yearly {
            return yearly.end(zone, at);
        }
        if let Some(named) = &self.calendars {
            let wall = zone.wall(at);
            let days = named
                .iter()
                .filter_map(|name| calendars.get(name))
                .flatten();
            return days.filter_map(|days| days.end(zone, at, wall)).max();
        }
        let from = self.from.as_ref()?.begins(zone);
        let until = self.until.as_ref()?.ends(zone);
        (from..until).contains(&at).then_some(until)
    }

    /// Whether it can be.
    pub(crate) fn check(&self, calendars: &Calendars) -> Result<(), String> {
        let checks = self.check_parts().and_then(|()| self.check_time(calendars));
        checks.map_err(|problem| format!("window `{}`: {problem}", self.name))
    }

    fn check_parts(&self) -> Result<(), String> {
        let mut locks = self.locks.iter().flatten();
        locks.try_for_each(LockPattern::check)?;
        self.exceptions.iter().try_for_each(Exception::check)
    }

    fn check_time(&self, calendars: &Calendars) -> Result<(), String> {
        const ONE: &str = "it needs one of `weekly`, `yearly`, `calendars`, or `from` and `until`";
        let offset = self.weekly.as_ref().and_then(|weekly| weekly.utc_offset);
        if self.time_zone.is_some() && offset.is_some() {
            return Err("it needs `time_zone` or `utc_offset`, not both".to_owned());
        }
        let zone = self.zone()?;
        let days = (&self.weekly, &self.yearly, &self.calendars);
        match (days, &self.from, &self.until) {
            ((Some(weekly), None, None), None, None) => weekly.check(),
            ((None, Some(yearly), None), None, None) => yearly.check(),
            ((None, None, Some(named)), None, None) => {
                let unknown = named.iter().find(|name| !calendars.contains_key(*name));
                match unknown {
                    None => Ok(()),
                    Some(name) => Err(format!("there is no calendar `{name}`")),
                }
            }
            ((None, None, None), Some(from), Some(until)) => {
                let local = from.is_local() || until.is_local();
                if local && self.time_zone.is_none() {
                    let problem = "a time without Z needs a `time_zone`";
                    return Err(problem.to_owned());
                }
                match from.begins(&zone) < until.ends(&zone) {
                    true => Ok(()),
                    false => Err("it ends before it begins".to_owned()),
                }
            }
            _ => Err(ONE.to_owned()),
        }
    }
}

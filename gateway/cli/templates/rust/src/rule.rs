//! The rule: an acquire must carry a ticket in a label.

use serde::Deserialize;

use crate::Facts;
use crate::Principal;
use crate::Request;
use crate::Verdict;
use crate::leasehold::policy::types::Counter;
use crate::leasehold::policy::types::Denial;
use crate::leasehold::policy::types::Limits;

/// The configuration that a binding gives; it satisfies `schema.json`.
#[derive(Debug, Deserialize)]
pub struct Config {
    /// The label that holds the ticket.
    pub label: String,
    /// What the ticket begins with.
    pub prefix: String,
    /// How many leases a ticket may have at a time.
    pub max_leases: Option<u32>,
}

impl Config {
    /// Reads the configuration, and refuses what the schema cannot.
    pub fn read(json: &str) -> Result<Self, String> {
        let config: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if config.label.trim() != config.label {
            return Err("label: must not begin or end with a space".to_owned());
        }
        Ok(config)
    }
}

/// Judges one request. A pure function: there is no clock and no memory of earlier requests.
pub fn decide(request: &Request, _: &Principal, _: &Facts, config: &Config) -> Verdict {
    let Some(ticket) = request.labels.iter().find(|pair| pair.key == config.label) else {
        return deny("no-ticket", format!("add the label {}", config.label));
    };
    if !ticket.value.starts_with(&config.prefix) {
        let message = format!("{} does not begin with {}", ticket.value, config.prefix);
        return deny("bad-ticket", message);
    }
    // If the configuration limits the leases of a ticket, the gateway counts them, and denies an
    // acquire that would exceed the limit.
    let counter = config.max_leases.map(|maximum| Counter {
        name: format!("ticket:{}", ticket.value),
        maximum,
        code: Some("ticket-in-use".to_owned()),
    });
    Verdict::Allow(Limits {
        max_ttl_ms: None,
        max_hold_ms: None,
        counters: counter.into_iter().collect(),
    })
}

fn deny(code: &str, message: String) -> Verdict {
    Verdict::Deny(Denial {
        code: code.to_owned(),
        message,
        retry_after_ms: None,
    })
}

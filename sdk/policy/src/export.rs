//! From the contract's types to the plain ones, and back. Strings are moved, not copied.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::Denial;
use crate::Facts;
use crate::Holder;
use crate::Limits;
use crate::LockView;
use crate::Mode;
use crate::Pairs;
use crate::Policy;
use crate::Principal;
use crate::Request;
use crate::Usage;
use crate::UtcTime;
use crate::Verdict;
use crate::bindings as wit;
use crate::json;
use crate::trace_panics;

/// Makes a policy the component's. Once in a crate.
///
/// Installs the SDK's allocator too, which serves a decision from a static arena: an instance that
/// never grows its memory is several times cheaper to the gateway. The text of a panic is traced, so
/// that the gateway's report of the failure names it.
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[global_allocator]
            static ARENA: $crate::Arena = $crate::Arena::new();
            type Exported = $crate::Exported<$policy>;
    $crate::bindings::__export_world!(Exported with_types_in $crate::bindings);
        };
    };
}

/// A policy as the generated bindings want it.
#[derive(Debug)]
pub struct Exported<P>(PhantomData<P>);

impl<P: Policy> wit::Guest for Exported<P> {
    fn describe() -> wit::Manifest {
        let manifest = P::manifest();
        let name = |operation: &crate::Operation| operation.as_str().to_owned();
        wit::Manifest {
            name: manifest.name.to_owned(),
            version: manifest.version.to_owned(),
            operations: manifest.operations.iter().map(name).collect(),
            needs_lock: manifest.needs_lock,
            needs_usage: manifest.needs_usage,
            config_schema: manifest.config_schema.to_owned(),
            reads: manifest.reads.map(|reads| wit::Inputs {
                fields: reads
                    .fields
                    .iter()
                    .map(|field| field.as_str().to_owned())
                    .collect(),
                now_granularity_ms: reads.now_granularity_ms,
            }),
        }
    }

    fn check(config: String) -> Result<(), String> {
        trace_panics();
        P::check(&parse::<P>(&config)?)
    }

    fn decide(
        said: wit::Request,
        principal: wit::Principal,
        facts: wit::Facts,
        config: String,
    ) -> Result<wit::Verdict, String> {
        trace_panics();
        let config = parse::<P>(&config)?;
        let verdict = P::decide(&request(said)?, &who(principal), &known(facts), &config)?;
        Ok(match verdict {
            Verdict::Allow(limits) => wit::Verdict::Allow(lower_limits(limits)),
            Verdict::Deny(denial) => wit::Verdict::Deny(lower_denial(denial)),
        })
    }
}

fn parse<P: Policy>(config: &str) -> Result<P::Config, String> {
    read_config(config).map_err(|error| format!("configuration: {error}"))
}

/// Reads a configuration as an exported policy does, for unit tests.
///
/// # Errors
/// Why it cannot be read.
pub fn read_config<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    json::read(json).map_err(|error| error.to_string())
}

fn request(said: wit::Request) -> Result<Request, String> {
    Ok(Request {
        operation: said
            .operation
            .parse()
            .map_err(|error: crate::UnknownOperation| error.to_string())?,
        namespace: said.namespace,
        lock: said.lock,
        mode: said.mode.map(mode),
        ttl_ms: said.ttl_ms,
        wait_ms: said.wait_ms,
        grace_ms: said.grace_ms,
        instance: said.instance,
        labels: pairs(said.labels),
        reason: said.reason,
        value: said.value,
        successor: said.successor,
        lease: said.lease,
    })
}

fn who(said: wit::Principal) -> Principal {
    Principal {
        subject: said.subject,
        team: said.team,
        roles: said.roles,
        claims: pairs(said.claims),
    }
}

fn known(said: wit::Facts) -> Facts {
    Facts {
        now: UtcTime::from_millis(said.now_ms),
        lock: said.lock.map(lock_view),
        usage: said.usage.map(|usage| Usage {
            subject_leases: usage.subject_leases,
            team_leases: usage.team_leases,
        }),
    }
}

fn lock_view(said: wit::LockView) -> LockView {
    LockView {
        revision: said.revision,
        limit: said.limit,
        holders: said.holders.into_iter().map(holder).collect(),
        waiters: said.waiters,
        cooldown_remaining_ms: said.cooldown_remaining_ms,
        reserved_for: said.reserved_for,
        last_token: said.last_token,
    }
}

fn holder(said: wit::Holder) -> Holder {
    Holder {
        lease: said.lease,
        subject: said.subject,
        team: said.team,
        instance: said.instance,
        labels: pairs(said.labels),
        reason: said.reason,
        mode: mode(said.mode),
        token: said.token,
        since: UtcTime::from_millis(said.since_ms),
        remaining_ms: said.remaining_ms,
        draining: said.draining,
    }
}

fn mode(said: wit::Mode) -> Mode {
    match said {
        wit::Mode::Exclusive => Mode::Exclusive,
        wit::Mode::Shared(permits) => Mode::Shared { permits },
    }
}

fn pairs(said: Vec<wit::Pair>) -> Pairs {
    said.into_iter()
        .map(|pair| (pair.key, pair.value))
        .collect()
}

fn lower_limits(limits: Limits) -> wit::Limits {
    wit::Limits {
        max_ttl_ms: limits.max_ttl_ms,
        max_hold_ms: limits.max_hold_ms,
        counters: limits.counters.into_iter().map(lower_counter).collect(),
    }
}

fn lower_counter(counter: crate::Counter) -> wit::Counter {
    wit::Counter {
        name: counter.name,
        maximum: counter.maximum,
        code: counter.code,
    }
}

fn lower_denial(denial: Denial) -> wit::Denial {
    wit::Denial {
        code: denial.code,
        message: denial.message,
        retry_after_ms: denial.retry_after_ms,
    }
}

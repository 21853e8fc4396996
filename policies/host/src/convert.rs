//! From the house's words to the contract's, and back. Requests are borrowed, not copied.

use std::collections::BTreeMap;

use leasehold_domain::Facts;
use leasehold_domain::HolderView;
use leasehold_domain::LeaseHandle;
use leasehold_domain::LeaseState;
use leasehold_domain::LockView;
use leasehold_domain::Mode;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyCounter;
use leasehold_domain::PolicyLimits;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::limits::COUNTER_NAME_BYTES_MAX;
use leasehold_domain::limits::COUNTERS_PER_VERDICT_MAX;
use leasehold_domain::limits::TTL_MS_MIN;

use crate::bindings as wit;
use crate::fault::PolicyFault;
use crate::inputs::Input;
use crate::inputs::Inputs;
use crate::limits::CODE_BYTES_MAX;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::limits::RETRY_AFTER_MS_MAX;
use crate::manifest::Manifest;

const DAY_MS: u64 = 86_400_000;

/// What the borrowed arguments of one call point into.
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    inputs: Inputs,
    request: &'a Request,
    principal: &'a Principal,
    facts: &'a Facts,
    lease: Option<String>,
    labels: Vec<wit::Pair<'a>>,
    roles: Vec<&'a str>,
    claims: Vec<wit::Pair<'a>>,
    lock: Option<Lock<'a>>,
}

#[derive(Debug)]
struct Lock<'a> {
    view: &'a LockView,
    handles: Vec<String>,
    labels: Vec<Vec<wit::Pair<'a>>>,
}

impl<'a> Arguments<'a> {
    /// Gathers the arguments. A policy sees the lock's state and usage only if its manifest asks,
    /// also when they are there because another policy did, and of the rest what it declares to
    /// read.
    pub(crate) fn new(
        manifest: &Manifest,
        request: &'a Request,
        principal: &'a Principal,
        facts: &'a Facts,
    ) -> Result<Self, PolicyFault> {
        let lock = match (&facts.lock, manifest.needs_lock) {
            (Some(view), true) => Some(Lock::new(view)),
            (None, true) => return Err(PolicyFault::MissingFact("lock")),
            (_, false) => None,
        };
        if manifest.needs_usage && facts.usage.is_none() {
            return Err(PolicyFault::MissingFact("usage"));
        }
        let inputs = manifest.inputs();
        let lease = inputs.optional(Input::Lease, request.lease.as_ref());
        let mut roles = Vec::new();
        if inputs.read(Input::Roles) {
            roles.extend(principal.roles.names());
        }
        Ok(Self {
            inputs,
            request,
            principal,
            facts,
            lease: lease.map(LeaseHandle::to_string),
            labels: read_pairs(inputs, Input::Labels, &request.labels),
            roles,
            claims: read_pairs(inputs, Input::Claims, &principal.claims),
            lock,
        })
    }

    pub(crate) fn request(&self) -> wit::Request<'_> {
        let (request, inputs) = (self.request, self.inputs);
        let successor = request.successor.as_ref();
        wit::Request {
            operation: inputs.operation(request.operation).as_str(),
            namespace: inputs.text(Input::Namespace, request.lock.namespace.as_str()),
            lock: inputs.text(Input::Lock, request.lock.lock.as_str()),
            mode: inputs.optional(Input::Mode, request.mode).map(mode),
            ttl_ms: inputs.optional(Input::TtlMs, request.ttl_ms),
            wait_ms: inputs.optional(Input::WaitMs, request.wait_ms),
            grace_ms: inputs.optional(Input::GraceMs, request.grace_ms),
            instance: inputs.optional(Input::Instance, request.instance.as_deref()),
            labels: &self.labels,
            reason: inputs.optional(Input::Reason, request.reason.as_deref()),
            value: inputs.optional(Input::Value, request.value.as_deref()),
            successor: inputs
                .optional(Input::Successor, successor)
                .map(leasehold_domain::Subject::as_str),
            lease: self.lease.as_deref(),
        }
    }

    pub(crate) fn principal(&self) -> wit::Principal<'_> {
        let team = self
            .inputs
            .optional(Input::Team, self.principal.team.as_ref());
        wit::Principal {
            subject: self
                .inputs
                .text(Input::Subject, self.principal.subject.as_str()),
            team: team.map(leasehold_domain::TeamName::as_str),
            roles: &self.roles,
            claims: &self.claims,
        }
    }

    /// The holders that [`Self::facts`] points to.
    pub(crate) fn holders(&self) -> Vec<wit::Holder<'_>> {
        self.lock.as_ref().map(Lock::holders).unwrap_or_default()
    }

    pub(crate) fn facts<'b>(
        &'b self,
        manifest: &Manifest,
        holders: &'b [wit::Holder<'b>],
    ) -> wit::Facts<'b> {
        let now = self.inputs.now(self.facts.now);
        let usage = self.facts.usage.filter(|_| manifest.needs_usage);
        wit::Facts {
            now_ms: now,
            // The first of January 1970 was a Thursday, day 4.
            utc_weekday: ((now / DAY_MS + 3) % 7 + 1) as u8,
            utc_day_ms: (now % DAY_MS) as u32,
            lock: self.lock.as_ref().map(|lock| lock.view(holders)),
            usage: usage.map(|usage| wit::Usage {
                subject_leases: usage.subject_leases,
                team_leases: usage.team_leases,
            }),
        }
    }
}

impl<'a> Lock<'a> {
    fn new(view: &'a LockView) -> Self {
        Self {
            view,
            handles: view
                .holders
                .iter()
                .map(|holder| holder.handle.to_string())
                .collect(),
            labels: view
                .holders
                .iter()
                .map(|holder| pairs(&holder.owner.labels))
                .collect(),
        }
    }

    fn holders(&self) -> Vec<wit::Holder<'_>> {
        let rows = self
            .view
            .holders
            .iter()
            .zip(&self.handles)
            .zip(&self.labels);
        rows.map(|((holder, handle), labels)| wit_holder(holder, handle, labels))
            .collect()
    }

    fn view<'b>(&'b self, holders: &'b [wit::Holder<'b>]) -> wit::LockView<'b> {
        wit::LockView {
            revision: self.view.revision,
            limit: self.view.settings.limit,
            holders,
            waiters: u32::try_from(self.view.queue.len()).unwrap_or(u32::MAX),
            cooldown_remaining_ms: self.view.cooldown_remaining_ms,
            reserved_for: self
                .view
                .reserved_for
                .as_ref()
                .map(|(subject, _)| subject.as_str()),
            last_token: self.view.last_token.0,
        }
    }
}

fn wit_holder<'a>(
    holder: &'a HolderView,
    handle: &'a str,
    labels: &'a [wit::Pair<'a>],
) -> wit::Holder<'a> {
    wit::Holder {
        lease: handle,
        subject: holder.owner.subject.as_str(),
        team: holder
            .owner
            .team
            .as_ref()
            .map(leasehold_domain::TeamName::as_str),
        instance: holder.owner.instance.as_deref(),
        labels,
        reason: holder.owner.reason.as_deref(),
        mode: mode(holder.mode),
        token: holder.token.0,
        since_ms: holder.since.0,
        remaining_ms: holder.remaining_ms,
        draining: matches!(holder.state, LeaseState::Draining { .. }),
    }
}

fn mode(mode: Mode) -> wit::Mode {
    match mode {
        Mode::Exclusive => wit::Mode::Exclusive,
        Mode::Shared { permits } => wit::Mode::Shared(permits),
    }
}

fn pairs<T: AsRef<str>>(map: &BTreeMap<T, T>) -> Vec<wit::Pair<'_>> {
    map.iter()
        .map(|(key, value)| wit::Pair {
            key: key.as_ref(),
            value: value.as_ref(),
        })
        .collect()
}

fn read_pairs<T: AsRef<str>>(
    inputs: Inputs,
    input: Input,
    map: &BTreeMap<T, T>,
) -> Vec<wit::Pair<'_>> {
    match inputs.read(input) {
        true => pairs(map),
        false => Vec::new(),
    }
}

/// The guest's answer, if it keeps the contract.
pub(crate) fn answer(said: Result<wit::Verdict, String>) -> Result<PolicyAnswer, PolicyFault> {
    match said {
        Ok(wit::Verdict::Allow(limits)) => limits_of(limits).map(PolicyAnswer::Allow),
        Ok(wit::Verdict::Deny(denial)) => denial_of(denial),
        Err(message) => Err(PolicyFault::Refused(shortened(message))),
    }
}

fn limits_of(said: wit::Limits) -> Result<PolicyLimits, PolicyFault> {
    let too_short = |limit: Option<u64>| limit.is_some_and(|limit| limit < TTL_MS_MIN);
    if too_short(said.max_ttl_ms) || too_short(said.max_hold_ms) {
        return Err(PolicyFault::InvalidAnswer(format!(
            "a limit is below {TTL_MS_MIN} ms"
        )));
    }
    Ok(PolicyLimits {
        max_ttl_ms: said.max_ttl_ms,
        max_hold_ms: said.max_hold_ms,
        counters: counters_of(said.counters)?,
    })
}

fn counters_of(said: Vec<wit::Counter>) -> Result<Vec<PolicyCounter>, PolicyFault> {
    if said.len() > COUNTERS_PER_VERDICT_MAX {
        return Err(PolicyFault::InvalidAnswer(format!(
            "it carries more than {COUNTERS_PER_VERDICT_MAX} counters"
        )));
    }
    let mut counters: Vec<PolicyCounter> = Vec::with_capacity(said.len());
    for counter in said {
        if counters.iter().any(|other| *other.name == *counter.name) {
            let problem = "a counter is named twice";
            return Err(PolicyFault::InvalidAnswer(problem.to_owned()));
        }
        counters.push(counter_of(counter)?);
    }
    Ok(counters)
}

fn counter_of(said: wit::Counter) -> Result<PolicyCounter, PolicyFault> {
    let printable = !said.name.is_empty() && !said.name.contains(char::is_control);
    if !printable || said.name.len() > COUNTER_NAME_BYTES_MAX {
        return Err(PolicyFault::InvalidAnswer(format!(
            "a counter's name must be 1 to {COUNTER_NAME_BYTES_MAX} bytes of printable text"
        )));
    }
    if said.maximum == 0 {
        let problem = "a counter's maximum must be at least 1; a policy that allows none denies";
        return Err(PolicyFault::InvalidAnswer(problem.to_owned()));
    }
    if let Some(code) = &said.code {
        check_code(code, "a counter's")?;
    }
    Ok(PolicyCounter {
        name: said.name.into(),
        maximum: said.maximum,
        code: said.code.map(Into::into),
    })
}

fn check_code(code: &str, whose: &str) -> Result<(), PolicyFault> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    if code.is_empty() || !code.bytes().all(allowed) {
        let problem = format!("{whose} code must be of a-z, 0-9, -, _ and .");
        return Err(PolicyFault::InvalidAnswer(problem));
    }
    match code.len() > CODE_BYTES_MAX {
        true => Err(PolicyFault::OversizedAnswer),
        false => Ok(()),
    }
}

fn denial_of(said: wit::Denial) -> Result<PolicyAnswer, PolicyFault> {
    check_code(&said.code, "a denial's")?;
    if said.message.len() > MESSAGE_BYTES_MAX {
        return Err(PolicyFault::OversizedAnswer);
    }
    Ok(PolicyAnswer::Deny {
        code: said.code.into(),
        message: said.message.into(),
        retry_after_ms: said.retry_after_ms.map(|ms| ms.min(RETRY_AFTER_MS_MAX)),
    })
}

/// A guest's own error is kept, but not at any length.
pub(crate) fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MESSAGE_BYTES_MAX));
    text
}

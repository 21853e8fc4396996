//! A digest of the declared inputs of one decision: equal exactly if the module would see the same.

use std::collections::BTreeMap;

use leasehold_domain::Digest;
use leasehold_domain::Facts;
use leasehold_domain::Mode;
use leasehold_domain::Principal;
use leasehold_domain::Request;

use super::Input;
use super::Inputs;

/// Bytes of most keys before they are digested.
const USUAL_BYTES: usize = 512;

impl Inputs {
    /// The digest of what a module with these inputs would see of a request. It has no meaning beyond
    /// this process, so its form may change with any build.
    pub(crate) fn key(self, request: &Request, principal: &Principal, facts: &Facts) -> Digest {
        let mut key = Key {
            inputs: self,
            bytes: Vec::with_capacity(USUAL_BYTES),
        };
        key.number(self.now(facts.now));
        key.add_request(request);
        key.add_principal(principal);
        // The view of a lock is never in a key.
        let Facts {
            now: _,
            lock: _,
            usage,
        } = facts;
        if self.read(Input::Usage) {
            key.bytes.push(u8::from(usage.is_some()));
            let usage = usage.unwrap_or_default();
            key.number(u64::from(usage.subject_leases));
            key.number(u64::from(usage.team_leases));
        }
        Digest::of(&key.bytes)
    }
}

/// The bytes that are digested. Each part says how long it is, so that different inputs never give
/// the same bytes; which parts there are is the same for all keys of one module.
struct Key {
    inputs: Inputs,
    bytes: Vec<u8>,
}

impl Key {
    fn add_request(&mut self, request: &Request) {
        let Request {
            operation,
            lock,
            mode,
            ttl_ms,
            wait_ms,
            grace_ms,
            instance,
            labels,
            reason,
            value,
            successor,
            lease,
            // The guest is not shown them.
            override_terms: _,
        } = request;
        self.bytes.push(self.inputs.operation(*operation) as u8);
        self.text(Input::Namespace, lock.namespace.as_str());
        self.text(Input::Lock, lock.lock.as_str());
        if self.inputs.read(Input::Mode) {
            let permits = match mode {
                None => None,
                Some(Mode::Exclusive) => Some(0),
                Some(Mode::Shared { permits }) => Some(u64::from(*permits)),
            };
            self.optional_number(permits);
        }
        for (input, number) in [
            (Input::TtlMs, ttl_ms),
            (Input::WaitMs, wait_ms),
            (Input::GraceMs, grace_ms),
        ] {
            if self.inputs.read(input) {
                self.optional_number(*number);
            }
        }
        self.optional_text(Input::Instance, instance.as_deref());
        self.pairs(Input::Labels, labels);
        self.optional_text(Input::Reason, reason.as_deref());
        self.optional_text(Input::Value, value.as_deref());
        let successor = successor.as_ref().map(leasehold_domain::Subject::as_str);
        self.optional_text(Input::Successor, successor);
        if self.inputs.read(Input::Lease) {
            let lease = lease.as_ref().map(ToString::to_string);
            self.optional_text(Input::Lease, lease.as_deref());
        }
    }

    fn add_principal(&mut self, principal: &Principal) {
        let Principal {
            subject,
            team,
            roles,
            claims,
        } = principal;
        self.text(Input::Subject, subject.as_str());
        let team = team.as_ref().map(leasehold_domain::TeamName::as_str);
        self.optional_text(Input::Team, team);
        if self.inputs.read(Input::Roles) {
            self.number(roles.names().count() as u64);
            for role in roles.names() {
                self.plain_text(role);
            }
        }
        self.pairs(Input::Claims, claims);
    }

    fn text(&mut self, input: Input, text: &str) {
        if self.inputs.read(input) {
            self.plain_text(text);
        }
    }

    fn optional_text(&mut self, input: Input, text: Option<&str>) {
        if self.inputs.read(input) {
            self.bytes.push(u8::from(text.is_some()));
            if let Some(text) = text {
                self.plain_text(text);
            }
        }
    }

    fn pairs<T: AsRef<str>>(&mut self, input: Input, pairs: &BTreeMap<T, T>) {
        if self.inputs.read(input) {
            self.number(pairs.len() as u64);
            for (key, value) in pairs {
                self.plain_text(key.as_ref());
                self.plain_text(value.as_ref());
            }
        }
    }

    fn plain_text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn optional_number(&mut self, number: Option<u64>) {
        self.bytes.push(u8::from(number.is_some()));
        self.number(number.unwrap_or_default());
    }

    fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }
}

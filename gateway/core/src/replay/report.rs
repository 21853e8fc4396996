//! The result of a replay.

use std::collections::BTreeMap;

use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::FencingToken;
use leasehold_domain::LockRef;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::REPLAY_DIFFERENCES_MAX;
use leasehold_domain::limits::REPLAY_GROUPS_MAX;

use super::ReplayRequest;
use crate::rollouts::Difference;

/// A part of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayReport {
    /// Recorded verdicts of the policy.
    pub decisions: u64,
    /// Verdicts for which the candidate gives the recorded answer.
    pub agreed: u64,
    /// Verdicts for which it gives another answer, by kind of difference.
    pub differences: BTreeMap<Difference, u64>,
    /// Verdicts that cannot be evaluated again, by reason.
    pub unknown: BTreeMap<&'static str, u64>,
    /// Verdicts that the recorded module and configuration gave again, with the same answer and fuel.
    pub reproduced: u64,
    /// Verdicts for which they gave another answer or spent other fuel. Expected to be 0.
    pub not_reproduced: u64,
    /// Differences by team and lock, for the first [`REPLAY_GROUPS_MAX`] pairs.
    pub groups: BTreeMap<(Option<String>, LockRef), BTreeMap<Difference, u64>>,
    /// The first [`REPLAY_DIFFERENCES_MAX`] differences.
    pub first: Vec<ReplayDifference>,
    /// Holds that the candidate would have prevented: verdicts that it would deny, of requests that
    /// got a lease.
    pub prevented_holds: u64,
    /// SHA-256 over the question and the candidate's answer to each decision, in their order, of this
    /// part and those before it. Whoever asks the same of the same ledger gets the same.
    pub digest: Digest,
    /// The ledger is complete up to this event, or up to the last one that was asked for.
    pub complete_to: Cursor,
    /// Where the next part begins; `None` if this was the last.
    pub next: Option<Cursor>,
}

/// A recorded verdict that a candidate would not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayDifference {
    /// The kind of difference.
    pub kind: Difference,
    /// The position of the event in the ledger.
    pub cursor: Cursor,
    /// When the request was decided.
    pub at: WallMillis,
    /// The subject that sent the request.
    pub subject: String,
    /// The team of the subject.
    pub team: Option<String>,
    /// The operation.
    pub operation: &'static str,
    /// The lock.
    pub lock: LockRef,
    /// The fencing token of the lease that the request got, if it got one.
    pub token: Option<FencingToken>,
    /// The recorded answer, in words.
    pub recorded: String,
    /// The answer of the candidate, in words.
    pub candidate: String,
}

/// The form of what a report's digest is of.
const FORM: &str = "leasehold-replay/v1";

impl ReplayReport {
    /// Begins a report on what is asked by these versions, or goes on from the one before.
    pub(super) fn begin(
        request: &ReplayRequest,
        module: Option<Digest>,
        config: Option<Digest>,
    ) -> Self {
        let text = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
        let asked = || {
            let asked = serde_json::json!({
                "form": FORM,
                "policy": request.policy,
                "module": text(module),
                "config": text(config),
                "binding": request.binding,
                "namespace": request.namespace,
            });
            Digest::of(asked.to_string().as_bytes())
        };
        Self {
            decisions: 0,
            agreed: 0,
            differences: BTreeMap::new(),
            unknown: BTreeMap::new(),
            reproduced: 0,
            not_reproduced: 0,
            groups: BTreeMap::new(),
            first: Vec::new(),
            prevented_holds: 0,
            digest: request.digest.unwrap_or_else(asked),
            complete_to: Cursor::default(),
            next: None,
        }
    }

    /// Adds what the candidate says of one recorded verdict to the digest.
    pub(super) fn note(&mut self, cursor: Cursor, verdict: usize, said: &str) {
        let mut bytes = Vec::with_capacity(48 + said.len());
        bytes.extend(self.digest.0);
        bytes.extend(cursor.0.to_be_bytes());
        bytes.extend((verdict as u64).to_be_bytes());
        bytes.extend(said.as_bytes());
        self.digest = Digest::of(&bytes);
    }

    /// Counts a verdict that cannot be evaluated again.
    pub(super) fn unknown(&mut self, reason: &'static str) {
        *self.unknown.entry(reason).or_default() += 1;
    }

    /// Counts a verdict that was evaluated again.
    pub(super) fn judged(&mut self, difference: Option<ReplayDifference>) {
        let Some(difference) = difference else {
            self.agreed += 1;
            return;
        };
        let prevents = difference.kind == Difference::NewlyDenied && difference.token.is_some();
        self.prevented_holds += u64::from(prevents);
        *self.differences.entry(difference.kind).or_default() += 1;
        let group = (difference.team.clone(), difference.lock.clone());
        if self.groups.len() < REPLAY_GROUPS_MAX || self.groups.contains_key(&group) {
            let group = self.groups.entry(group).or_default();
            *group.entry(difference.kind).or_default() += 1;
        }
        if self.first.len() < REPLAY_DIFFERENCES_MAX {
            self.first.push(difference);
        }
    }
}

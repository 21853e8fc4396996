//! What one operation asks of those who do it.

use leasehold_policy_sdk::LockView;
use leasehold_policy_sdk::NamePattern;
use leasehold_policy_sdk::Principal;
use leasehold_policy_sdk::Request;
use leasehold_policy_sdk::TextPattern;
use leasehold_policy_sdk::Verdict;
use serde::Deserialize;

use crate::holders;

/// Who may, and what they must say; see `schema.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Duty {
    teams: Vec<String>,
    roles: Vec<String>,
    subjects: Vec<String>,
    require_reason: bool,
    ticket: Option<TextPattern>,
    require_approval: bool,
    approvers: Option<Vec<NamePattern>>,
    holder_approval: HolderApproval,
    own_lease: OwnLease,
}

/// Whether a holder of the lease may be the second person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum HolderApproval {
    #[default]
    Allow,
    Deny,
}

/// What is asked of those who hold the lease themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OwnLease {
    /// The same as of all.
    #[default]
    Judge,
    /// Nothing.
    Allow,
}

impl Duty {
    pub(crate) fn judge(
        &self,
        request: &Request,
        principal: &Principal,
        lock: Option<&LockView>,
    ) -> Verdict {
        let operation = request.operation.as_str();
        let is_own = || holders::all_are(&principal.subject, request, lock);
        if self.own_lease == OwnLease::Allow && is_own() {
            return Verdict::allow();
        }
        if !self.admits(principal) {
            let message = format!("{} may not {operation} here", principal.subject);
            return Verdict::deny("not-entitled", message);
        }
        let reason = request.reason.as_deref().unwrap_or_default().trim();
        if self.require_reason && reason.is_empty() {
            return Verdict::deny("reason-missing", format!("{operation} needs a reason"));
        }
        if let Some(ticket) = &self.ticket
            && !has_ticket(request, ticket, reason)
        {
            let message = format!(
                "{operation} needs a ticket like {}, in the label `ticket` or in the reason",
                ticket.as_str()
            );
            return Verdict::deny("ticket-missing", message);
        }
        self.judge_approval(request, principal, lock)
    }

    /// Whether its patterns can be.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.ticket.iter().try_for_each(TextPattern::check)?;
        let mut approvers = self.approvers.iter().flatten();
        approvers.try_for_each(NamePattern::check)
    }

    /// Named by nobody, the duty is everybody's whom the gateway itself lets.
    fn admits(&self, principal: &Principal) -> bool {
        let anybody = self.teams.is_empty() && self.roles.is_empty() && self.subjects.is_empty();
        let team = principal.team.as_ref();
        anybody
            || team.is_some_and(|team| self.teams.contains(team))
            || self.roles.iter().any(|role| principal.has_role(role))
            || self.subjects.contains(&principal.subject)
    }

    fn judge_approval(
        &self,
        request: &Request,
        principal: &Principal,
        lock: Option<&LockView>,
    ) -> Verdict {
        let approver = request.labels.get("approved_by");
        let approver = approver.map(str::trim).unwrap_or_default();
        let operation = request.operation.as_str();
        if approver.is_empty() {
            if self.require_approval {
                let message = format!("{operation} needs a second person, in `approved_by`");
                return Verdict::deny("approval-missing", message);
            }
            return Verdict::allow();
        }
        let successor = request.successor.as_deref();
        if same(approver, &principal.subject) || successor.is_some_and(|name| same(approver, name))
        {
            let message = format!("{approver} may not approve a {operation} of their own");
            return Verdict::deny("own-approval", message);
        }
        let mut held_by = holders::of(request, lock);
        if self.holder_approval == HolderApproval::Deny
            && held_by.any(|holder| same(approver, &holder.subject))
        {
            let message = format!("{approver} holds the lease and may not approve its {operation}");
            return Verdict::deny("holder-approval", message);
        }
        let mut approvers = self.approvers.iter().flatten();
        if self.approvers.is_some() && !approvers.any(|pattern| pattern.matches(approver)) {
            let message = format!("{approver} may not approve a {operation} here");
            return Verdict::deny("not-approver", message);
        }
        Verdict::allow()
    }
}

fn has_ticket(request: &Request, ticket: &TextPattern, reason: &str) -> bool {
    let labelled = request
        .labels
        .get("ticket")
        .is_some_and(|label| ticket.matches(label));
    labelled || ticket.find(reason).is_some()
}

/// A label is typed by hand: another case is not another person.
fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

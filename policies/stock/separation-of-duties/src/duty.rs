//! What one operation asks of those who do it.

use leasehold_policy_sdk::Principal;
use leasehold_policy_sdk::Request;
use leasehold_policy_sdk::TextPattern;
use leasehold_policy_sdk::Verdict;
use serde::Deserialize;

/// Who may, and what they must say; see `schema.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Duty {
    pub(crate) teams: Vec<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) subjects: Vec<String>,
    pub(crate) require_reason: bool,
    pub(crate) ticket: Option<TextPattern>,
    pub(crate) require_approval: bool,
}

impl Duty {
    pub(crate) fn judge(&self, request: &Request, principal: &Principal) -> Verdict {
        let operation = request.operation.as_str();
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
        self.judge_approval(request, principal)
    }

    /// Named by nobody, the duty is everybody's whom the gateway itself lets.
    fn admits(&self, principal: &Principal) -> bool {
        let anybody = self.teams.is_empty() && self.roles.is_empty() && self.subjects.is_empty();
        anybody
            || principal
                .team
                .as_ref()
                .is_some_and(|team| self.teams.contains(team))
            || self.roles.iter().any(|role| principal.has_role(role))
            || self.subjects.contains(&principal.subject)
    }

    fn judge_approval(&self, request: &Request, principal: &Principal) -> Verdict {
        let approver = request
            .labels
            .get("approved_by")
            .map(str::trim)
            .unwrap_or_default();
        let operation = request.operation.as_str();
        if approver.is_empty() {
            if self.require_approval {
                let message = format!("{operation} needs a second person, in `approved_by`");
                return Verdict::deny("approval-missing", message);
            }
            return Verdict::allow();
        }
        let own = same(approver, &principal.subject)
            || request
                .successor
                .as_ref()
                .is_some_and(|successor| same(approver, successor));
        if own {
            let message = format!("{approver} may not approve a {operation} of their own");
            return Verdict::deny("own-approval", message);
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

//! What needs a role.

use leasehold_domain::Principal;
use leasehold_domain::Role;

/// Something that only principals with certain roles may do, whatever the policies say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// See and use namespaces of other teams.
    SeeEveryNamespace,
    /// End leases of others.
    RevokeLeases,
    /// Set the settings of locks in namespaces of other teams.
    DeclareLocks,
    /// Create, change, move and delete namespaces.
    ChangeNamespaces,
    /// Read what namespaces were set to before, and who changed them.
    ReadNamespaceHistory,
    /// Make, list and revoke API keys.
    AdministerKeys,
    /// Push policies, deprecate and withdraw versions, and delete those that nothing needs.
    ChangePolicies,
    /// Kill versions: they fail wherever they would judge.
    KillPolicies,
    /// Take back that a version was deprecated, withdrawn or killed.
    RestorePolicies,
    /// See which keys are trusted to sign policies.
    ReadPolicyTrust,
    /// Trust and revoke keys that sign policies, and say how many signatures a version needs.
    ChangePolicyTrust,
    /// Read bindings, with the configuration of the policies.
    ReadBindings,
    /// Read what bindings said before, and who changed them.
    ReadBindingHistory,
    /// See what a change of a binding would touch.
    PreviewBindings,
    /// Bind and unbind policies.
    ChangeBindings,
    /// See rollouts, and how their versions differ.
    ReadRollouts,
    /// Approve changes of others.
    Approve,
    /// See what waits for approval, and who could approve.
    ReadApprovals,
    /// See what was done alone and is to be looked at.
    ReadReviews,
    /// Say what one found of what somebody else did alone.
    CloseReviews,
    /// Roll a rollout back, or hold it.
    RollBack,
    /// Replay recorded decisions.
    ReplayDecisions,
    /// Ask the ledger.
    ReadLedger,
    /// Read when stores granted nothing.
    ReadIncidents,
    /// End safe mode where that needs an operator.
    AcknowledgeIncidents,
    /// See and change the members of the cluster.
    SteerCluster,
    /// Take a backup, which holds the secrets of leases.
    TakeBackups,
}

impl Permission {
    /// The roles of which it needs one.
    #[must_use]
    pub fn roles(self) -> &'static [Role] {
        match self {
            Self::SeeEveryNamespace | Self::ReadIncidents => {
                &[Role::Operator, Role::Auditor, Role::Administrator]
            }
            Self::RevokeLeases | Self::DeclareLocks | Self::AcknowledgeIncidents => {
                &[Role::Operator, Role::Administrator]
            }
            Self::ChangePolicies | Self::ReadBindings => &[Role::PolicyAuthor, Role::Administrator],
            Self::ReadPolicyTrust => &[Role::PolicyAuthor, Role::Auditor, Role::Administrator],
            Self::ReadRollouts => &[Role::PolicyAuthor, Role::Operator, Role::Administrator],
            Self::ReplayDecisions | Self::ReadBindingHistory => {
                &[Role::PolicyAuthor, Role::Auditor, Role::Administrator]
            }
            Self::PreviewBindings => &[Role::Auditor, Role::Administrator],
            Self::Approve => &[Role::Approver],
            Self::CloseReviews => &[Role::Approver, Role::Auditor, Role::Administrator],
            Self::ReadReviews => &[
                Role::Approver,
                Role::Operator,
                Role::Auditor,
                Role::Administrator,
            ],
            Self::ReadApprovals => &[
                Role::Approver,
                Role::PolicyAuthor,
                Role::Operator,
                Role::Auditor,
                Role::Administrator,
            ],
            Self::RollBack | Self::KillPolicies => &[Role::Operator, Role::Administrator],
            Self::ReadLedger | Self::ReadNamespaceHistory => &[Role::Auditor, Role::Administrator],
            Self::ChangeNamespaces
            | Self::RestorePolicies
            | Self::ChangePolicyTrust
            | Self::AdministerKeys
            | Self::ChangeBindings
            | Self::SteerCluster
            | Self::TakeBackups => &[Role::Administrator],
        }
    }

    /// Whether a principal has one of them.
    #[must_use]
    pub fn is_open_to(self, principal: &Principal) -> bool {
        self.roles().iter().any(|role| principal.roles.has(*role))
    }
}

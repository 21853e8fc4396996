//! Who writes to a store besides this gateway, as administrators see and change it.

use std::sync::Arc;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Cluster;
use leasehold_backend_api::ClusterView;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::MemberView;
use leasehold_backend_api::Steering;

use crate::gateways::GatewayView;
use crate::gateways::GatewaysView;
use crate::gateways::SharedGateways;

/// What a gateway is called that has its store for itself.
const THIS: &str = "this";

/// Who writes to a store.
#[derive(Debug, Clone, Default)]
pub enum StoreMembers {
    /// This process only: the store ends with it.
    #[default]
    Process,
    /// The members of a replicated log.
    Group(Arc<dyn Cluster>),
    /// Gateways that share a store of others.
    Gateways(Arc<SharedGateways>),
}

/// The same, as of now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembersView {
    /// The members of a replicated log.
    Group(ClusterView),
    /// Gateways that share a store of others.
    Gateways(GatewaysView),
}

/// A change that an administrator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembersChange {
    /// Of a replicated log; [`Steering::RaiseLevel`] of a shared store, too.
    Steer(Steering),
    /// A gateway that shared the store does not come back.
    ForgetGateway {
        /// Its id.
        id: String,
    },
}

/// Who shares a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// The id of this gateway.
    pub me: String,
    /// The ids of all, this one included, each with what it is called.
    pub all: Vec<(String, String)>,
}

impl StoreMembers {
    /// Returns the gateways that share the store, those included that do not run now.
    ///
    /// # Errors
    /// A shared store cannot be read.
    pub async fn roster(&self) -> Result<Roster, BackendError> {
        let (me, mut all) = match self {
            Self::Process => (THIS.to_owned(), Vec::new()),
            Self::Group(group) => {
                let view = group.cluster();
                let member = |member: &MemberView| {
                    let name = format!("member {} at {}", member.node, member.address);
                    (member.node.to_string(), name)
                };
                (
                    view.node.to_string(),
                    view.members.iter().map(member).collect(),
                )
            }
            Self::Gateways(gateways) => {
                let view = gateways.view().await?;
                let gateway =
                    |gateway: &GatewayView| (gateway.id.to_string(), gateway.document.name.clone());
                let all = view.gateways.iter().map(gateway).collect();
                (gateways.id().to_string(), all)
            }
        };
        if !all.iter().any(|(id, _): &(String, String)| *id == me) {
            all.push((me.clone(), THIS.to_owned()));
        }
        Ok(Roster { me, all })
    }

    /// Returns the members as this gateway sees them.
    ///
    /// # Errors
    /// `Invalid`: the store has none. A shared store cannot be read.
    pub async fn view(&self) -> Result<MembersView, BackendError> {
        match self {
            Self::Process => Err(none()),
            Self::Group(group) => Ok(MembersView::Group(group.cluster())),
            Self::Gateways(gateways) => gateways.view().await.map(MembersView::Gateways),
        }
    }

    /// Makes a change.
    ///
    /// # Errors
    /// `Invalid`: a store of this kind, or in this state, does not allow it. The store cannot be read
    /// or written.
    pub async fn change(&self, asked: MembersChange) -> Result<MembersView, BackendError> {
        match (self, asked) {
            (Self::Process, _) => Err(none()),
            (Self::Group(group), MembersChange::Steer(asked)) => {
                group.steer(asked).await.map(MembersView::Group)
            }
            (Self::Group(_), MembersChange::ForgetGateway { .. }) => Err(invalid(
                "members of the embedded store leave by `leasehold cluster leave`",
            )),
            (Self::Gateways(gateways), MembersChange::Steer(Steering::RaiseLevel { to })) => {
                gateways.raise_level(to).await.map(MembersView::Gateways)
            }
            (Self::Gateways(_), MembersChange::Steer(_)) => Err(invalid(
                "the store is not the embedded one: gateways that share it join by starting, and \
                 `leasehold cluster forget-gateway` removes one that does not come back",
            )),
            (Self::Gateways(gateways), MembersChange::ForgetGateway { id }) => {
                gateways.forget(&id).await.map(MembersView::Gateways)
            }
        }
    }
}

fn none() -> BackendError {
    invalid("the store is kept in the memory of this gateway: it has no members")
}

fn invalid(detail: &str) -> BackendError {
    BackendError::without_effect(ErrorKind::Invalid, detail)
}

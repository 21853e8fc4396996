//! All peers of a node, as it calls them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::sync::watch;

use super::Acknowledged;
use super::CallError;
use super::Request;
use super::Response;
use super::link::Link;
use super::link::Route;
use super::memory::Memory;
use super::security::Security;
use super::standing::Standing;
use crate::identity::Identity;

/// How long a node that starts waits for the answers of its peers.
const ASK_WITHIN: Duration = Duration::from_secs(1);

/// A way to ask other nodes: over links, or over a simulated network.
#[async_trait]
pub(crate) trait Calls: fmt::Debug + Send + Sync + 'static {
    /// Asks `node`, which should be at `address`; or whoever is there.
    async fn call(
        &self,
        node: Option<u64>,
        address: &str,
        request: &Request,
        within: Duration,
    ) -> Result<Response, CallError>;
}

/// The links to all peers; made when they are needed.
pub(crate) struct Peers {
    identity: Arc<Identity>,
    security: Security,
    links: Mutex<HashMap<(Option<u64>, String), Link>>,
    silent: watch::Sender<bool>,
    memory: Memory,
    standing: watch::Sender<Standing>,
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers")
            .field("identity", &self.identity)
            .field("security", &self.security)
            .finish_non_exhaustive()
    }
}

impl Peers {
    pub(crate) fn new(identity: Arc<Identity>, security: Security, memory: Memory) -> Self {
        Self {
            identity,
            security,
            links: Mutex::default(),
            silent: watch::Sender::new(false),
            memory,
            standing: watch::Sender::new(Standing::Asks),
        }
    }

    /// Who this node is.
    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// What the others have acknowledged to this node.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether this node may take part.
    pub(crate) fn standing(&self) -> &watch::Sender<Standing> {
        &self.standing
    }

    pub(crate) fn security(&self) -> &Security {
        &self.security
    }

    /// True while the node must talk to nobody.
    pub(crate) fn silent(&self) -> watch::Receiver<bool> {
        self.silent.subscribe()
    }

    /// Cuts the node off from all others, or heals the cut.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.silent.send_replace(silent);
    }

    /// Asks `node`, which should be at `address`; or whoever is there.
    pub(crate) async fn call(
        &self,
        node: Option<u64>,
        address: &str,
        request: &Request,
        within: Duration,
    ) -> Result<Response, CallError> {
        let link = self.link(node, address);
        link.call(request, within).await
    }

    /// Asks the members what they remember of this node, and compares it with what its folder has.
    pub(crate) async fn ask_standing(&self, members: Vec<(u64, String)>, has: Acknowledged) {
        let me = self.identity.node();
        let others = members.into_iter().filter(|(node, _)| *node != me);
        let asking = others.map(|(node, address)| async move {
            let answer = self.call(Some(node), &address, &Request::Recall, ASK_WITHIN);
            match answer.await {
                Ok(Response::Recalled(remembered)) => {
                    remembered.map(|remembered| (node, remembered))
                }
                // A build that does not remember, or a member that is away.
                Ok(_) | Err(_) => None,
            }
        });
        let remembered = join_all(asking).await.into_iter().flatten();
        let standing = Standing::of(me, has, remembered);
        if let Standing::Outdated(problem) = &standing {
            tracing::error!(problem, "cluster.folder is an older copy");
        }
        self.standing.send_replace(standing);
    }

    fn link(&self, node: Option<u64>, address: &str) -> Link {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let link = links.entry((node, address.to_owned()));
        let route = || Route {
            identity: self.identity.clone(),
            security: self.security.clone(),
            node,
            address: address.to_owned(),
            silent: self.silent.subscribe(),
        };
        link.or_insert_with(|| Link::new(route())).clone()
    }
}

#[async_trait]
impl Calls for Peers {
    async fn call(
        &self,
        node: Option<u64>,
        address: &str,
        request: &Request,
        within: Duration,
    ) -> Result<Response, CallError> {
        Self::call(self, node, address, request, within).await
    }
}

//! Raising the group's feature level.

use std::collections::BTreeSet;
use std::time::Duration;

use leasehold_domain::FeatureLevel;

use super::Changed;
use super::Steward;
use super::invalid;
use crate::batcher::Hurry;
use crate::entry::Answer;
use crate::entry::Item;
use crate::error;
use crate::peer::Peers;
use crate::peer::Request;
use crate::peer::Response;

/// How long a member may take to say what it knows.
const SPEAK_WITHIN: Duration = Duration::from_secs(2);

impl Steward {
    /// Raises the level, if all members speak it.
    pub(super) async fn raise_level(
        &self,
        peers: Option<&Peers>,
        to: Option<FeatureLevel>,
    ) -> Changed<()> {
        let to = to.unwrap_or(self.levels.most);
        if self.levels.admit(to).is_err() {
            return Err(invalid(format!(
                "the leader's build knows feature levels {} to {}, not {to}",
                self.levels.least, self.levels.most
            )));
        }
        // Looked at first, so that what will be refused is no entry.
        let (level, mut behind) = {
            let inner = self.applied.read();
            (inner.state.level(), inner.behind(to))
        };
        if to < level {
            return Err(invalid(format!(
                "the feature level is {level}: it never falls"
            )));
        }
        if let Some(peers) = peers {
            behind.extend(self.behind_now(peers, to).await);
        }
        if behind.is_empty() && to > level {
            let raise = self.queue.propose(Item::RaiseLevel { to }, Hurry::Now);
            return match raise.await? {
                Answer::Level { behind, .. } => spoken(to, &behind),
                _ => Err(error::misfit()),
            };
        }
        spoken(to, &behind)
    }

    /// Members that say now that they do not know a level: one that was started with another build a
    /// moment ago may not have had it written down. For those that do not answer, what is written
    /// counts.
    async fn behind_now(&self, peers: &Peers, level: FeatureLevel) -> Vec<u64> {
        let me = *self.raft.node_id();
        let others = self.members().into_iter();
        let others: Vec<_> = others.filter(|member| member.node != me).collect();
        let asked = others.iter().map(|member| {
            let address = &member.address;
            peers.call(Some(member.node), address, &Request::Speaks, SPEAK_WITHIN)
        });
        let answers = futures_util::future::join_all(asked).await;
        let answers = others.iter().zip(answers);
        let behind = answers.filter(
            |(_, answer)| matches!(answer, Ok(Response::Speaks(speaks)) if *speaks < level),
        );
        behind.map(|(member, _)| member.node).collect()
    }
}

/// Refuses a level that some members do not speak.
fn spoken(level: FeatureLevel, behind: &[u64]) -> Changed<()> {
    if behind.is_empty() {
        return Ok(());
    }
    let behind: BTreeSet<u64> = behind.iter().copied().collect();
    let behind: Vec<String> = behind.iter().map(u64::to_string).collect();
    Err(invalid(format!(
        "not all members speak feature level {level}: start a build that does on {}",
        behind.join(", ")
    )))
}

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

/// Time limit for a member's answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

impl Steward {
    /// Raises the level, if all members support it.
    pub(super) async fn raise_level(
        &self,
        peers: Option<&Peers>,
        to: Option<FeatureLevel>,
    ) -> Changed<()> {
        let to = to.unwrap_or(self.levels.max);
        if self.levels.admit(to).is_err() {
            return Err(invalid(format!(
                "the leader's build supports feature levels {} to {}, not {to}",
                self.levels.min, self.levels.max
            )));
        }
        // Checked before it is proposed, so that a raise that will be refused makes no log entry.
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
                Answer::Level { behind, .. } => supported_by_all(to, &behind),
                _ => Err(error::misfit()),
            };
        }
        supported_by_all(to, &behind)
    }

    /// Asks the other members which of them do not support a level: one that was restarted with an
    /// older build may not have reported it yet. For members that do not answer, the reported level
    /// counts.
    async fn behind_now(&self, peers: &Peers, level: FeatureLevel) -> Vec<u64> {
        let me = *self.raft.node_id();
        let others = self.members().into_iter();
        let others: Vec<_> = others.filter(|member| member.node != me).collect();
        let asked = others.iter().map(|member| {
            let address = &member.address;
            peers.call(
                Some(member.node),
                address,
                &Request::SupportedLevel,
                ANSWER_WITHIN,
            )
        });
        let answers = futures_util::future::join_all(asked).await;
        let answers = others.iter().zip(answers);
        let behind = answers.filter(
            |(_, answer)| matches!(answer, Ok(Response::SupportedLevel(supported)) if *supported < level),
        );
        behind.map(|(member, _)| member.node).collect()
    }
}

/// Refuses a level that some members do not support.
fn supported_by_all(level: FeatureLevel, behind: &[u64]) -> Changed<()> {
    if behind.is_empty() {
        return Ok(());
    }
    let behind: BTreeSet<u64> = behind.iter().copied().collect();
    let behind: Vec<String> = behind.iter().map(u64::to_string).collect();
    Err(invalid(format!(
        "feature level {level} is not supported by members {}: start a newer build there",
        behind.join(", ")
    )))
}

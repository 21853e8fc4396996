//! openraft's state machine: applies proposals to the lock machine. Reads no clock.

use std::io;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::StreamExt;
use leasehold_backend_api::Levels;
use leasehold_backend_api::UnsupportedLevel;
use leasehold_domain::FeatureLevel;
use leasehold_domain::limits::TOKENS_PER_WRITE;
use leasehold_machine::Moment;
use leasehold_machine::PlantedBug;
use openraft::BasicNode;
use openraft::EntryPayload;
use openraft::alias::SnapshotMetaOf;
use openraft::alias::SnapshotOf;
use openraft::storage::EntryResponder;
use openraft::storage::RaftStateMachine;

use crate::entry::Answer;
use crate::entry::Item;
use crate::entry::LogId;
use crate::entry::Membership;
use crate::entry::Proposal;
use crate::entry::Types;
use crate::outbox::Applied;
use crate::outbox::Inner;
use crate::snapshot::SnapshotBuilder;
use crate::snapshot::SnapshotBytes;
use crate::snapshot::Snapshots;

/// Locks that one tick may end or grant, so that no entry is long.
const LOCKS_PER_TICK_MAX: usize = 512;

/// The state machine of one node.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) applied: Arc<Applied>,
    pub(crate) snapshots: Arc<dyn Snapshots>,
    pub(crate) levels: Levels,
}

impl Inner {
    /// Applies one proposal. `index` is its place in the log.
    ///
    /// # Errors
    /// It raises the level above those that the build supports: no later entry can be applied.
    pub(crate) fn carry_out(
        &mut self,
        index: u64,
        proposal: &Proposal,
        levels: Levels,
    ) -> Result<Vec<Answer>, UnsupportedLevel> {
        let at = Moment {
            level: proposal.level,
            now: proposal.now,
            wall: proposal.wall,
            token_floor: match PlantedBug::TokenReset.is_planted() {
                true => 0,
                false => index.saturating_mul(TOKENS_PER_WRITE),
            },
        };
        let mut answers = Vec::with_capacity(proposal.items.len());
        let weight: usize = proposal.items.iter().map(Item::weight).sum();
        self.writes.record(weight as u64);
        for item in &proposal.items {
            let (answer, events) = match item {
                Item::Batch {
                    commands,
                    atomicity,
                    notes,
                } => {
                    let applied = self.state.execute(commands, *atomicity, notes, at);
                    (Answer::Outcomes(applied.outcomes), applied.events)
                }
                Item::Edits(edits) => {
                    let (outcome, events) = self.state.edit(edits, at);
                    (Answer::Edited(outcome), events)
                }
                Item::RegisterBlob { digest } => {
                    self.register_blob(*digest);
                    (Answer::BlobRegistered, Vec::new())
                }
                Item::Tick => (Answer::Ticked, self.state.tick(at, LOCKS_PER_TICK_MAX)),
                Item::SupportedLevel { node, level } => {
                    (self.report_level(*node, *level), Vec::new())
                }
                Item::RaiseLevel { to } => (self.raise_level(*to, levels)?, Vec::new()),
            };
            answers.push(answer);
            self.keep(events);
        }
        Ok(answers)
    }
}

impl Inner {
    /// Returns the highest level that a member supports; the first if it has not reported one.
    pub(crate) fn supported_level(&self, node: u64) -> FeatureLevel {
        self.supported_levels
            .get(&node)
            .copied()
            .unwrap_or_default()
    }

    fn report_level(&mut self, node: u64, level: FeatureLevel) -> Answer {
        self.supported_levels.insert(node, level);
        Answer::Level {
            level: self.state.level(),
            behind: Vec::new(),
        }
    }

    /// Returns the members that do not support a level.
    pub(crate) fn behind(&self, level: FeatureLevel) -> Vec<u64> {
        let members = self.membership.nodes().map(|(node, _)| *node);
        members
            .filter(|node| self.supported_level(*node) < level)
            .collect()
    }

    /// Raises the level, if all members support it. A build that does not support it computes the same
    /// refusal as the others, and stops if the level is raised.
    fn raise_level(
        &mut self,
        to: FeatureLevel,
        levels: Levels,
    ) -> Result<Answer, UnsupportedLevel> {
        let behind = self.behind(to);
        if behind.is_empty() && to > self.state.level() {
            levels.admit(to)?;
            self.state.raise_level(to);
        }
        Ok(Answer::Level {
            level: self.state.level(),
            behind,
        })
    }

    /// Replaces the members, and forgets the levels of those that left.
    pub(crate) fn change_members(
        &mut self,
        at: LogId,
        members: openraft::Membership<u64, BasicNode>,
    ) {
        self.supported_levels
            .retain(|node, _| members.get_node(node).is_some());
        self.membership = Membership::new(Some(at), members);
    }
}

impl<C: Types> RaftStateMachine<C> for Machine {
    type SnapshotData = SnapshotBytes;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), io::Error> {
        let inner = self.applied.read();
        Ok((inner.last_applied, inner.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<C>, io::Error>> + Unpin + Send,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let (answers, reached) = {
                let mut inner = self.applied.write();
                inner.last_applied = Some(entry.log_id);
                let answers = match &entry.payload {
                    EntryPayload::Blank => Vec::new(),
                    EntryPayload::Normal(payload) => {
                        let index = entry.log_id.index;
                        let answers = inner.carry_out(index, &payload.0, self.levels);
                        answers.map_err(io::Error::other)?
                    }
                    EntryPayload::Membership(members) => {
                        inner.change_members(entry.log_id, members.clone());
                        Vec::new()
                    }
                };
                (answers, inner.reached())
            };
            self.applied.advance(entry.log_id.index);
            if let Some(responder) = responder {
                responder.send(answers);
            }
            self.applied.tell(reached);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder {
            applied: self.applied.clone(),
            snapshots: self.snapshots.clone(),
        }
    }

    async fn install_snapshot(
        &mut self,
        _: &SnapshotMetaOf<C>,
        snapshot: SnapshotBytes,
    ) -> Result<(), io::Error> {
        let inner = self.snapshots.install(snapshot).await?;
        self.applied.replace(inner);
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<SnapshotOf<C, SnapshotBytes>>, io::Error> {
        self.snapshots.current().await
    }
}

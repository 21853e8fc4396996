//! The simulated runtime: openraft's type parameters on it, and a node's clock.

use std::time::Duration;

use leasehold_domain::Clock;
use leasehold_domain::WallMillis;
use openraft::BasicNode;
use openraft::alias::WriteResponderOf;
use openraft::async_runtime::Instant;
use openraft::impls::ProgressResponder;
use openraft_rt_sim::SimInstant;
use openraft_rt_sim::SimRuntime;

use crate::entry::Answer;
use crate::entry::Answering;
use crate::entry::Payload;
use crate::entry::Types;

openraft::declare_raft_types!(
    /// The same types as the real ones, on a simulated runtime.
    pub(crate) SimTypes:
        D = Payload,
        R = Vec<Answer>,
        NodeId = u64,
        Node = BasicNode,
        AsyncRuntime = SimRuntime,
);

impl Types for SimTypes {
    fn responder() -> (WriteResponderOf<Self>, Answering<Self>) {
        ProgressResponder::complete_only()
    }
}

/// Virtual time since the simulation began.
pub(crate) fn now() -> Duration {
    SimInstant::now().elapsed_since_start()
}

/// One node's clock. Its monotonic time begins at some instant of its own. Its wall time is the
/// simulation's, so that the events tell when they truly happened; nothing else may look at it.
#[derive(Debug)]
pub(crate) struct SimClock {
    pub(crate) origin: Duration,
}

impl Clock for SimClock {
    fn monotonic(&self) -> Duration {
        now() + self.origin
    }

    fn wall(&self) -> WallMillis {
        WallMillis(u64::try_from(now().as_millis()).unwrap_or(u64::MAX))
    }
}

//! Who a node is: its number, and the group that it belongs to for ever.

use std::fmt;
use std::sync::PoisonError;
use std::sync::RwLock;

use leasehold_domain::StoreId;
use leasehold_stored::Formed;
use leasehold_stored::Invalid;

/// Node numbers of those who join are drawn below this, so that JSON numbers keep them and people
/// can read them out.
const NODE_NUMBERS: u64 = 1 << 40;
/// Who founds a group has this number; a group has one founder.
pub(crate) const FOUNDER: u64 = 1;

/// A group's own random name. Two groups never share one, whatever their configurations say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupId([u8; 16]);

impl GroupId {
    pub(crate) fn draw() -> Self {
        Self(rand::random())
    }

    /// The identity of the group's history.
    pub(crate) fn store(self) -> StoreId {
        StoreId::from_bytes(self.0)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupId({self})")
    }
}

impl<'a> Formed<'a> for GroupId {
    type Form = [u8; 16];

    fn form(&'a self) -> [u8; 16] {
        self.0
    }

    fn restore(form: [u8; 16]) -> Result<Self, Invalid> {
        Ok(Self(form))
    }
}

/// Draws the number of a node that will join a group. A wiped folder gets another number than it
/// had, so that a node that has forgotten its votes is never taken for the one that cast them.
pub(crate) fn draw_node() -> u64 {
    rand::random_range(FOUNDER + 1..NODE_NUMBERS)
}

/// Who this node is.
#[derive(Debug)]
pub(crate) struct Identity {
    node: u64,
    /// None until a waiting node is taken into a group.
    group: RwLock<Option<GroupId>>,
}

impl Identity {
    pub(crate) fn new(node: u64, group: Option<GroupId>) -> Self {
        let group = RwLock::new(group);
        Self { node, group }
    }

    pub(crate) fn node(&self) -> u64 {
        self.node
    }

    pub(crate) fn group(&self) -> Option<GroupId> {
        *self.group.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node belongs to `group` now. It must be stored before.
    pub(crate) fn belong(&self, group: GroupId) {
        *self.group.write().unwrap_or_else(PoisonError::into_inner) = Some(group);
    }
}

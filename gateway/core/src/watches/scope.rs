//! What a watch follows.

use leasehold_domain::LockName;
use leasehold_domain::LockRef;
use leasehold_domain::NamespaceName;

/// What a watch follows.
#[derive(Debug, Clone)]
pub enum WatchScope {
    /// One lock.
    Lock(LockRef),
    /// All locks of a namespace whose names begin with the prefix.
    Prefix(NamespaceName, String),
}

impl WatchScope {
    pub(super) fn covers(&self, namespace: &NamespaceName, lock: &LockName) -> bool {
        match self {
            Self::Lock(one) => one.namespace == *namespace && one.lock == *lock,
            Self::Prefix(of, prefix) => of == namespace && lock.as_str().starts_with(prefix),
        }
    }

    /// The namespace that is watched.
    pub fn namespace(&self) -> &NamespaceName {
        match self {
            Self::Lock(lock) => &lock.namespace,
            Self::Prefix(namespace, _) => namespace,
        }
    }
}

//! How the stores of these tests reach the members that they stand on.

use leasehold_backend_etcd::EtcdConfig;
pub(crate) use leasehold_test_servers::Etcd;

/// How to reach a new, empty store.
pub(crate) fn config(members: &Etcd) -> EtcdConfig {
    EtcdConfig {
        prefix: members.prefix(),
        ..EtcdConfig::new(members.endpoints())
    }
}

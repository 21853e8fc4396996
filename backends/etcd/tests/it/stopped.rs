//! A background task of the store that panics.

use leasehold_backend_etcd::EtcdBackend;
use leasehold_conformance::stopped;

use crate::server::Etcd;
use crate::server::config;

#[test]
fn a_store_whose_background_task_panics_stops_and_says_so() {
    leasehold_conformance::run(async {
        let server = Etcd::start(1).await;
        let config = config(&server);
        let open = async |clock| {
            let opened = EtcdBackend::open(config.clone(), clock).await;
            opened.expect("it opens")
        };
        stopped::a_store_whose_background_task_panics_stops_and_says_so(open).await;
    });
}

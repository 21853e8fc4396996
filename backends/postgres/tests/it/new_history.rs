//! An operator starts a new history of the store in a database.

use leasehold_conformance::new_history;

use crate::sharing::Gateways;

#[test]
fn a_gateway_that_was_left_running_is_fenced() {
    leasehold_conformance::run(async {
        let gateways = Gateways::start(2).await;
        let both = (&*gateways.each[0] as _, &*gateways.each[1]);
        let reopen = async || gateways.open(1).await;
        new_history::a_new_history_fences_who_had_the_old_one(both, reopen).await;
    });
}

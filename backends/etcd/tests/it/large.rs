//! Batches that hardly fit into a transaction, and one that does not.

use std::sync::Arc;

use futures_util::future::join_all;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Effect;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::Atomicity;
use leasehold_domain::Cursor;
use leasehold_domain::Outcome;

use crate::asking::acquire;
use crate::asking::command;
use crate::sharing::Gateways;

/// A batch of a thousand locks is one point in time, also for the other gateway; one that no
/// transaction can hold is refused, and nothing of it happens.
#[test]
fn a_large_batch_is_whole_and_a_huge_one_is_refused() {
    leasehold_conformance::run(async {
        let gateways = Gateways::start(2).await;
        let commands = |who: &str, bytes: usize| {
            let each = (0..1_000).map(|n| {
                let mut command = command(who, &format!("l-{n}"), acquire(60_000));
                if let Some(cause) = command.cause.as_mut().map(Arc::make_mut) {
                    let value = (0..bytes / 16).map(|_| format!("{:016x}", rand_like(n)));
                    cause.request.value = Some(value.collect::<String>().into());
                }
                command
            });
            Batch {
                commands: each.collect(),
                atomicity: Atomicity::AllOrNothing,
                notes: Vec::new(),
            }
        };
        let huge = gateways.each[0].execute(commands("eve", 4_096)).await;
        let failure = huge.expect_err("it is too large");
        assert_eq!(
            (failure.kind, failure.effect),
            (ErrorKind::Invalid, Effect::None)
        );
        let both = gateways
            .each
            .iter()
            .zip(["ann", "bob"])
            .map(|(gateway, who)| {
                let batch = commands(who, 0);
                async move { gateway.execute(batch).await.expect("an answer") }
            });
        let outcomes = join_all(both).await;
        let granted = |outcomes: &Vec<Outcome>| {
            outcomes
                .iter()
                .filter(|o| matches!(o, Outcome::Granted(_)))
                .count()
        };
        let mut counts: Vec<usize> = outcomes.iter().map(granted).collect();
        counts.sort_unstable();
        assert_eq!(counts, [0, 1_000]);
        assert_eq!(gateways.each[0].health().await.newest, Cursor(1_000));
    });
}

/// Bytes that do not pack.
fn rand_like(n: u64) -> u64 {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;
    static STATE: AtomicU64 = AtomicU64::new(0x9e37_79b9_7f4a_7c15);
    let mut x = STATE.fetch_add(n | 1, Ordering::Relaxed);
    x ^= x << 13;
    x ^= x >> 7;
    x.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

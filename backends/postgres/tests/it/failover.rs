//! A standby takes over, and the old primary comes back believing that nothing has happened.

use std::sync::Arc;

use leasehold_backend_api::Backend;
use leasehold_backend_api::Effect;
use leasehold_backend_postgres::OpenError;
use leasehold_backend_postgres::PostgresBackend;
use leasehold_backend_postgres::PostgresConfig;
use leasehold_domain::Outcome;
use leasehold_domain::SystemClock;
use leasehold_test_servers::Forwarder;
use leasehold_test_servers::Postgres;
use leasehold_test_servers::until;

use crate::asking::acquire;
use crate::asking::ask;
use crate::asking::command;
use crate::asking::insist;
use crate::asking::take;
use crate::asking::view;

async fn open(config: PostgresConfig) -> Result<Arc<PostgresBackend>, OpenError> {
    PostgresBackend::open(config, Arc::new(SystemClock::new())).await
}

/// A gateway that knows both servers goes to the new primary, with all that was granted and
/// greater tokens; and stays there when the old one is back.
#[test]
fn the_newest_timeline_is_followed() {
    leasehold_conformance::run(async {
        let old = Postgres::start().await;
        let new = old.standby().await;
        old.wait_for_standby(true).await;
        let url = format!(
            "postgresql://postgres@127.0.0.1:{},127.0.0.1:{}/postgres",
            old.port(),
            new.port()
        );
        let store = open(PostgresConfig::new(url)).await.expect("it opens");
        let kept = command("ann", "kept", acquire(600_000));
        let Ok(Outcome::Granted(before)) = ask(&store, kept.clone()).await else {
            panic!("not granted");
        };

        old.kill();
        new.promote().await;
        // Until the new primary has a standby of its own it may not be used.
        let refused = ask(&store, command("ann", "early", acquire(600_000))).await;
        assert!(refused.is_err(), "{refused:?}");
        let _third = new.standby().await;
        new.wait_for_standby(true).await;
        let Outcome::Granted(again) = insist(&store, &kept).await else {
            panic!("the grant was lost");
        };
        assert_eq!(
            (again.lease_id, again.token),
            (before.lease_id, before.token)
        );
        let after = take(&store, "ann", "after", 600_000).await;
        assert!(after.token.0 > before.token.0 + (1 << 30), "tokens jump");

        old.begin().await;
        // It waits for a standby that follows another server now.
        let refused = open(PostgresConfig::new(old.url("postgres"))).await;
        assert!(
            matches!(refused, Err(OpenError::Unreplicated(_))),
            "{refused:?}"
        );
        assert_eq!(view(&store, "after").await.holders[0].token, after.token);
        let health = store.health().await;
        assert!(health.detail.contains("timeline 2"), "{}", health.detail);
    });
}

/// An address moves to the new primary and, by mistake, back to the old one, which an operator has
/// made to wait for nobody. It would take the writes; the gateway does not send them.
#[test]
fn an_old_primary_never_wins() {
    leasehold_conformance::run(async {
        let old = Postgres::start().await;
        let new = old.standby().await;
        let address = Forwarder::start(old.port()).await;
        let mut config = PostgresConfig::new(address.url("postgres"));
        // Even so: nothing but the timeline speaks against the old one.
        config.allow_unreplicated = true;
        let store = open(config).await.expect("it opens");
        take(&store, "ann", "one", 600_000).await;
        until("the standby has it", || async {
            let lag = "SELECT count(*) FROM pg_stat_replication \
                WHERE replay_lsn = pg_current_wal_lsn()";
            old.ask("postgres", lag).await == ["1"]
        })
        .await;
        new.promote().await;
        address.lead_to(new.port());
        let on_new = insist(&store, &command("ann", "two", acquire(600_000))).await;
        assert!(matches!(on_new, Outcome::Granted(_)), "{on_new:?}");

        address.lead_to(old.port());
        let mut refused = 0;
        while refused < 5 {
            let asked = ask(&store, command("eve", "three", acquire(600_000))).await;
            let failure = asked.expect_err("the old primary is not written to");
            refused += usize::from(failure.effect == Effect::None);
        }
        let there = "SELECT timeline FROM leasehold.store";
        assert_eq!(old.ask("postgres", there).await, ["1"]);
        assert!(!store.health().await.ready);

        address.lead_to(new.port());
        let again = insist(&store, &command("ann", "three", acquire(600_000))).await;
        assert!(matches!(again, Outcome::Granted(_)), "{again:?}");
        assert_eq!(view(&store, "two").await.holders.len(), 1);
    });
}

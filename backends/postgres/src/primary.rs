//! Finds the primary among the servers: the one that writes the newest timeline.

use futures_util::future::join_all;
use leasehold_backend_api::BackendError;

use crate::OpenError;
use crate::client::Connection;
use crate::client::Servers;
use crate::error;
use crate::known::Known;
use crate::known::Met;

/// The oldest server that is known to work.
const SERVER_VERSION_MIN: i32 = 140_000;

/// Asked of a server after connecting. A standby writes no timeline; of those that it has followed
/// the newest counts: its last restart point may be on an older one.
const WHO_ARE_YOU: &str = "SELECT pg_is_in_recovery(), \
    CASE WHEN pg_is_in_recovery() THEN greatest( \
        (SELECT timeline_id FROM pg_control_checkpoint()), \
        (SELECT min_recovery_end_timeline FROM pg_control_recovery()), \
        (SELECT max(received_tli) FROM pg_stat_wal_receiver)) ELSE \
        ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer END, \
    current_setting('server_version_num')::integer, \
    current_setting('synchronous_standby_names') <> '', \
    pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), \
    (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')), \
    (SELECT system_identifier FROM pg_control_system())";

/// A connected primary.
#[derive(Debug)]
pub(crate) struct Primary {
    pub(crate) connection: Connection,
    pub(crate) name: String,
    /// Which timeline it writes.
    pub(crate) timeline: i32,
    replication: Replication,
}

/// How a primary is replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replication {
    /// Commits wait for nobody.
    None,
    /// Commits wait for a standby, and there is none.
    Missing,
    /// Commits wait for a standby. It is there, as far as this role may know.
    Synchronous,
}

impl Primary {
    /// Connects to all servers, and chooses the primary by what is known: an old one that came back
    /// after a failover loses against the new one, and is refused where the new one is away.
    pub(crate) async fn find(servers: &Servers, known: &Known) -> Result<Self, OpenError> {
        let meetings = servers.each.iter().map(|server| async move {
            let meeting = async {
                let connection = servers.connect(server).await?;
                Self::meet(connection, &server.name).await
            };
            servers.within(server, meeting).await
        });
        let (mut met, mut refused) = (Vec::new(), Vec::new());
        // At once: a dead one must not keep the living waiting.
        for meeting in join_all(meetings).await {
            match meeting {
                Ok(server) => met.push(server),
                Err(failure) => refused.push(failure.detail),
            }
        }
        known.choose(met, refused)
    }

    async fn meet(connection: Connection, name: &str) -> Result<Met<Self>, BackendError> {
        let unavailable = |problem: String| error::unavailable(format!("{name}: {problem}"));
        let failed = |failure: tokio_postgres::Error| unavailable(error::describe(&failure));
        let row = connection.client.query_typed_one(WHO_ARE_YOU, &[]).await;
        let row = row.map_err(failed)?;
        let version: i32 = row.try_get(2).map_err(failed)?;
        if version < SERVER_VERSION_MIN {
            return Err(unavailable(format!("version {version} is too old")));
        }
        let (timeline, system) = (
            row.try_get(1).map_err(failed)?,
            row.try_get(6).map_err(failed)?,
        );
        let standby = Met {
            name: name.to_owned(),
            system,
            timeline,
            primary: None,
        };
        if row.try_get(0).map_err(failed)? {
            return Ok(standby);
        }
        let (named, may_look): (bool, bool) = (
            row.try_get(3).map_err(failed)?,
            row.try_get(4).map_err(failed)?,
        );
        let standbys: i64 = row.try_get(5).map_err(failed)?;
        let primary = Self {
            name: name.to_owned(),
            timeline,
            replication: match (named, may_look, standbys) {
                (false, _, _) => Replication::None,
                (true, true, 0) => Replication::Missing,
                (true, _, _) => Replication::Synchronous,
            },
            connection,
        };
        Ok(Met {
            primary: Some(primary),
            ..standby
        })
    }

    /// Refuses a primary that is not replicated as the configuration demands.
    pub(crate) fn check_replication(&self, allow_unreplicated: bool) -> Result<(), OpenError> {
        let problem = match self.replication {
            Replication::Synchronous => return Ok(()),
            Replication::None if allow_unreplicated => return Ok(()),
            Replication::None => {
                "synchronous_standby_names is empty: the loss of its disk loses granted locks \
                 (allow_unreplicated takes it as it is)"
            }
            // Whatever is allowed: it would not answer a single commit.
            Replication::Missing => "no synchronous standby is connected: commits would wait",
        };
        Err(OpenError::Unreplicated(format!("{}: {problem}", self.name)))
    }

    /// What the configuration takes although it weakens a promise; none if all is as it should be.
    pub(crate) fn concession(&self) -> Option<String> {
        (self.replication == Replication::None).then(|| self.describe())
    }

    /// In a few words, for operators.
    pub(crate) fn describe(&self) -> String {
        let replication = match self.replication {
            Replication::None => "UNREPLICATED, as the configuration allows",
            Replication::Missing => "its synchronous standby is missing",
            Replication::Synchronous => "with a synchronous standby",
        };
        format!("{}, timeline {}, {replication}", self.name, self.timeline)
    }
}

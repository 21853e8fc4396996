//! PgBouncer in transaction mode, with fewer connections to the server than clients.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tokio_postgres::NoTls;

use crate::Postgres;
use crate::process;
use crate::process::Process;
use crate::process::as_postgres;

/// A pooler before a server.
#[derive(Debug)]
pub struct Pooler {
    /// What it stands before.
    pub server: Arc<Postgres>,
    port: u16,
    _process: Process,
    _folder: TempDir,
}

impl Pooler {
    /// Starts a pooler before `server`.
    pub async fn start(server: Arc<Postgres>) -> Arc<Self> {
        let (folder, port) = (process::folder(), process::free_port());
        let program = Path::new("/usr/sbin/pgbouncer");
        assert!(
            program.is_file(),
            "{} is not installed (apt-get install pgbouncer)",
            program.display()
        );
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             default_pool_size = 2\nmax_client_conn = 500\n",
            server.port()
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).expect("a file");
        let mut command = as_postgres(program);
        command.arg(&file);
        let process = Process::start(command, &folder.path().join("log"));
        let pooler = Self {
            server,
            port,
            _process: process,
            _folder: folder,
        };
        process::until("the pooler answers", || async {
            tokio_postgres::connect(&pooler.url("postgres"), NoTls)
                .await
                .is_ok()
        })
        .await;
        Arc::new(pooler)
    }

    /// How a database of the server is reached through it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

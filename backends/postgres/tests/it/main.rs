//! The store on real servers: alone, with a synchronous standby, through a pooler, and in trouble.

mod alone;
mod archive;
mod asking;
mod failover;
mod migrations;
mod new_history;
mod pooled;
mod replicated;
mod sharing;
mod stopped;
mod store;
mod tls;
mod trouble;

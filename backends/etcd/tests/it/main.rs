//! The store on real members: one, three, several gateways, and in trouble.

mod alone;
mod asking;
mod forwarder;
mod large;
mod new_history;
mod server;
mod sharing;
mod stopped;
mod store;
mod tls;
mod trio;
mod trouble;

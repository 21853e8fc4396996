//! What operators see: metrics, logs, and times for people.

mod commits;
mod log;
mod metrics;
mod time;

pub use log::LogFormat;
pub use log::start as start_log;
pub use metrics::Metrics;
pub use time::rfc3339;

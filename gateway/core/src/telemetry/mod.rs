//! What operators see: metrics, logs, and times for people.

mod commits;
mod decisions;
mod lag;
mod log;
mod maker;
mod metrics;
mod policy_labels;
mod safe_mode;
mod stores;
mod time;
mod witnesses;

pub(crate) use decisions::DecisionMetrics;
pub(crate) use decisions::SelfCheckOutcome;
pub use lag::Lag;
pub use log::start as start_log;
pub use metrics::ConnectionMetrics;
pub use metrics::Metrics;
pub(crate) use safe_mode::SafeModeMetrics;
pub use stores::Scraped;
pub(crate) use stores::StoreMetrics;
pub use time::parse_rfc3339;
pub use time::rfc3339;

//! What handlers of requests see: every service behind the API, and no backend among them.

use std::sync::Arc;

use leasehold_core::authentication::Authenticator;
use leasehold_core::authorization::Authorization;
use leasehold_core::backup::Backups;
use leasehold_core::config::Config;
use leasehold_core::denials::DenialRecorder;
use leasehold_core::evidence::Evidence;
use leasehold_core::governance::Governance;
use leasehold_core::moving::Mover;
use leasehold_core::pipeline::Pipeline;
use leasehold_core::replay::Replays;
use leasehold_core::safety::Incidents;
use leasehold_core::steering::Steerage;
use leasehold_core::stores::Stores;
use leasehold_core::telemetry::Metrics;
use leasehold_domain::Clock;
use tokio::sync::watch;

use crate::limiting::Limiter;

/// What handlers see: no backend among it.
#[derive(Debug)]
pub struct App {
    /// The way of a request.
    pub pipeline: Pipeline,
    /// Namespaces, policies, bindings, keys.
    pub governance: Arc<Governance>,
    /// The cluster.
    pub steerage: Steerage,
    /// The stores.
    pub stores: Arc<Stores>,
    /// When stores were in safe mode, as this gateway saw it.
    pub incidents: Arc<Incidents>,
    /// Takes namespaces from one to another.
    pub mover: Arc<Mover>,
    /// What the ledgers give to who checks them.
    pub evidence: Arc<Evidence>,
    /// Backups.
    pub backups: Backups,
    /// Judges recorded decisions again.
    pub replays: Replays,
    /// Who calls.
    pub authenticator: Authenticator,
    /// How much one client may ask for.
    pub limiter: Limiter,
    /// Who may do what.
    pub authorization: Arc<Authorization>,
    /// Administrative requests that were denied.
    pub denials: Arc<DenialRecorder>,
    /// What Prometheus reads.
    pub metrics: Arc<Metrics>,
    /// The configuration.
    pub config: Arc<Config>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Turns true when the gateway drains.
    pub shutdown: watch::Receiver<bool>,
}

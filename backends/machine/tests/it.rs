//! The machine's promises, from outside.

#[path = "it/absence.rs"]
mod absence;
#[path = "it/answer.rs"]
mod answer;
#[path = "it/asking.rs"]
mod asking;
#[path = "it/caps.rs"]
mod caps;
#[path = "it/cases.rs"]
mod cases;
#[path = "it/change.rs"]
mod change;
#[path = "it/cooldown.rs"]
mod cooldown;
#[path = "it/counters.rs"]
mod counters;
#[path = "it/golden.rs"]
mod golden;
#[path = "it/handover.rs"]
mod handover;
#[path = "it/instants.rs"]
mod instants;
#[path = "it/late.rs"]
mod late;
#[path = "it/model.rs"]
mod model;
#[path = "it/moving.rs"]
mod moving;
#[path = "it/policies.rs"]
mod policies;
#[path = "it/properties.rs"]
mod properties;
#[path = "it/rebase.rs"]
mod rebase;
#[path = "it/store.rs"]
mod store;
#[path = "it/witness.rs"]
mod witness;

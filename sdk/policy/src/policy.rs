//! What an author writes.

use serde::de::DeserializeOwned;

use crate::Facts;
use crate::Manifest;
use crate::Principal;
use crate::Request;
use crate::Verdict;

/// A policy: a pure function from what was asked, by whom, with which facts and under which
/// configuration, to a verdict.
///
/// Nothing is remembered from one call to the next: each runs in an instance of its own.
pub trait Policy {
    /// Its configuration, read from JSON for each decision: keep it small and flat.
    type Config: DeserializeOwned;

    /// What it is and what it needs.
    fn manifest() -> Manifest;

    /// Whether a configuration that satisfies the schema also makes sense. Called when the policy
    /// is bound, so that a mistake is found before it refuses anybody.
    ///
    /// # Errors
    /// What is wrong with it, for the person who binds the policy.
    fn check(config: &Self::Config) -> Result<(), String> {
        let _ = config;
        Ok(())
    }

    /// Judges one request. Only the operations that the manifest names are asked about.
    ///
    /// # Errors
    /// That it could not decide, and why. Not a denial: the policy's binding says what follows.
    fn decide(
        request: &Request,
        principal: &Principal,
        facts: &Facts,
        config: &Self::Config,
    ) -> Result<Verdict, String>;
}

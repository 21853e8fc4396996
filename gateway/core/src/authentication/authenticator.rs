//! The door: a key or token in, a principal out.

use std::sync::Arc;
use std::time::Duration;

use leasehold_domain::Clock;
use leasehold_domain::limits::CREDENTIAL_CHECK_EVERY_MS;

use super::AuthFailure;
use super::AuthenticationError;
use super::Identity;
use super::KeyRing;
use super::KeySource;
use super::key;
use super::token::TokenVerifier;
use crate::config::Authentication;

/// Recognises callers.
#[derive(Debug)]
pub struct Authenticator {
    keys: Option<(Arc<KeyRing>, Arc<dyn KeySource>)>,
    tokens: Option<Arc<TokenVerifier>>,
    clock: Arc<dyn Clock>,
}

impl Authenticator {
    /// Sets up what the configuration asks for. Reads the provider's keys once, and from then on
    /// in the background for as long as this lives.
    ///
    /// # Errors
    /// The file of the provider's keys cannot be used. A URL that does not answer is no error: it
    /// is asked again, and tokens are refused until it answers.
    pub async fn new(
        config: &Authentication,
        keys: (Arc<KeyRing>, Arc<dyn KeySource>),
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AuthenticationError> {
        let tokens = match &config.jwt {
            Some(jwt) => Some(TokenVerifier::open(jwt.clone(), clock.clone()).await?),
            None => None,
        };
        Ok(Self {
            keys: config.api_keys.then_some(keys),
            tokens,
            clock,
        })
    }

    /// The id of the API key, if it is one; whether it is valid is not looked at.
    #[must_use]
    pub fn key_id(token: &str) -> Option<&str> {
        let (id, _) = key::split(token)?;
        Some(id)
    }

    /// Whether it is an API key that is not known to this gateway or not in force.
    #[must_use]
    pub fn has_unknown_key(&self, token: &str) -> bool {
        match &self.keys {
            Some((keys, _)) if token.starts_with("lh_") => {
                !matches!(keys.authenticate(token, self.clock.wall()), Ok(Some(_)))
            }
            _ => false,
        }
    }

    /// Resolves when a key or token is refused that was accepted: it has expired, the key was
    /// revoked, or the provider has withdrawn the token's key.
    pub async fn ended(&self, token: &str) {
        let mut replaced = self.keys.as_ref().map(|(ring, _)| ring.changed());
        loop {
            match self.authenticate(token).await {
                Err(AuthFailure::Missing | AuthFailure::Expired | AuthFailure::Invalid) => return,
                // That it cannot be found out now says nothing against it.
                Ok(_) | Err(AuthFailure::Unsure) => {}
            }
            let pause = tokio::time::sleep(Duration::from_millis(CREDENTIAL_CHECK_EVERY_MS));
            match &mut replaced {
                Some(replaced) => tokio::select! {
                    () = pause => {}
                    // The ring lives as long as this, so this is no error.
                    _ = replaced.changed() => {}
                },
                None => pause.await,
            }
        }
    }

    /// Whose key or token this is.
    ///
    /// # Errors
    /// It is empty, it has expired, or it is not valid; or that cannot be found out.
    pub async fn authenticate(&self, token: &str) -> Result<Identity, AuthFailure> {
        match (&self.keys, &self.tokens) {
            _ if token.is_empty() => Err(AuthFailure::Missing),
            (Some((keys, source)), _) if token.starts_with("lh_") => {
                by_key(keys, source.as_ref(), token, &*self.clock).await
            }
            (_, Some(tokens)) => Ok(Identity {
                principal: tokens.verify(token).await?,
                scope: None,
            }),
            (_, None) => Err(AuthFailure::Invalid),
        }
    }
}

/// Whose key this is. Of one that is not known here the store is asked: another gateway may have
/// made it a moment ago.
async fn by_key(
    keys: &KeyRing,
    source: &dyn KeySource,
    token: &str,
    clock: &dyn Clock,
) -> Result<Identity, AuthFailure> {
    if let Some(identity) = keys.authenticate(token, clock.wall())? {
        return Ok(identity);
    }
    source.catch_up().await?;
    keys.authenticate(token, clock.wall())?
        .ok_or(AuthFailure::Invalid)
}

#[cfg(test)]
mod tests;

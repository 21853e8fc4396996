//! Tokens of an identity provider (JWT), by its public keys.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use jsonwebtoken::Algorithm;
use jsonwebtoken::Validation;
use leasehold_domain::Clock;
use leasehold_domain::Digest;
use leasehold_domain::Principal;
use serde_json::Map;
use serde_json::Value;

use super::AuthFailure;
use super::AuthenticationError;
use super::claims;
use super::jwks::ProviderKeys;
use crate::config::Jwt;

/// Most tokens that are remembered as verified.
const VERIFIED_MAX: usize = 10_000;
/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 8_192;

/// Verifies tokens, and remembers the good ones until they expire: a signature costs a hundred
/// times a look-up.
pub(super) struct TokenVerifier {
    settings: Jwt,
    algorithms: Vec<Algorithm>,
    keys: Arc<ProviderKeys>,
    clock: Arc<dyn Clock>,
    verified: Mutex<Verified>,
}

#[derive(Default)]
struct Verified {
    /// The provider's keys that they were verified by.
    generation: u64,
    by_digest: HashMap<Digest, Remembered>,
}

struct Remembered {
    principal: Arc<Principal>,
    /// Seconds since 1970; the leeway is in it.
    expires_s: u64,
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl TokenVerifier {
    /// Reads the provider's keys, and keeps them fresh.
    pub(super) async fn open(
        settings: Jwt,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, AuthenticationError> {
        let algorithm = |name: &String| {
            let parsed = name.parse::<Algorithm>();
            let public = parsed
                .ok()
                .filter(|algorithm| !is_shared_secret(*algorithm));
            public.ok_or_else(|| AuthenticationError::Algorithm(name.clone()))
        };
        let algorithms = settings
            .algorithms
            .iter()
            .map(algorithm)
            .collect::<Result<_, _>>()?;
        let keys = ProviderKeys::open(&settings, clock.clone()).await?;
        Ok(Arc::new(Self {
            settings,
            algorithms,
            keys,
            clock,
            verified: Mutex::default(),
        }))
    }

    /// Whom the token stands for.
    pub(super) async fn verify(&self, token: &str) -> Result<Arc<Principal>, AuthFailure> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthFailure::Invalid);
        }
        let digest = Digest::of(token.as_bytes());
        if let Some(known) = self.recall(&digest) {
            return known;
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthFailure::Invalid)?;
        // An extension that must be understood, and is not.
        if header.crit.is_some() || !self.algorithms.contains(&header.alg) {
            return Err(AuthFailure::Invalid);
        }
        let found = self.keys.find(header.kid.as_deref(), header.alg).await?;
        let (key, generation) = found.ok_or(AuthFailure::Invalid)?;
        let claims =
            jsonwebtoken::decode::<Map<String, Value>>(token, &key, &self.validation(header.alg))
                .map_err(|_| AuthFailure::Invalid)?
                .claims;
        // The library takes a list of issuers, too; a token has one.
        if claims.get("iss").and_then(Value::as_str) != Some(self.settings.issuer.as_str()) {
            return Err(AuthFailure::Invalid);
        }
        let expires_s = self.check_times(&claims)?;
        let principal = Arc::new(claims::principal(&self.settings, &claims)?);
        self.remember(
            digest,
            generation,
            Remembered {
                principal: principal.clone(),
                expires_s,
            },
        );
        Ok(principal)
    }

    /// Signature, issuer and audience. Times are checked by our own clock.
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&[&self.settings.audience]);
        validation.set_required_spec_claims(&["iss", "aud"]);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation
    }

    /// Checks `exp`, which must be there, and `nbf`; answers when the token ends to be good.
    fn check_times(&self, claims: &Map<String, Value>) -> Result<u64, AuthFailure> {
        let now_s = self.now_s();
        let seconds = |name: &str| match claims.get(name) {
            None => Ok(None),
            // Fractions are allowed by the standard, and cut off.
            Some(value) => match (value.as_u64(), value.as_f64()) {
                (Some(whole), _) => Ok(Some(whole)),
                (None, Some(fraction)) if (0.0..1e15).contains(&fraction) => {
                    Ok(Some(fraction as u64))
                }
                _ => Err(AuthFailure::Invalid),
            },
        };
        let leeway_s = self.settings.leeway_s;
        let expires_s = seconds("exp")?
            .ok_or(AuthFailure::Invalid)?
            .saturating_add(leeway_s);
        if now_s >= expires_s {
            return Err(AuthFailure::Expired);
        }
        match seconds("nbf")? {
            Some(not_before) if now_s.saturating_add(leeway_s) < not_before => {
                Err(AuthFailure::Invalid)
            }
            _ => Ok(expires_s),
        }
    }

    fn now_s(&self) -> u64 {
        self.clock.wall().0 / 1_000
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recall(&self, digest: &Digest) -> Option<Result<Arc<Principal>, AuthFailure>> {
        let verified = self.verified();
        if verified.generation != self.keys.generation() {
            return None;
        }
        let known = verified.by_digest.get(digest)?;
        if self.now_s() >= known.expires_s {
            return Some(Err(AuthFailure::Expired));
        }
        Some(Ok(known.principal.clone()))
    }

    /// Tokens verified by keys that the provider has replaced since are forgotten.
    fn remember(&self, digest: Digest, generation: u64, token: Remembered) {
        let now_s = self.now_s();
        let mut verified = self.verified();
        if generation < verified.generation {
            return;
        }
        if generation > verified.generation {
            verified.generation = generation;
            verified.by_digest.clear();
        }
        if verified.by_digest.len() >= VERIFIED_MAX {
            verified
                .by_digest
                .retain(|_, token| token.expires_s > now_s);
        }
        if verified.by_digest.len() >= VERIFIED_MAX {
            verified.by_digest.clear();
        }
        verified.by_digest.insert(digest, token);
    }
}

/// A shared secret verified by a *public* key would let anybody sign.
fn is_shared_secret(algorithm: Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
    )
}

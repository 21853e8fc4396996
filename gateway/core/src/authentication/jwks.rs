//! The identity provider's public keys: read again from time to time, and when a token names one
//! that is not known. Old keys stay in force while the provider cannot be reached.

use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::Weak;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::AlgorithmParameters;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::jwk::PublicKeyUse;
use leasehold_domain::Clock;
use leasehold_domain::Digest;
use leasehold_domain::limits::CATCH_UP_WAIT_MS_MAX;
use leasehold_domain::limits::STRANGERS_WAITING_MAX;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::AuthFailure;
use super::AuthenticationError;
use crate::config::Jwt;
use crate::tasks::TaskMetrics;
use crate::tasks::supervise;

/// Unknown key ids make the keys be read again at most so often.
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(10);
/// How long the provider may take.
const FETCH_DEADLINE: Duration = Duration::from_secs(5);
/// Largest set of keys.
const SET_BYTES_MAX: usize = 256 * 1_024;

/// Where the keys come from.
enum Source {
    File(PathBuf),
    Url(reqwest::Client, String),
}

/// The keys in force.
#[derive(Default)]
struct Set {
    /// Grows whenever the set changes.
    generation: u64,
    digest: Option<Digest>,
    keys: Vec<Key>,
}

struct Key {
    id: Option<String>,
    /// The one algorithm that it is for, if the provider says so.
    algorithm: Option<Algorithm>,
    key: Arc<DecodingKey>,
}

/// The provider's public keys.
pub(super) struct ProviderKeys {
    source: Source,
    clock: Arc<dyn Clock>,
    set: RwLock<Set>,
    /// How many requests had an unknown key id. One task asks for all of them.
    asked: watch::Sender<u64>,
    /// The last of those requests whose question is settled.
    settled: watch::Sender<u64>,
    /// Places for those who wait: they must not keep others from being served.
    strangers: Semaphore,
}

impl fmt::Debug for ProviderKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderKeys")
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}

impl ProviderKeys {
    /// Reads the keys, and again every `refresh_s` until this is dropped.
    pub(super) async fn open(
        settings: &Jwt,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, AuthenticationError> {
        let source = Source::of(settings)?;
        let keys = Arc::new(Self {
            source,
            clock,
            set: RwLock::default(),
            asked: watch::Sender::default(),
            settled: watch::Sender::default(),
            strangers: Semaphore::new(STRANGERS_WAITING_MAX),
        });
        match (keys.read().await, &keys.source) {
            (Err(error), Source::File(_)) => return Err(error),
            (Err(error), Source::Url(..)) => {
                tracing::warn!(%error, "authentication.keys unreachable; tokens are refused until they are read");
            }
            (Ok(()), _) => {}
        }
        let this = Arc::downgrade(&keys);
        let (every, read) = (
            Duration::from_secs(settings.refresh_s),
            keys.clock.monotonic(),
        );
        supervise("jwks", &TaskMetrics::default(), move || {
            refresh(this.clone(), every, read)
        })
        .detach();
        Ok(keys)
    }

    /// Grows whenever the keys change.
    pub(super) fn generation(&self) -> u64 {
        self.set
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .generation
    }

    /// The key of that id for that algorithm, and the generation that it belongs to. A token
    /// without a key id is taken if the provider has one fitting key only. For a key id that is not
    /// known the provider may be asked; however many such requests there are, they wait in bounded
    /// number, for a bounded time, and for one answer.
    ///
    /// # Errors
    /// [`AuthFailure::Unsure`]: too many wait, or the provider does not answer in time.
    pub(super) async fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Option<(Arc<DecodingKey>, u64)>, AuthFailure> {
        if let Some(found) = self.known(id, algorithm) {
            return Ok(Some(found));
        }
        let place = self.strangers.try_acquire();
        let _place = place.map_err(|_| AuthFailure::Unsure)?;
        let mut settled = self.settled.subscribe();
        let mut own = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            own = *asked;
        });
        let settled = settled.wait_for(|settled| *settled >= own);
        let at_most = Duration::from_millis(CATCH_UP_WAIT_MS_MAX);
        match tokio::time::timeout(at_most, settled).await {
            Ok(Ok(_)) => Ok(self.known(id, algorithm)),
            Ok(Err(_)) | Err(_) => Err(AuthFailure::Unsure),
        }
    }

    fn known(&self, id: Option<&str>, algorithm: Algorithm) -> Option<(Arc<DecodingKey>, u64)> {
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        let fits = |key: &&Key| {
            key.key.family() == algorithm.family()
                && key.algorithm.is_none_or(|only| only == algorithm)
                && (id.is_none() || key.id.as_deref() == id)
        };
        let mut fitting = set.keys.iter().filter(fits);
        let found = fitting.next()?;
        if id.is_none() && fitting.next().is_some() {
            return None;
        }
        Some((found.key.clone(), set.generation))
    }

    async fn read(&self) -> Result<(), AuthenticationError> {
        let text = self.source.read().await?;
        let digest = Digest::of(&text);
        if self
            .set
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .digest
            == Some(digest)
        {
            return Ok(());
        }
        let keys = parse(&text).map_err(|problem| self.source.error(problem))?;
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        *set = Set {
            generation: set.generation + 1,
            digest: Some(digest),
            keys,
        };
        Ok(())
    }
}

/// Reads the keys again every so often, and for unknown key ids, but for these not too often.
/// `read` is when they were read last, on the gateway's clock.
async fn refresh(keys: Weak<ProviderKeys>, every: Duration, mut read: Duration) -> ControlFlow<()> {
    let Some(mut asked) = keys.upgrade().map(|keys| keys.asked.subscribe()) else {
        return ControlFlow::Break(());
    };
    // Those who asked before a restart of this task wait, too.
    asked.mark_changed();
    let mut pace = tokio::time::interval(every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once, and the keys have just been read.
    pace.tick().await;
    loop {
        let is_due = tokio::select! {
            changed = asked.changed() => {
                if changed.is_err() {
                    return ControlFlow::Break(());
                }
                false
            }
            _ = pace.tick() => true,
        };
        let Some(keys) = keys.upgrade() else {
            return ControlFlow::Break(());
        };
        let to = *asked.borrow_and_update();
        let now = keys.clock.monotonic();
        if is_due || now.saturating_sub(read) >= UNKNOWN_KEY_INTERVAL {
            read = now;
            if let Err(error) = keys.read().await {
                tracing::warn!(%error, "authentication.keys not refreshed; the old ones stay in force");
            }
        }
        keys.settled.send_replace(to);
    }
}

impl Source {
    fn of(settings: &Jwt) -> Result<Self, AuthenticationError> {
        match (&settings.jwks_file, &settings.jwks_url) {
            (Some(file), _) => Ok(Self::File(file.clone())),
            (None, url) => {
                let url = url.clone().unwrap_or_default();
                // A second installation is refused, and harmless.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let client = reqwest::Client::builder()
                    .timeout(FETCH_DEADLINE)
                    .redirect(reqwest::redirect::Policy::none())
                    .build();
                let failed = |error: reqwest::Error| AuthenticationError::Keys {
                    place: url.clone(),
                    problem: error.to_string(),
                };
                Ok(Self::Url(client.map_err(failed)?, url))
            }
        }
    }

    fn error(&self, problem: impl fmt::Display) -> AuthenticationError {
        let place = match self {
            Self::File(file) => file.display().to_string(),
            Self::Url(_, url) => url.clone(),
        };
        AuthenticationError::Keys {
            place,
            problem: problem.to_string(),
        }
    }

    async fn read(&self) -> Result<Vec<u8>, AuthenticationError> {
        let (client, url) = match self {
            Self::File(file) => {
                return tokio::fs::read(file)
                    .await
                    .map_err(|error| self.error(error));
            }
            Self::Url(client, url) => (client, url),
        };
        let fetched = async {
            let mut response = client.get(url).send().await?.error_for_status()?;
            let mut text = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                text.extend_from_slice(&chunk);
                if text.len() > SET_BYTES_MAX {
                    break;
                }
            }
            Ok::<_, reqwest::Error>(text)
        };
        let text = fetched
            .await
            .map_err(|error| self.error(crate::input::with_causes(&error.without_url())))?;
        if text.len() > SET_BYTES_MAX {
            return Err(self.error("the set of keys is too large"));
        }
        Ok(text)
    }
}

/// The keys that can verify signatures. Shared secrets, and keys for other uses, are passed over.
fn parse(text: &[u8]) -> Result<Vec<Key>, String> {
    let set: JwkSet = serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("is not a JSON Web Key Set, at line {line}, column {column}")
    })?;
    let usable = set.keys.into_iter().filter_map(|jwk| {
        let signs = !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption));
        let is_secret = matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_));
        if !signs || is_secret {
            return None;
        }
        let key = Arc::new(DecodingKey::from_jwk(&jwk).ok()?);
        let algorithm = match jwk.common.key_algorithm {
            None => None,
            // One that we do not know makes the key unusable, not usable for anything.
            Some(name) => Some(name.to_string().parse().ok()?),
        };
        Some(Key {
            id: jwk.common.key_id,
            algorithm,
            key,
        })
    });
    Ok(usable.collect())
}

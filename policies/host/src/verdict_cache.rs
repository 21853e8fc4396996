//! The cache of verdicts of one module with one configuration.
//!
//! A policy is a pure function of its declared inputs, so equal inputs have the same verdict and the
//! same fuel. The key is a digest of these inputs; everything else that a verdict depends on (module,
//! configuration, engine, limits) is the same for all entries of one cache. A sample of the hits is
//! evaluated again and compared: a difference means that the engine is not deterministic.

use std::fmt;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use leasehold_domain::Digest;
use leasehold_domain::PolicyAnswer;
use quick_cache::Lifecycle;
use quick_cache::OptionsBuilder;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::evaluation::Evaluation;
use crate::fault::PolicyFault;
use crate::limits::CACHE_HITS_PER_CHECK;

/// What a verdict without texts takes, key and bookkeeping included.
const USUAL_BYTES: usize = 256;

/// Counts of all verdict caches of an engine, since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerdictCacheStats {
    /// Lookups that found a verdict.
    pub hits: u64,
    /// Lookups that found none.
    pub misses: u64,
    /// Verdicts that were evicted because the cache was full.
    pub evictions: u64,
    /// Cached verdicts that differed from a new evaluation of the same inputs; expected to be 0.
    pub contradictions: u64,
}

/// The counters behind [`VerdictCacheStats`].
#[derive(Debug, Default)]
pub(crate) struct CacheCounters {
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
    contradictions: AtomicU64,
}

impl CacheCounters {
    pub(crate) fn read(&self) -> VerdictCacheStats {
        VerdictCacheStats {
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            evictions: self.evictions.load(Relaxed),
            contradictions: self.contradictions.load(Relaxed),
        }
    }
}

/// The result of a lookup.
#[derive(Debug)]
pub enum CacheLookup {
    /// The cached result.
    Hit(Evaluation),
    /// No cached result, or a hit that is a sample: evaluate the policy, and pass the result to
    /// [`crate::BoundPolicy::cache_verdict`].
    Miss(VerdictKey),
    /// The policy has no verdict cache.
    Disabled,
}

/// The key of a verdict that is to be cached.
#[derive(Debug)]
pub struct VerdictKey {
    digest: Digest,
    /// The cached result that the evaluation is compared with, if it is a sample.
    expected: Option<Arc<Evaluation>>,
}

/// The verdicts of one module with one configuration.
pub(crate) struct VerdictCache {
    cache: Cache<Digest, Arc<Evaluation>, Weights, RandomState, Evictions>,
    counters: Arc<CacheCounters>,
    hits: AtomicU64,
}

impl VerdictCache {
    /// Creates a cache for verdicts of about this many bytes.
    ///
    /// # Errors
    /// The cache does not take the settings.
    pub(crate) fn new(bytes: usize, counters: Arc<CacheCounters>) -> Result<Self, String> {
        let options = OptionsBuilder::new()
            .estimated_items_capacity((bytes / USUAL_BYTES).max(1))
            .weight_capacity(bytes as u64)
            .build()
            .map_err(|error| error.to_string())?;
        let evictions = Evictions(counters.clone());
        Ok(Self {
            cache: Cache::with_options(options, Weights, RandomState::new(), evictions),
            counters,
            hits: AtomicU64::new(0),
        })
    }

    /// Looks up a verdict. One that spent more than `fuel` is a miss: an evaluation with so little fuel
    /// would have failed.
    pub(crate) fn lookup(&self, digest: Digest, fuel: u64) -> CacheLookup {
        let found = self.cache.get(&digest);
        let Some(found) = found.filter(|found| found.fuel <= fuel) else {
            self.counters.misses.fetch_add(1, Relaxed);
            return CacheLookup::Miss(VerdictKey {
                digest,
                expected: None,
            });
        };
        self.counters.hits.fetch_add(1, Relaxed);
        if self.hits.fetch_add(1, Relaxed) % CACHE_HITS_PER_CHECK == CACHE_HITS_PER_CHECK - 1 {
            let expected = Some(found);
            return CacheLookup::Miss(VerdictKey { digest, expected });
        }
        CacheLookup::Hit(Evaluation::clone(&found))
    }

    /// Caches the result of an evaluation, if it is deterministic. `is_whole`: whether the evaluation had
    /// the full fuel budget of a policy.
    pub(crate) fn insert(&self, key: VerdictKey, evaluation: &Evaluation, is_whole: bool) {
        let lasts = match &evaluation.answer {
            Ok(_) => true,
            Err(PolicyFault::FuelSpent(_)) => is_whole,
            Err(PolicyFault::MissingFact(_)) => false,
            Err(fault) => fault.is_deterministic(),
        };
        if !lasts {
            return;
        }
        if let Some(expected) = key.expected {
            if *expected == *evaluation {
                return;
            }
            self.counters.contradictions.fetch_add(1, Relaxed);
        }
        self.cache.insert(key.digest, Arc::new(evaluation.clone()));
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.cache.len()
    }
}

impl fmt::Debug for VerdictCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerdictCache").finish_non_exhaustive()
    }
}

/// The size of an entry in bytes.
#[derive(Debug, Clone)]
struct Weights;

impl Weighter<Digest, Arc<Evaluation>> for Weights {
    fn weight(&self, _key: &Digest, evaluation: &Arc<Evaluation>) -> u64 {
        let texts = match &evaluation.answer {
            Ok(PolicyAnswer::Allow(limits)) => limits
                .counters
                .iter()
                .map(|counter| {
                    let code = counter.code.as_ref().map_or(0, |code| code.len());
                    size_of_val(counter) + counter.name.len() + code
                })
                .sum(),
            Ok(PolicyAnswer::Deny { code, message, .. }) => code.len() + message.len(),
            Ok(PolicyAnswer::Error { message, .. }) => message.len(),
            Err(
                PolicyFault::Refused(text)
                | PolicyFault::InvalidAnswer(text)
                | PolicyFault::Host(text),
            ) => text.len(),
            Err(PolicyFault::Trap { trap, traced }) => {
                trap.len() + traced.as_ref().map_or(0, String::len)
            }
            Err(_) => 0,
        };
        (USUAL_BYTES + texts) as u64
    }
}

/// Counts evictions.
#[derive(Debug, Clone)]
struct Evictions(Arc<CacheCounters>);

impl Lifecycle<Digest, Arc<Evaluation>> for Evictions {
    type RequestState = ();

    fn begin_request(&self) -> Self::RequestState {}

    fn on_evict(&self, _state: &mut Self::RequestState, _key: Digest, _val: Arc<Evaluation>) {
        self.0.evictions.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use leasehold_domain::PolicyLimits;

    use super::*;

    fn allowing(fuel: u64) -> Evaluation {
        Evaluation {
            answer: Ok(PolicyAnswer::Allow(PolicyLimits::default())),
            fuel,
        }
    }

    fn denying(message: &str) -> Evaluation {
        Evaluation {
            answer: Ok(PolicyAnswer::Deny {
                code: "no".into(),
                message: message.into(),
                retry_after_ms: None,
            }),
            fuel: 7,
        }
    }

    fn verdicts(bytes: usize) -> VerdictCache {
        VerdictCache::new(bytes, Arc::new(CacheCounters::default())).unwrap()
    }

    fn put(verdicts: &VerdictCache, input: &str, evaluation: &Evaluation) {
        let CacheLookup::Miss(key) = verdicts.lookup(Digest::of(input.as_bytes()), 1_000) else {
            panic!("{input} is cached");
        };
        verdicts.insert(key, evaluation, true);
    }

    fn hit(verdicts: &VerdictCache, input: &str, fuel: u64) -> Option<Evaluation> {
        match verdicts.lookup(Digest::of(input.as_bytes()), fuel) {
            CacheLookup::Hit(evaluation) => Some(evaluation),
            CacheLookup::Miss(_) | CacheLookup::Disabled => None,
        }
    }

    #[test]
    fn a_hit_has_the_original_fuel_and_needs_a_budget_of_as_much() {
        let verdicts = verdicts(100_000);
        put(&verdicts, "a", &allowing(500));
        assert_eq!(hit(&verdicts, "a", 500), Some(allowing(500)));
        assert_eq!(hit(&verdicts, "a", 499), None);
        assert_eq!(hit(&verdicts, "b", 500), None);
        let counts = verdicts.counters.read();
        assert_eq!((counts.hits, counts.misses), (1, 3));
    }

    #[test]
    fn only_deterministic_faults_are_cached() {
        let failed = |fault| Evaluation {
            answer: Err(fault),
            fuel: 10,
        };
        let verdicts = verdicts(100_000);
        for (fault, is_whole, stays) in [
            (PolicyFault::FuelSpent(10), true, true),
            (PolicyFault::FuelSpent(10), false, false),
            (PolicyFault::Refused("no".to_owned()), false, true),
            (PolicyFault::Memory(7), false, true),
            (PolicyFault::Deadline(10), true, false),
            (PolicyFault::Busy, true, false),
            (PolicyFault::MissingFact("usage"), true, false),
            (PolicyFault::Host("no".to_owned()), true, false),
        ] {
            let input = format!("{fault:?} {is_whole}");
            let CacheLookup::Miss(key) = verdicts.lookup(Digest::of(input.as_bytes()), 10) else {
                panic!("{input} is cached");
            };
            verdicts.insert(key, &failed(fault), is_whole);
            assert_eq!(hit(&verdicts, &input, 10).is_some(), stays, "{input}");
        }
    }

    #[test]
    fn its_size_is_limited_in_bytes_and_evictions_are_counted() {
        let verdicts = verdicts(64 * 1_024);
        for number in 0..10_000 {
            put(&verdicts, &number.to_string(), &denying(&"x".repeat(1_000)));
        }
        let evicted = verdicts.counters.read().evictions;
        assert!(verdicts.len() <= 64 * 1_024 / 1_256, "{}", verdicts.len());
        assert_eq!(verdicts.len() as u64 + evicted, 10_000);
    }

    #[test]
    fn a_sample_of_the_hits_is_evaluated_again_and_a_contradiction_is_counted_and_replaced() {
        let verdicts = verdicts(100_000);
        put(&verdicts, "a", &allowing(5));
        let mut samples = 0;
        for _ in 0..3 * CACHE_HITS_PER_CHECK {
            if let CacheLookup::Miss(key) = verdicts.lookup(Digest::of(b"a"), 1_000) {
                samples += 1;
                let again = match samples {
                    1 => allowing(5),
                    _ => allowing(6),
                };
                verdicts.insert(key, &again, true);
            }
        }
        assert_eq!(samples, 3);
        assert_eq!(verdicts.counters.read().contradictions, 1);
        assert_eq!(hit(&verdicts, "a", 1_000), Some(allowing(6)));
    }
}

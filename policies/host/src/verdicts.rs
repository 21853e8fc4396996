//! Verdicts that are remembered: a policy is a pure function of the inputs that it declares, so equal
//! inputs have the same verdict and the same fuel.
//!
//! Each pair of module and configuration has a cache of its own, in one engine; so module,
//! configuration, engine, fuel and memory need not be part of a key. A sample of the answers is
//! evaluated again, and a difference is counted: it would mean that the engine is not deterministic.

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
use crate::limits::VERDICTS_PER_SAMPLE;

/// What a verdict without texts takes, key and bookkeeping included.
const USUAL_BYTES: usize = 256;

/// How the remembered verdicts of an engine were used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerdictCounts {
    /// Answers that were remembered.
    pub hits: u64,
    /// Evaluations of policies whose verdicts can be remembered.
    pub misses: u64,
    /// Verdicts that were forgotten to make room.
    pub evictions: u64,
    /// Remembered verdicts that a new evaluation contradicted. None is expected, ever.
    pub contradicted: u64,
}

/// The same, while it is counted.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
    contradicted: AtomicU64,
}

impl Counting {
    pub(crate) fn read(&self) -> VerdictCounts {
        VerdictCounts {
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            evictions: self.evictions.load(Relaxed),
            contradicted: self.contradicted.load(Relaxed),
        }
    }
}

/// Whether the verdict on some inputs is remembered.
#[derive(Debug)]
pub enum Recalled {
    /// It is.
    Hit(Evaluation),
    /// It is not, or shall be evaluated again: evaluate it, and hand it to
    /// [`crate::BoundPolicy::remember`].
    Miss(VerdictKey),
    /// The policy's verdicts are not remembered.
    Never,
}

/// The inputs of a verdict that is to be remembered.
#[derive(Debug)]
pub struct VerdictKey {
    digest: Digest,
    /// What is remembered, if the evaluation is a sample.
    expected: Option<Arc<Evaluation>>,
}

/// The remembered verdicts of one module with one configuration.
pub(crate) struct Verdicts {
    cache: Cache<Digest, Arc<Evaluation>, Weights, RandomState, Evictions>,
    counting: Arc<Counting>,
    hits: AtomicU64,
}

impl Verdicts {
    /// Room for verdicts of about this many bytes.
    ///
    /// # Errors
    /// The cache does not take the settings.
    pub(crate) fn new(bytes: usize, counting: Arc<Counting>) -> Result<Self, String> {
        let options = OptionsBuilder::new()
            .estimated_items_capacity((bytes / USUAL_BYTES).max(1))
            .weight_capacity(bytes as u64)
            .build()
            .map_err(|error| error.to_string())?;
        let evictions = Evictions(counting.clone());
        Ok(Self {
            cache: Cache::with_options(options, Weights, RandomState::new(), evictions),
            counting,
            hits: AtomicU64::new(0),
        })
    }

    /// Looks up the verdict on some inputs. One that spent more than `fuel` is none: it would not
    /// have come about.
    pub(crate) fn recall(&self, digest: Digest, fuel: u64) -> Recalled {
        let found = self.cache.get(&digest);
        let Some(found) = found.filter(|found| found.fuel <= fuel) else {
            self.counting.misses.fetch_add(1, Relaxed);
            return Recalled::Miss(VerdictKey {
                digest,
                expected: None,
            });
        };
        self.counting.hits.fetch_add(1, Relaxed);
        if self.hits.fetch_add(1, Relaxed) % VERDICTS_PER_SAMPLE == VERDICTS_PER_SAMPLE - 1 {
            let expected = Some(found);
            return Recalled::Miss(VerdictKey { digest, expected });
        }
        Recalled::Hit(Evaluation::clone(&found))
    }

    /// Remembers what an evaluation came to, if the same inputs must come to the same. `is_whole`:
    /// whether the policy had all the fuel that it may ever have.
    pub(crate) fn remember(&self, key: VerdictKey, evaluation: &Evaluation, is_whole: bool) {
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
            self.counting.contradicted.fetch_add(1, Relaxed);
        }
        self.cache.insert(key.digest, Arc::new(evaluation.clone()));
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.cache.len()
    }
}

impl fmt::Debug for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verdicts").finish_non_exhaustive()
    }
}

/// How much a verdict takes.
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

/// Counts what is forgotten.
#[derive(Debug, Clone)]
struct Evictions(Arc<Counting>);

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

    fn verdicts(bytes: usize) -> Verdicts {
        Verdicts::new(bytes, Arc::new(Counting::default())).unwrap()
    }

    fn put(verdicts: &Verdicts, input: &str, evaluation: &Evaluation) {
        let Recalled::Miss(key) = verdicts.recall(Digest::of(input.as_bytes()), 1_000) else {
            panic!("{input} is remembered");
        };
        verdicts.remember(key, evaluation, true);
    }

    fn hit(verdicts: &Verdicts, input: &str, fuel: u64) -> Option<Evaluation> {
        match verdicts.recall(Digest::of(input.as_bytes()), fuel) {
            Recalled::Hit(evaluation) => Some(evaluation),
            Recalled::Miss(_) | Recalled::Never => None,
        }
    }

    #[test]
    fn a_verdict_is_remembered_with_its_fuel_and_not_for_those_who_have_less() {
        let verdicts = verdicts(100_000);
        put(&verdicts, "a", &allowing(500));
        assert_eq!(hit(&verdicts, "a", 500), Some(allowing(500)));
        assert_eq!(hit(&verdicts, "a", 499), None);
        assert_eq!(hit(&verdicts, "b", 500), None);
        let counts = verdicts.counting.read();
        assert_eq!((counts.hits, counts.misses), (1, 3));
    }

    #[test]
    fn only_faults_that_come_again_are_remembered() {
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
            let Recalled::Miss(key) = verdicts.recall(Digest::of(input.as_bytes()), 10) else {
                panic!("{input} is remembered");
            };
            verdicts.remember(key, &failed(fault), is_whole);
            assert_eq!(hit(&verdicts, &input, 10).is_some(), stays, "{input}");
        }
    }

    #[test]
    fn it_is_bounded_by_bytes_and_counts_what_it_forgets() {
        let verdicts = verdicts(64 * 1_024);
        for number in 0..10_000 {
            put(&verdicts, &number.to_string(), &denying(&"x".repeat(1_000)));
        }
        let forgotten = verdicts.counting.read().evictions;
        assert!(verdicts.len() <= 64 * 1_024 / 1_256, "{}", verdicts.len());
        assert_eq!(verdicts.len() as u64 + forgotten, 10_000);
    }

    #[test]
    fn a_sample_is_evaluated_again_and_a_contradiction_is_counted_and_replaced() {
        let verdicts = verdicts(100_000);
        put(&verdicts, "a", &allowing(5));
        let mut samples = 0;
        for _ in 0..3 * VERDICTS_PER_SAMPLE {
            if let Recalled::Miss(key) = verdicts.recall(Digest::of(b"a"), 1_000) {
                samples += 1;
                let again = match samples {
                    1 => allowing(5),
                    _ => allowing(6),
                };
                verdicts.remember(key, &again, true);
            }
        }
        assert_eq!(samples, 3);
        assert_eq!(verdicts.counting.read().contradicted, 1);
        assert_eq!(hit(&verdicts, "a", 1_000), Some(allowing(6)));
    }
}

//! What a guest may spend. Part of the house's limits; the ones that can be configured are in
//! [`EngineLimits`].

use std::time::Duration;

use leasehold_domain::limits::VERDICT_MESSAGE_BYTES_MAX;

/// Stack of the thread that reads and compiles modules. Reserved, not used: a type section of
/// [`leasehold_domain::limits::MODULE_TYPE_SECTION_BYTES_MAX`] may nest one type in another for each
/// three bytes, and is read by recursion.
pub(crate) const COMPILER_STACK_BYTES: usize = 256 * 1_024 * 1_024;
/// Modules that are compiled at once, on a machine that has as many processors.
pub(crate) const COMPILATIONS_MAX: usize = 4;
/// How often the guard's clock ticks.
pub(crate) const TICK_MS: u64 = 10;
/// How many bytes one call of a guest may hand to the host: an answer, or one trace.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 * 1_024;
/// The same for `describe`, whose answer holds a schema.
pub(crate) const MANIFEST_BYTES_MAX: usize = 128 * 1_024;
/// Longest name of a policy.
pub(crate) const POLICY_NAME_BYTES_MAX: usize = 63;
/// Longest version of a policy.
pub(crate) const VERSION_BYTES_MAX: usize = 64;
/// Longest code of a denial.
pub(crate) const CODE_BYTES_MAX: usize = 64;
/// Longest message of a denial, or of a guest's own error.
pub(crate) const MESSAGE_BYTES_MAX: usize = VERDICT_MESSAGE_BYTES_MAX;
/// Longest hint on when to ask again: a year.
pub(crate) const RETRY_AFTER_MS_MAX: u64 = 366 * 86_400_000;
/// What one trace costs in fuel, besides one per byte, whether it is kept or not.
pub(crate) const TRACE_FUEL: u64 = 200;
/// How many traces of one decision are kept.
pub(crate) const TRACES_MAX: usize = 100;
/// Most test cases in a module.
pub(crate) const CASES_MAX: usize = 1_000;
/// One of this many cache hits of a policy is evaluated again and compared.
pub(crate) const CACHE_HITS_PER_CHECK: u64 = 1_024;
/// How many problems of one configuration are reported.
pub(crate) const CONFIG_PROBLEMS_MAX: usize = 20;
/// Most tables of one instance, those of adapters between components included.
pub(crate) const TABLES_PER_INSTANCE_MAX: u32 = 16;
/// How much of a memory slot is cleaned by copying instead of by giving its pages back.
pub(crate) const KEEP_RESIDENT_BYTES: usize = 1_024 * 1_024;

/// How many compiled modules are kept on disk before the oldest are deleted.
pub(crate) const CACHED_FILES_MAX: u64 = 4_096;
/// How many bytes of them.
pub(crate) const CACHED_BYTES_MAX: u64 = 1 << 30;

/// What a guest may spend, and how many may run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineLimits {
    /// The budget of one decision: about one unit for each instruction. Deterministic, and so part
    /// of what a verdict may depend on.
    pub fuel: u64,
    /// The guard's deadline, in milliseconds of real time; rounded up to 10 ms. It must be far
    /// above what `fuel` allows, for it is not deterministic.
    pub deadline_ms: u64,
    /// How much linear memory an instance may have, in bytes, all its memories together; a multiple
    /// of 65,536.
    pub memory_bytes: usize,
    /// How deep a guest's calls may go, in bytes of stack.
    pub stack_bytes: usize,
    /// How many decisions may run at once in the process; further ones get
    /// [`crate::PolicyFault::Busy`]. Each reserves 8 GiB of address space, not of memory, for two
    /// linear memories; fewer decisions run at once of modules that have more.
    pub instances: u32,
    /// Size in bytes of the verdict cache of each pair of a module that declares its inputs and a
    /// configuration; 0 turns the caches off.
    pub verdict_cache_bytes: usize,
}

impl Default for EngineLimits {
    /// 10 million fuel (about 6 ms), 500 ms, 16 MiB, 256 KiB of stack, 128 instances, 1 MiB of
    /// verdict cache.
    fn default() -> Self {
        Self {
            fuel: 10_000_000,
            deadline_ms: 500,
            memory_bytes: 16 << 20,
            stack_bytes: 256 << 10,
            instances: 128,
            verdict_cache_bytes: 1 << 20,
        }
    }
}

/// What may still be spent: by one call of a guest, or by all policies of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// About one unit for each instruction. Deterministic.
    pub fuel: u64,
    /// Milliseconds of real time; a call rounds them up to 10 ms. Not deterministic.
    pub deadline_ms: u64,
}

impl Budget {
    /// The smaller of both, part by part.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        Self {
            fuel: self.fuel.min(other.fuel),
            deadline_ms: self.deadline_ms.min(other.deadline_ms),
        }
    }

    /// What is left when so much was spent.
    #[must_use]
    pub fn without(self, fuel: u64, took: Duration) -> Self {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Self {
            fuel: self.fuel.saturating_sub(fuel),
            deadline_ms: self.deadline_ms.saturating_sub(took_ms),
        }
    }

    /// Whether fuel or time is used up.
    #[must_use]
    pub fn is_spent(self) -> bool {
        self.fuel == 0 || self.deadline_ms == 0
    }

    /// The deadline in ticks. One more, because the first tick may come at once.
    pub(crate) fn deadline_ticks(self) -> u64 {
        self.deadline_ms.div_ceil(TICK_MS).max(1).saturating_add(1)
    }
}

impl EngineLimits {
    /// What one call of a guest may spend.
    #[must_use]
    pub fn budget(&self) -> Budget {
        Budget {
            fuel: self.fuel,
            deadline_ms: self.deadline_ms,
        }
    }
}

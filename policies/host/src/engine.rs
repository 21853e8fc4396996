//! The engine: one for the process, with its settings, its pool of instances and its guard.

use std::any::Any;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use leasehold_domain::limits::MODULE_CORE_INSTANCES_MAX;
use leasehold_domain::limits::MODULE_MEMORIES_MAX;
use wasmtime::Cache;
use wasmtime::CacheConfig;
use wasmtime::Config;
use wasmtime::Enabled;
use wasmtime::Engine;
use wasmtime::EngineWeak;
use wasmtime::InstanceAllocationStrategy;
use wasmtime::OptLevel;
use wasmtime::PoolingAllocationConfig;
use wasmtime::WasmBacktraceDetails;
use wasmtime::component::Linker;

use crate::compiling::Compiling;
use crate::convert::shortened;
use crate::error::HostError;
use crate::guest::Guest;
use crate::guest::linker;
use crate::inspection::FEATURES;
use crate::limits::CACHED_BYTES_MAX;
use crate::limits::CACHED_FILES_MAX;
use crate::limits::COMPILER_STACK_BYTES;
use crate::limits::EngineLimits;
use crate::limits::KEEP_RESIDENT_BYTES;
use crate::limits::TABLES_PER_INSTANCE_MAX;
use crate::limits::TICK_MS;
use crate::verdict_cache::CacheCounters;
use crate::verdict_cache::VerdictCache;
use crate::verdict_cache::VerdictCacheStats;

/// Compiles policies and runs them. Clones share one engine; it ends with its last module.
#[derive(Clone)]
pub struct PolicyEngine {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    linker: Linker<Guest>,
    limits: EngineLimits,
    compiling: Compiling,
    cache: Option<Cache>,
    counting: Arc<CacheCounters>,
}

impl PolicyEngine {
    /// An engine with its pool of instances, and the thread that enforces the deadline.
    ///
    /// # Errors
    /// [`HostError::Engine`] if this machine refuses the reservations or the thread.
    pub fn new(limits: EngineLimits) -> Result<Self, HostError> {
        Self::open(limits, config(&limits), None)
    }

    /// The same, with compiled modules kept in a directory, by the module's bytes, the settings and
    /// the compiler's version. What is in the directory is executed: nobody else may write to it.
    /// Files that cannot be read or written cost time and nothing else.
    ///
    /// # Errors
    /// [`HostError::Engine`] if the path is not absolute, or as for [`PolicyEngine::new`].
    pub fn with_cache(limits: EngineLimits, directory: &Path) -> Result<Self, HostError> {
        let mut settings = CacheConfig::new();
        settings
            .with_directory(directory)
            .with_file_count_soft_limit(CACHED_FILES_MAX)
            .with_files_total_size_soft_limit(CACHED_BYTES_MAX);
        let failed = |error: wasmtime::Error| HostError::Engine(format!("{error:#}"));
        let cache = Cache::new(settings).map_err(failed)?;
        Self::open(limits, config(&limits), Some(cache))
    }

    fn open(
        limits: EngineLimits,
        mut config: Config,
        cache: Option<Cache>,
    ) -> Result<Self, HostError> {
        let failed = |error: wasmtime::Error| HostError::Engine(format!("{error:#}"));
        let engine = Engine::new(config.cache(cache.clone())).map_err(failed)?;
        let linker = linker(&engine).map_err(failed)?;
        start_ticker(engine.weak()).map_err(|error| HostError::Engine(error.to_string()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                linker,
                limits,
                compiling: Compiling::default(),
                cache,
                counting: Arc::default(),
            }),
        })
    }

    /// Runs one step of a compilation on a thread whose stack is large enough for the recursion that
    /// the inspection's limits leave, and turns its panic into an error.
    /// Blocks while as many modules are compiled as may be at once.
    pub(crate) fn on_a_compiler_thread<T: Send>(
        &self,
        run: impl FnOnce() -> Result<T, HostError> + Send,
    ) -> Result<T, HostError> {
        let _slot = self.inner.compiling.begin();
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("policy-compiler".to_owned())
                .stack_size(COMPILER_STACK_BYTES)
                .spawn_scoped(scope, run)
                .map_err(|error| HostError::Engine(error.to_string()))?
                .join()
                .unwrap_or_else(|panic| Err(HostError::Panicked(message_of(panic.as_ref()))))
        })
    }

    /// How many modules were read from the directory of compiled ones, and how many had to be
    /// compiled for it; none without a directory.
    #[must_use]
    pub fn cache_hits_and_misses(&self) -> Option<(usize, usize)> {
        let cache = self.inner.cache.as_ref()?;
        Some((cache.cache_hits(), cache.cache_misses()))
    }

    /// Returns the counts of the verdict caches of all its modules.
    #[must_use]
    pub fn verdict_cache_stats(&self) -> VerdictCacheStats {
        self.inner.counting.read()
    }

    /// Creates an empty verdict cache; `None` if caching is off.
    pub(crate) fn new_verdict_cache(&self) -> Option<VerdictCache> {
        let bytes = self.inner.limits.verdict_cache_bytes;
        let made = || VerdictCache::new(bytes, self.inner.counting.clone()).ok();
        (bytes > 0).then(made).flatten()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn linker(&self) -> &Linker<Guest> {
        &self.inner.linker
    }

    pub(crate) fn limits(&self) -> &EngineLimits {
        &self.inner.limits
    }
}

impl fmt::Debug for PolicyEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyEngine")
            .field("limits", self.limits())
            .finish_non_exhaustive()
    }
}

/// What a panic said.
fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    shortened(text.unwrap_or("it panicked").to_owned())
}

/// The guard's clock. It holds the engine weakly, and ends when the engine has gone.
fn start_ticker(engine: EngineWeak) -> std::io::Result<()> {
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(Duration::from_millis(TICK_MS));
        }
    };
    std::thread::Builder::new()
        .name("policy-guard".to_owned())
        .spawn(tick)
        .map(drop)
}

/// Settings under which a verdict depends on the module and its arguments alone.
fn config(limits: &EngineLimits) -> Config {
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)))
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack_bytes)
        .concurrency_support(false)
        .memory_init_cow(true)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_features(FEATURES, true)
        .wasm_features(FEATURES.complement(), false)
        // One thread and one function at a time: the others serve requests.
        .parallel_compilation(false)
        // Backtraces cost more than the trap, and show nothing that the author's own tests do not.
        .wasm_backtrace_max_frames(None)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .native_unwind_info(false)
        .generate_address_map(false);
    config
}

const CORE_INSTANCES_MAX: u32 = MODULE_CORE_INSTANCES_MAX as u32;

/// Slots that are cleaned in place: only the pages that the guest wrote are copied back, so that a
/// call makes no system call that takes the process's memory lock.
fn pool(limits: &EngineLimits) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.instances)
        .total_core_instances(limits.instances.saturating_mul(CORE_INSTANCES_MAX))
        .total_memories(limits.instances.saturating_mul(2))
        .total_tables(limits.instances.saturating_mul(4))
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MODULE_MEMORIES_MAX as u32)
        .max_tables_per_component(TABLES_PER_INSTANCE_MAX)
        .max_memories_per_module(MODULE_MEMORIES_MAX as u32)
        .max_tables_per_module(2)
        .max_component_instance_size(256 << 10)
        .max_core_instance_size(256 << 10)
        .max_memory_size(limits.memory_bytes)
        .table_elements(10_000)
        .max_unused_warm_slots(limits.instances)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_compiler_is_an_error_that_says_what_it_said() {
        let engine = PolicyEngine::new(EngineLimits::default()).unwrap();
        let panicked = engine.on_a_compiler_thread(|| -> Result<(), _> { panic!("at {}", 7) });
        assert_eq!(panicked, Err(HostError::Panicked("at 7".to_owned())));
        let after = engine.on_a_compiler_thread(|| Ok(7));
        assert_eq!(after, Ok(7), "the next module is compiled");
    }

    #[test]
    fn a_module_that_was_compiled_before_is_not_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let (_, wasm) = crate::stock::MODULES[0];
        let digest = |engine: PolicyEngine| engine.compile(wasm).unwrap().digest();
        let open = || PolicyEngine::with_cache(EngineLimits::default(), folder.path()).unwrap();
        let first = open();
        let compiled = digest(first.clone());
        assert_eq!(first.cache_hits_and_misses(), Some((0, 1)));
        let second = open();
        assert_eq!(digest(second.clone()), compiled);
        assert_eq!(second.cache_hits_and_misses(), Some((1, 0)));
        // Other settings, another compilation.
        let limits = EngineLimits {
            memory_bytes: 8 << 20,
            ..EngineLimits::default()
        };
        let third = PolicyEngine::with_cache(limits, folder.path()).unwrap();
        assert_eq!(digest(third), compiled);
    }

    #[test]
    fn the_largest_pool_that_can_be_configured_can_be_reserved() {
        let limits = EngineLimits {
            instances: 10_000,
            ..EngineLimits::default()
        };
        PolicyEngine::new(limits).expect("80 TiB of address space, and no memory");
    }
}

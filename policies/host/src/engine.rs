//! The engine: one for the process, with its settings, its pool of instances and its guard.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::Config;
use wasmtime::Enabled;
use wasmtime::Engine;
use wasmtime::EngineWeak;
use wasmtime::InstanceAllocationStrategy;
use wasmtime::OptLevel;
use wasmtime::PoolingAllocationConfig;
use wasmtime::WasmBacktraceDetails;
use wasmtime::component::Linker;

use crate::error::HostError;
use crate::guest::Guest;
use crate::guest::linker;
use crate::limits::EngineLimits;
use crate::limits::KEEP_RESIDENT_BYTES;
use crate::limits::TICK_MS;
use crate::module::Module;

/// Compiles policies and runs them. Clones share one engine; it ends with its last module.
#[derive(Clone)]
pub struct PolicyEngine {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    linker: Linker<Guest>,
    limits: EngineLimits,
}

impl PolicyEngine {
    /// An engine with its pool of instances, and the thread that enforces the deadline.
    ///
    /// # Errors
    /// [`HostError::Engine`] if this machine refuses the reservations or the thread.
    pub fn new(limits: EngineLimits) -> Result<Self, HostError> {
        let failed = |error: wasmtime::Error| HostError::Engine(format!("{error:#}"));
        let engine = Engine::new(&config(&limits)).map_err(failed)?;
        let linker = linker(&engine).map_err(failed)?;
        start_ticker(engine.weak()).map_err(|error| HostError::Engine(error.to_string()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                linker,
                limits,
            }),
        })
    }

    /// Verifies a module out of the way of requests: validates, compiles and links it, reads and
    /// checks its manifest, and runs the test cases that it carries. Blocks for about 1.5 ms of CPU
    /// per KiB; call it away from request threads.
    ///
    /// # Errors
    /// Why the module is refused. No other module is touched by that.
    pub fn compile(&self, wasm: &[u8]) -> Result<Arc<Module>, HostError> {
        Module::compile(self, wasm)
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
        // These are on by default in this engine, and no policy needs them.
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        // Backtraces cost more than the trap, and show nothing that the author's own tests do not.
        .wasm_backtrace_max_frames(None)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .native_unwind_info(false)
        .generate_address_map(false);
    config
}

/// Slots that are cleaned in place: only the pages that the guest wrote are copied back, so that a
/// call makes no system call that takes the process's memory lock.
fn pool(limits: &EngineLimits) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.instances)
        // A component that traces has three core instances: its own and two adapters.
        .total_core_instances(limits.instances.saturating_mul(4))
        .total_memories(limits.instances)
        .total_tables(limits.instances.saturating_mul(2))
        .max_core_instances_per_component(8)
        .max_memories_per_component(1)
        .max_tables_per_component(4)
        .max_memories_per_module(1)
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

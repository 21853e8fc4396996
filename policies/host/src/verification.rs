//! Verification of a module: what it must pass before a policy can be made of it.

use std::sync::Arc;

use crate::cases;
use crate::engine::PolicyEngine;
use crate::error::HostError;
use crate::module::Module;

impl PolicyEngine {
    /// Verifies a module: validates it and counts its parts, compiles and links it, reads and checks
    /// its manifest, and runs the test cases that it carries. Runs on one thread of its own; as many
    /// modules are compiled at once as there are processors, but at most four. Blocks for about 2 ms per KiB; call it away from request threads.
    ///
    /// # Errors
    /// Why the module is refused. No other module is affected. A panic on the way is
    /// [`HostError::Panicked`].
    pub fn compile(&self, wasm: &[u8]) -> Result<Arc<Module>, HostError> {
        self.on_a_compiler_thread(|| {
            let module = Arc::new(Module::compile(self, wasm)?);
            cases::run_embedded(&module, wasm)?;
            Ok(module)
        })
    }

    /// The same without its test cases: for tools, which run each of them and tell more.
    ///
    /// # Errors
    /// As for [`PolicyEngine::compile`].
    pub fn compile_untested(&self, wasm: &[u8]) -> Result<Arc<Module>, HostError> {
        self.on_a_compiler_thread(|| Ok(Arc::new(Module::compile(self, wasm)?)))
    }
}

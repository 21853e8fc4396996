//! Thoughts for the policy's author.

/// Tells the author what the policy thinks: shown by `explain`, otherwise dropped. Costs fuel, and
/// has no effect on the verdict. Outside WebAssembly it does nothing.
pub fn trace(message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::trace(message);
    #[cfg(not(target_arch = "wasm32"))]
    let _ = message;
}

/// [`trace`](fn@crate::trace) with a format string.
#[macro_export]
macro_rules! trace {
    ($($part:tt)*) => {
        $crate::trace(&::std::format!($($part)*))
    };
}

/// Traces the text of a panic from here on, for a policy that calls it first in `check` and `decide`.
/// A panic is a trap, and of a trap the gateway keeps what was traced last, for those who may see it.
/// Costs fuel. Outside WebAssembly it does nothing.
pub fn trace_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| crate::bindings::trace(&panic.to_string())));
}

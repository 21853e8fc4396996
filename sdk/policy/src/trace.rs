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

/// Traces the text of a panic from here on. A panic is a trap, and of a trap the gateway keeps what
/// was traced last, for those who may see it.
///
/// `export_policy!` calls this before each call of a policy, so a policy need not; one that installs a
/// hook of its own replaces this one. Outside WebAssembly it does nothing.
pub fn trace_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| trace(&panic_text(panic))));
}

/// How much of a panic's text is traced: the gateway takes no more of a message than that.
#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "panics are traced in WebAssembly only")
)]
const PANIC_BYTES_MAX: usize = 1_024;

#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "panics are traced in WebAssembly only")
)]
fn panic_text(panic: &std::panic::PanicHookInfo<'_>) -> String {
    let mut text = panic.to_string();
    text.truncate(text.floor_char_boundary(PANIC_BYTES_MAX));
    text
}

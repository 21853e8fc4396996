//! The real binary, over HTTP, with real restarts.

mod lock;

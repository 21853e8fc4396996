#![doc = include_str!("../README.md")]

mod backend;
mod documents;
mod shared;

pub use backend::MemoryBackend;

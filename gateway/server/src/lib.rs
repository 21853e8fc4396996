#![doc = include_str!("../README.md")]

pub mod app;
mod bootstrap;
pub mod descriptors;
mod greeting;
mod serve;

pub use serve::serve;

#[cfg(test)]
mod tests;

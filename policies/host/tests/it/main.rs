//! The host with the real engine: the contract kept, and every way to break it.

mod binding;
mod contract;
mod guest;
mod hostile;
mod loading;
mod stock;

//! The host with the real engine: the contract kept, and every way to break it.

mod binding;
mod bombs;
mod contract;
mod fuzz;
mod guest;
mod hostile;
mod inputs;
mod loading;
mod shapes;
mod stock;
mod stubs;
mod upload;
mod work;

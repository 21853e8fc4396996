#![doc = include_str!("../README.md")]

mod app;
mod authentication;
mod bootstrap;
mod config;
mod governance;
mod greeting;
mod http;
mod listener;
mod pipeline;
mod serve;
mod telemetry;
mod waits;

pub mod cli;

pub use app::{App, AppError};
pub use config::{Config, ConfigError, Overrides};
pub use http::openapi_document;
pub use serve::serve;

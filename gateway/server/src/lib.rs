#![doc = include_str!("../README.md")]

pub mod app;
pub mod authentication;
pub mod backup;
mod bookkeeping;
pub mod bootstrap;
pub mod caller;
pub mod config;
mod data_dir;
mod denials;
mod embedded;
pub mod failure;
mod field_limits;
pub mod governance;
pub mod greeting;
pub mod http;
mod input;
pub mod limiting;
mod listener;
pub mod moving;
pub mod pipeline;
pub mod places;
pub mod safety;
pub mod serve;
pub mod services;
pub mod steering;
mod storage_note;
mod store_client;
pub mod stores;
pub mod tasks;
pub mod telemetry;
pub mod waits;
pub mod watches;
mod watchman;

pub mod cli;
mod concession;
mod descriptors;

pub use app::AppError;
pub use config::{Config, ConfigError, Overrides};
pub use http::openapi_document;
pub use serve::serve;
pub use services::App;

#![doc = include_str!("../README.md")]

pub mod authentication;
pub mod authorization;
pub mod backup;
pub mod bookkeeping;
pub mod caller;
pub mod concession;
pub mod config;
pub mod data_dir;
pub mod denials;
pub mod embedded;
pub mod failure;
pub mod field_limits;
pub mod governance;
pub mod input;
pub mod moving;
pub mod pipeline;
pub mod places;
pub mod safety;
pub mod steering;
mod storage_note;
mod store_client;
pub mod stores;
pub mod tasks;
pub mod telemetry;
pub mod waits;
pub mod watches;
mod watchman;

//! What every lsx tool shares: the stack document, the contract, the plan engine, the hosts.

pub mod document;
pub mod failure;
pub mod host;
pub mod log;
pub mod plan;
pub mod signal;
pub mod stack;
pub mod stdio;

pub use failure::{Failure, Failures, Kind, Place};

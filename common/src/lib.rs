//! What every lsx tool shares: the stack document, the contract, the plan engine, the hosts.

pub mod failure;
pub mod fleet;
pub mod stack;

pub use failure::{Failure, Failures, Kind, Place};

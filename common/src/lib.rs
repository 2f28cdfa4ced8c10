//! Code that all lsx tools share: the stack document, verbs, the plan engine, hosts.

pub mod cli;
mod complete;
pub mod document;
pub mod failure;
pub mod fleet;
pub mod help;
pub mod host;
pub mod http;
pub mod live;
pub mod log;
pub mod manual;
pub mod offer;
pub mod people;
pub mod plan;
pub mod printable;
pub mod secret;
pub mod signal;
pub mod stack;
pub mod stdio;
pub mod table;
pub mod tool;
pub mod verb;

pub use failure::{Failure, Failures, Kind, Place};

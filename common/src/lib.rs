//! Code that all lsx tools share: verbs, the plan engine, hosts, and the stack document (a crate of its own).

pub mod cli;
mod complete;
pub mod document;
pub mod fleet;
pub mod help;
pub mod host;
pub mod http;
pub mod journal;
pub mod live;
pub mod log;
pub mod manual;
pub mod mountinfo;
pub mod offer;
pub mod people;
pub mod plan;
pub mod secret;
pub mod signal;
pub mod stdio;
pub mod table;
pub mod tool;
pub mod transfer;
pub mod verb;

pub use lsx_stack::{self as stack, Failure, Failures, Kind, Place, failure, printable};

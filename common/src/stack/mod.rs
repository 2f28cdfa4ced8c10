//! The stack document: the one thing a person writes, and what every tool derives from it the same way.

pub mod resolved;

pub use resolved::Resolved;

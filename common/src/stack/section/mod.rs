//! Sections of single tools, each whole in its folder: what it is, how it is read, and its rules.

pub(crate) mod balance;

pub use balance::{Algorithm, Balance, Mode, Sticky};

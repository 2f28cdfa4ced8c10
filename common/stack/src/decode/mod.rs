//! A small decoder that continues after a mistake, so that all mistakes are reported at once.

pub(crate) mod at;
mod foreign;
mod given;
mod hosts;
mod instances;
mod log;
pub(crate) mod near;
mod networks;
pub(crate) mod outside;
mod path;
mod ports;
mod sections;
mod stack;
pub(crate) mod words;

pub use hosts::MTU as HOST_MTU;

pub(crate) use at::{At, Table, string};
pub(crate) use log::{Log, Spot};
pub use near::hint;
pub(crate) use networks::overlay;
pub(crate) use path::Path;
pub(crate) use stack::stack;

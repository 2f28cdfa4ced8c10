//! What an engine needs for an instance; pure.

pub mod bundle;
pub mod inventory;
pub mod limits;
pub mod mounts;
pub mod proxy;
mod stop;
mod syscalls;
pub mod values;

//! What an engine needs for an instance; pure.

pub(crate) mod bundle;
pub(crate) mod inventory;
pub(crate) mod limits;
pub(crate) mod mounts;
pub(crate) mod proxy;
mod stop;
mod syscalls;
pub(crate) mod values;

//! What an engine needs for an instance; pure.

pub mod bundle;
mod mounts;
mod stop;
mod syscalls;

//! What an engine is given for an instance; pure.

pub mod bundle;
mod mounts;
mod stop;
mod syscalls;

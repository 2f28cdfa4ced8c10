//! lsx-net.

pub mod probe;

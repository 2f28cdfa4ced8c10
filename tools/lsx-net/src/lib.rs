//! lsx-net.

pub mod netlink;
pub mod probe;

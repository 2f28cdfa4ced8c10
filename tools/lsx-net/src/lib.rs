//! lsx-net.

pub mod netlink;

//! The kernel's network configuration over rtnetlink: links, addresses, routes, neighbours, namespaces; synchronous,
//! without `ip`.
//!
//! Functions that change something build a [`Request`]; a [`Socket`] sends it, alone or with many in flight. Building is
//! pure, so a plan can be turned into requests, and the socket alone decides the namespace.

pub(crate) mod addr;
mod ask;
pub(crate) mod conntrack;
pub(crate) mod dump;
mod error;
pub(crate) mod link;
pub(crate) mod listeners;
pub(crate) mod neigh;
pub(crate) mod nftables;
pub(crate) mod route;
mod socket;
pub(crate) mod sysctl;
mod wire;

pub(crate) use common::host::namespace;
pub(crate) use error::NetlinkError;
pub(crate) use link::{Device, Mac};
pub(crate) use socket::{Request, Socket};

#[cfg(test)]
mod tests;

//! The kernel's network configuration over rtnetlink: links, addresses, routes, neighbours, namespaces; synchronous,
//! without `ip`.
//!
//! Functions that change something build a [`Request`]; a [`Socket`] sends it, alone or with many in flight. Building is
//! pure, so a plan can be turned into requests, and the socket alone decides the namespace.

pub mod addr;
mod ask;
pub mod conntrack;
pub mod dump;
mod error;
pub mod link;
pub mod listeners;
pub mod namespace;
pub mod neigh;
pub mod nftables;
pub mod route;
mod socket;
pub mod sysctl;
mod wire;

pub use error::NetlinkError;
pub use link::{Device, Mac};
pub use socket::{Request, Socket};

#[cfg(test)]
mod tests;

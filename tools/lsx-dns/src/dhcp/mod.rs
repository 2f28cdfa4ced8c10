//! DHCP: dnsmasq in the router, for the networks that ask for it. What changes while it runs is in files that it reads again at
//! SIGHUP, so that nothing is started again.

mod database;
mod discover;
mod explain;
mod leases;

pub(crate) use database::{Told, told};
pub(crate) use discover::{check, discovered};
pub use explain::Offer;
pub(crate) use explain::{explain, mac};
pub use leases::{Lease, Leases};
pub(crate) use leases::{MOST, answered, asked};

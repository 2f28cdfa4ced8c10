//! What hosts are asked about the S3 server, and what they say.

use crate::model::Objects;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddrV4};

/// What a host is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) stack: String,
    /// What the server serves; without buckets elsewhere than on its host, since only that has the keys.
    pub(super) objects: Objects,
    /// From where it is asked.
    pub(super) from: Vec<From>,
}

/// The instances of a network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct From {
    pub(super) network: String,
    /// The server, as they reach it.
    pub(super) server: SocketAddrV4,
    /// The first of them that runs asks.
    pub(super) askers: Vec<Asker>,
}

/// An instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Asker {
    pub(super) name: String,
    /// Its address and hardware address, by which its namespace is found.
    pub(super) address: Ipv4Addr,
    pub(super) mac: String,
}

/// One request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tried {
    /// The instance that asked, or the network of which none could.
    pub(super) from: String,
    pub(super) server: SocketAddrV4,
    /// None if it was the server as a whole.
    pub(super) bucket: Option<String>,
    /// What it does not do.
    pub(super) what: String,
    /// Why it failed.
    pub(super) why: Option<String>,
    /// What to do then.
    pub(super) hint: Option<String>,
}

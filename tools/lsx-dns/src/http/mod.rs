//! HTTP/1 for the servers of this tool: requests without bodies, replies, and connections in limited time.

mod reply;
pub(crate) mod request;
mod talk;

pub(crate) use reply::{Part, Reply, Sent};
pub(crate) use request::Request;
pub(crate) use talk::{Answer, talk};

/// The number of connections of a server.
pub(crate) const MOST: usize = 512;

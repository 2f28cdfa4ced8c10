//! Dynamic updates (RFC 2136): who may change what, what a message asks for, and the journal of what was changed.
//!
//! A name belongs to whoever made it: the stack, or a client of the document. Nobody changes a name of the stack. Of two clients the
//! one whose kind of owner comes first takes a name from the other; among clients of one kind the name stays with the first. Clients
//! of DHCP come last.

pub(crate) mod follow;
pub(crate) mod keys;
pub(crate) mod leased;
pub(crate) mod line;
pub(crate) mod message;
pub(crate) mod news;
pub(crate) mod replay;
pub(crate) mod rules;
pub(crate) mod state;
pub(crate) mod writer;

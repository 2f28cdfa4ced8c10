//! What the steps of a plan need on their hosts before the first one: bytes by their digests, and secrets.

mod granted;

pub use granted::Granted;

use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one object of a plan needs on its host.
#[derive(Clone, Debug, Default)]
pub struct Needs<'p> {
    /// Bytes: their digest, and their name in the document for messages, such as `image web`.
    pub bytes: Vec<(&'p str, String)>,
    /// Secrets.
    pub secrets: Vec<NeededSecret<'p>>,
}

/// A secret that an object needs on its host.
#[derive(Clone, Copy, Debug)]
pub struct NeededSecret<'p> {
    /// Its name in the document.
    pub name: &'p str,
    /// The digest of its value, as planned.
    pub digest: &'p str,
    /// Its place on the operator's machine, as [`crate::secret::place`] gives it. None if the document no longer names it:
    /// then the host must have the value.
    pub place: Option<&'p str>,
}

/// The two machines of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// The one where the verb was started.
    Operator,
    /// A host of the stack.
    Host,
}

/// A store of bytes by their digests, on either machine.
pub trait Bytes {
    /// The store, for messages: `the image store of this machine, /var/lib/lsx/images`.
    fn place(&self) -> String;

    /// The bytes that a document such as an image's manifest names, itself among them, with their sizes; none for other bytes.
    fn parts(&self, digest: &str) -> Vec<(String, u64)>;

    /// Those of `digests` that are not in the store. The others are kept until they are used.
    fn missing(&self, digests: &[String]) -> Vec<String>;

    /// A piece of them; shorter than `most` only at their end.
    ///
    /// # Errors
    /// If they are missing or cannot be read.
    fn piece(&self, digest: &str, offset: u64, most: usize) -> Result<Vec<u8>, Failure>;

    /// Stores a piece from another machine. After the last one the digest is verified, and others are refused.
    ///
    /// # Errors
    /// Kind `Data` for another digest, `Again` for a piece out of order.
    fn receive(&self, digest: &str, offset: u64, bytes: &[u8], last: bool) -> Result<(), Failure>;
}

/// The code of a failure: of the tool, since the codes of lsx-ct are older than the engine's transfer.
pub(crate) fn code(tool: &str, what: &str) -> String {
    format!("{tool}{what}")
}

/// A piece of some bytes, on its way to a host.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) digest: String,
    pub(crate) offset: u64,
    /// Base64 (RFC 4648).
    pub(crate) data: String,
    pub(crate) last: bool,
}

/// The secrets of a stack for one host, by name.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Secrets {
    pub(crate) stack: String,
    pub(crate) values: BTreeMap<String, SentSecret>,
}

/// A value and its expected digest.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SentSecret {
    pub(crate) digest: String,
    /// Base64 (RFC 4648). Absent if the host must have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<String>,
}

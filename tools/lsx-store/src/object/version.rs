//! How versions are called. Their names begin with their turn, so that their order is that of their names.

use super::About;
use super::place::random;
use std::io;

/// The version of an object that was written while its bucket had none.
pub(crate) const NULL: &str = "null";
/// The length of the name of a version, and that of its beginning, its turn; both in hexadecimal digits.
pub(super) const LONG: usize = 24;
const TURN: usize = 16;

/// Whether a bucket has versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versions {
    /// It never had.
    Off,
    Enabled,
    /// Those that are there stay; new objects have none.
    Suspended,
}

/// What was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deleted {
    /// It is, or was, one that only says that the object was deleted.
    pub(crate) marker: bool,
    pub(crate) version: Option<String>,
}

/// How the version of an object is called.
pub(crate) fn named(about: &About) -> &str {
    about.version.as_deref().unwrap_or(NULL)
}

/// Whether a version can have this name.
pub(crate) fn valid(version: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    version == NULL || (version.len() == LONG && version.bytes().all(digit))
}

/// The turn of a version, if its name has it.
pub(super) fn turn_of(version: &str) -> Option<u64> {
    u64::from_str_radix(version.get(..TURN)?, 16).ok()
}

impl Versions {
    /// Says which version a new object is: one after the newest, also when the clock was set back.
    pub(super) fn stamp(self, about: &mut About, newest: u64) -> io::Result<()> {
        let now = common::log::clock().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let turn = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).max(newest.saturating_add(1));
        (about.version, about.turn) = match self {
            Versions::Off => (None, None),
            Versions::Suspended => (None, Some(turn)),
            Versions::Enabled => (Some(format!("{turn:0TURN$x}{}", &random()?[..LONG - TURN])), Some(turn)),
        };
        Ok(())
    }
}

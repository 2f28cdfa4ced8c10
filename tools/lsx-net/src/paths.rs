//! The files of lsx-net. /run is lost at reboot, /etc is kept.

use common::host::file;
use common::{Failure, Kind};
use std::path::{Path, PathBuf};

/// Reads a record; a damaged one counts as empty, so that its objects are created again.
///
/// # Errors
/// If this process may not read it.
pub(crate) fn note(path: &Path) -> Result<Option<String>, Failure> {
    match file::read(path) {
        Err(failure) if failure.kind != Kind::Denied => Ok(Some(String::new())),
        text => text,
    }
}

/// The files of one stack on this host.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    stack: String,
}

impl Paths {
    /// Those of a stack, whose name has been validated.
    pub(crate) fn new(stack: &str) -> Self {
        Paths { stack: stack.to_owned() }
    }

    /// All stacks that keep anything here.
    pub(crate) fn stacks() -> Vec<String> {
        let entries = std::fs::read_dir("/etc/lsx").into_iter().flatten().flatten();
        let kept = entries.filter(|e| e.path().join("net.json").is_file());
        kept.filter_map(|e| e.file_name().into_string().ok()).collect()
    }

    /// Run-time state: rules as they were loaded.
    pub(crate) fn run(&self) -> PathBuf {
        PathBuf::from(format!("/run/lsx/{}", self.stack))
    }

    /// The rules of a place as text, and the digest of their listing.
    pub(crate) fn rules(&self, place: crate::model::RulesAt) -> PathBuf {
        self.run().join(format!("{}.nft", place.word()))
    }

    /// Folder with the stacks that need forwarding, and the previous ip_forward.
    pub(crate) fn routing() -> PathBuf {
        PathBuf::from("/run/lsx/routing")
    }

    /// This stack's entry there.
    pub(crate) fn routing_user(&self) -> PathBuf {
        Self::routing().join(format!("{}.user", self.stack))
    }

    /// Whether this stack needs forwarding.
    pub(crate) fn uses_routing(&self) -> bool {
        self.routing_user().exists()
    }
}

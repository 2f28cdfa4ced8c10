//! Where lsx-net keeps what it must find again. /run goes with a reboot, /etc stays.

use common::host::boot::Entry;
use common::host::file;
use common::{Failure, Kind};
use std::path::{Path, PathBuf};

/// Reads what was noted in a file; one that is damaged counts as empty, so that what it is about is made anew.
///
/// # Errors
/// When this process may not read it.
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
    /// Of a stack, whose name has been checked.
    pub(crate) fn new(stack: &str) -> Self {
        Paths { stack: stack.to_owned() }
    }

    /// Every stack that keeps something here.
    pub(crate) fn stacks() -> Vec<String> {
        let entries = std::fs::read_dir("/etc/lsx").into_iter().flatten().flatten();
        let kept = entries.filter(|e| e.path().join("net.json").is_file());
        kept.filter_map(|e| e.file_name().into_string().ok()).collect()
    }

    /// What the host keeps: intent.
    pub(crate) fn intent(&self) -> PathBuf {
        PathBuf::from(format!("/etc/lsx/{}/net.json", self.stack))
    }

    /// The entry that brings it back.
    pub(crate) fn boot(&self) -> Entry<'_> {
        Entry { order: 10, stack: &self.stack, tool: "net" }
    }

    /// What only this boot knows: rules as they were loaded.
    pub(crate) fn run(&self) -> PathBuf {
        PathBuf::from(format!("/run/lsx/{}", self.stack))
    }

    /// The rules of a place as text, and their listing's digest.
    pub(crate) fn rules(&self, place: crate::model::Place) -> PathBuf {
        self.run().join(format!("{}.nft", place.word()))
    }

    /// Folder that tells who needs routing and what ip_forward was before.
    pub(crate) fn routing() -> PathBuf {
        PathBuf::from("/run/lsx/routing")
    }

    /// This stack's entry there.
    pub(crate) fn routing_user(&self) -> PathBuf {
        Self::routing().join(format!("{}.user", self.stack))
    }

    /// Whether this stack needs routing.
    pub(crate) fn uses_routing(&self) -> bool {
        self.routing_user().exists()
    }
}

//! The hosts of a stack, recorded on each of its hosts, to find hosts that the document no longer names.

use super::file::{self, Mode};
use crate::document;
use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// Maximum number of hosts recorded for a stack, since records are copied between hosts.
pub const MOST: usize = 1000;
const ROOT: &str = "/etc/lsx";
const NAME: &str = "hosts.json";

#[derive(Serialize, Deserialize)]
struct Roll {
    schema: String,
    stack: String,
    hosts: BTreeSet<Ipv4Addr>,
}

fn path(stack: &str) -> PathBuf {
    Path::new(ROOT).join(stack).join(NAME)
}

/// The underlay addresses of all hosts that a stack has had, as recorded on this host. A damaged record counts as empty.
pub fn read(stack: &str) -> BTreeSet<Ipv4Addr> {
    let text = file::read(&path(stack)).ok().flatten().unwrap_or_default();
    let hosts = serde_json::from_str::<Roll>(&text).map(|roll| roll.hosts).unwrap_or_default();
    hosts.into_iter().take(MOST).collect()
}

/// Records them here.
///
/// # Errors
/// Kind `Denied` or `Failed` with the path.
pub fn write(stack: &str, hosts: BTreeSet<Ipv4Addr>) -> Result<(), Failure> {
    let roll = Roll { schema: document::schema("stack", "hosts"), stack: stack.to_owned(), hosts };
    file::write(&path(stack), &document::canonical(&roll)?, Mode::Private).map(|_| ())
}

/// Removes the record when no tool keeps anything of the stack here.
pub fn leave(stack: &str) {
    leave_in(&Path::new(ROOT).join(stack));
}

fn leave_in(folder: &Path) {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    if entries.all(|entry| entry.file_name() == NAME) {
        let _ = file::remove(&folder.join(NAME));
        folder.ancestors().take(2).for_each(file::remove_empty);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_the_last_that_is_kept() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("lsx/office");
        std::fs::create_dir_all(&folder).unwrap();
        for name in [NAME, "net.json"] {
            std::fs::write(folder.join(name), "{}").unwrap();
        }
        leave_in(&folder);
        assert!(folder.join(NAME).exists());
        std::fs::remove_file(folder.join("net.json")).unwrap();
        leave_in(&folder);
        assert!(!top.path().join("lsx").exists() && top.path().exists());
    }
}

//! Finds the format of an archive by its content: an OCI, Docker or LXD image, or plain files.

use super::entries::Entries;
use super::limits::{self, BOUNDS};
use super::{decode, refused, unreadable};
use common::Failure;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The documents that identify the format.
const DOCUMENTS: [&str; 4] = ["oci-layout", "index.json", "manifest.json", "metadata.yaml"];
/// Top-level names of a root file system that no image has: then nothing else is read.
const ROOTS: [&str; 9] = ["bin", "boot", "dev", "etc", "lib", "proc", "sbin", "usr", "var"];

/// What an archive contains: its small documents, its links, and whether it has plain files.
#[derive(Debug, Default)]
pub(super) struct Survey {
    path: String,
    documents: BTreeMap<String, Vec<u8>>,
    /// A name that begins with rootfs/.
    rootfs: bool,
    /// Names that are links to others, as `docker save` wrote layers shared by two images.
    pub(super) links: BTreeMap<String, String>,
    files: bool,
}

/// Formats of archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArchiveForm {
    Layout,
    Saved,
    Lxd,
    Rootfs,
}

/// Reads through an archive.
pub(super) fn of(path: &Path) -> Result<Survey, Failure> {
    let file = limits::open(path).map_err(|e| unreadable(path, &e))?;
    look(file).map(|s| Survey { path: path.display().to_string(), ..s }).map_err(|e| unreadable(path, &e))
}

fn look(file: File) -> io::Result<Survey> {
    let mut survey = Survey::default();
    let mut links = 0;
    let (_, plain) = decode::open(file)?;
    let mut entries = Entries::new(plain, BOUNDS);
    while let Some(entry) = entries.next()? {
        let name = name(&entry.name);
        let first = name.split('/').next().unwrap_or_default();
        if ROOTS.contains(&first) {
            survey.files = true;
            break;
        }
        survey.rootfs |= first == "rootfs";
        if DOCUMENTS.contains(&name.as_str()) && entry.kind.is_file() && entry.size <= limits::DOCUMENT {
            let mut bytes = Vec::new();
            entries.read_to_end(&mut bytes)?;
            survey.documents.insert(name, bytes);
        } else if entry.kind.is_symlink() || entry.kind.is_hard_link() {
            links += 1;
            if links > limits::BLOBS || entry.name.len() + entry.link.len() > limits::PATH {
                continue; // not a layer's
            }
            let folder =
                if entry.kind.is_symlink() { name.rsplit_once('/').map_or("", |(f, _)| f) } else { "" };
            let target = beside(folder, &String::from_utf8_lossy(&entry.link));
            survey.links.insert(name, target);
        }
        if survey.rootfs && survey.documents.contains_key("metadata.yaml") {
            break;
        }
    }
    Ok(survey)
}

/// A name in normal form.
pub(super) fn name(bytes: &[u8]) -> String {
    beside("", &String::from_utf8_lossy(bytes))
}

/// The target of a relative name. It is only compared, never opened.
fn beside(folder: &str, name: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|p| !p.is_empty()).collect();
    for part in name.split('/').filter(|p| !p.is_empty() && *p != ".") {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

impl Survey {
    /// The format.
    pub(super) fn kind(&self) -> Result<ArchiveForm, Failure> {
        let has = |name: &str| self.documents.contains_key(name);
        Ok(match () {
            () if self.files => ArchiveForm::Rootfs,
            () if has("oci-layout") && has("index.json") => ArchiveForm::Layout,
            () if has("manifest.json") => ArchiveForm::Saved,
            () if has("metadata.yaml") && self.rootfs => ArchiveForm::Lxd,
            () if has("metadata.yaml") => {
                return Err(refused(
                    "archive",
                    format!("{} is only the metadata of an LXD image, without rootfs", self.path),
                )
                .hint("name both files: lxd:METADATA,ROOTFS"));
            }
            () => ArchiveForm::Rootfs,
        })
    }

    /// A document in the archive.
    pub(super) fn document(&self, name: &str) -> Result<&[u8], Failure> {
        let found = self.documents.get(name).map(Vec::as_slice);
        found.ok_or_else(|| refused("archive", format!("{}: {name} is missing in it", self.path)))
    }
}

//! Images of LXD and Incus: metadata.yaml and a root file system, in one archive or two files.

use super::entries::{Entries, Entry};
use super::limits::{self, BOUNDS};
use super::store::Store;
use super::survey::{self, Survey};
use super::{decode, manifest, refused, unreadable};
use common::Failure;
use common::host::Program;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// The parts of metadata.yaml that are used.
#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    architecture: String,
}

impl Store {
    /// Two files.
    pub(super) fn lxd(&self, metadata: &Path, rootfs: &Path) -> Result<String, Failure> {
        let architecture = architecture(metadata, survey::of(metadata)?.document("metadata.yaml")?)?;
        let mut file = limits::open(rootfs).map_err(|e| unreadable(rootfs, &e))?;
        let head = decode::head(&mut file).map_err(|e| unreadable(rootfs, &e))?;
        if !head.starts_with(b"hsqs") {
            return self.rootfs(rootfs, Some(&architecture));
        }
        let aside = self.aside()?;
        let files = aside.path().join("rootfs");
        let plain = aside.path().join("rootfs.tar");

        let program = Program::new("unsquashfs").args(["-no-progress", "-quiet", "-dest"]);
        program.args([files.as_path(), rootfs]).run(b"")?;
        pack(&files, &plain)?;
        self.rootfs(&plain, Some(&architecture))
    }

    /// One archive. Its root file system is packed again without its parent folder.
    pub(super) fn unified(&self, path: &Path, survey: &Survey) -> Result<String, Failure> {
        let architecture = architecture(path, survey.document("metadata.yaml")?)?;
        let aside = self.aside()?;
        let plain = aside.path().join("rootfs.tar");
        let written =
            File::create_new(&plain).map_err(|e| common::host::file::failure(&plain, "write", &e))?;
        let file = limits::open(path).map_err(|e| unreadable(path, &e))?;
        lifted(file, BufWriter::with_capacity(decode::BUFFER, written)).map_err(|e| unreadable(path, &e))?;
        self.rootfs(&plain, Some(&architecture))
    }

    /// A folder for temporary data; removed when dropped.
    pub(super) fn aside(&self) -> Result<tempfile::TempDir, Failure> {
        let parts = self.folder("parts")?;
        tempfile::tempdir_in(&parts).map_err(|e| common::host::file::failure(&parts, "write into", &e))
    }
}

/// Packs a folder: owners by number, attributes, hard links; in a fixed order.
pub(super) fn pack(folder: &Path, archive: &Path) -> Result<(), Failure> {
    let how =
        ["--create", "--format=posix", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--sort=name"];
    // Access times and the time of packing would change the digest each time.
    let same = ["--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime", "--file"];
    let program = Program::new("tar").args(how).args(same).args([archive]);
    program.args(["--directory"]).args([folder]).args(["."]).run(b"")?;
    Ok(())
}

fn architecture(path: &Path, metadata: &[u8]) -> Result<String, Failure> {
    let text = String::from_utf8_lossy(metadata);
    let metadata: Metadata = serde_yaml::from_str(&text).map_err(|e| {
        refused("archive", format!("{}: metadata.yaml cannot be read", path.display())).because(e)
    })?;
    let word = manifest::architecture_of(&metadata.architecture);
    let word = if word.is_empty() { manifest::architecture() } else { word };
    if word == manifest::architecture() {
        return Ok(word.to_owned());
    }
    Err(manifest::other_machine(&path.display().to_string(), word))
}

/// The entries below rootfs/, and links among them, without that prefix.
fn lifted(from: File, to: impl Write) -> io::Result<()> {
    let (_, plain) = decode::open(from)?;
    let mut entries = Entries::new(plain, BOUNDS);
    let mut builder = Builder::new(to);
    while let Some(mut entry) = entries.next()? {
        let Some(name) = below(&entry.name) else { continue };
        entry.name = name;
        if entry.kind.is_hard_link() {
            entry.link = below(&entry.link).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "a file in rootfs/ is a link to one outside of it")
            })?;
        }
        append(&mut builder, &entry, &mut entries)?;
    }
    if !entries.ended {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    builder.into_inner()?.flush()
}

fn below(name: &[u8]) -> Option<Vec<u8>> {
    let name = name.strip_prefix(b"./").unwrap_or(name);
    let rest = name.strip_prefix(b"rootfs")?;
    match rest {
        b"" | b"/" => Some(b"./".to_vec()),
        rest => rest.strip_prefix(b"/").map(<[u8]>::to_vec),
    }
}

/// Writes one entry, preceded by extended headers if needed.
pub(super) fn append<W: Write>(builder: &mut Builder<W>, entry: &Entry, data: impl Read) -> io::Result<()> {
    let mut records: Vec<(String, Vec<u8>)> =
        entry.xattrs.iter().map(|(key, value)| (format!("SCHILY.xattr.{key}"), value.clone())).collect();
    let mut header = Header::new_ustar();
    header.set_entry_type(entry.kind);
    header.set_mode(entry.mode);
    header.set_uid(entry.uid.into());
    header.set_gid(entry.gid.into());
    header.set_size(entry.size);
    header.set_mtime(u64::try_from(entry.mtime.0).unwrap_or(0));
    if matches!(entry.kind, EntryType::Char | EntryType::Block) {
        header.set_device_major(entry.device.0)?;
        header.set_device_minor(entry.device.1)?;
    }
    if entry.mtime.0 < 0 {
        records.push(("mtime".to_owned(), entry.mtime.0.to_string().into_bytes()));
    }
    let old = header.as_old_mut();
    for (field, bytes, key) in
        [(&mut old.name, &entry.name, "path"), (&mut old.linkname, &entry.link, "linkpath")]
    {
        let short = &bytes[..bytes.len().min(field.len())];
        field[..short.len()].copy_from_slice(short);
        if short.len() < bytes.len() {
            records.push((key.to_owned(), bytes.clone()));
        }
    }
    header.set_cksum();
    if !records.is_empty() {
        builder.append_pax_extensions(records.iter().map(|(k, v)| (k.as_str(), v.as_slice())))?;
    }
    builder.append(&header, data)
}

//! The files of an image as one archive: layers are read twice, first to find which entry of which layer is visible in the
//! end, then to write those. Nothing is unpacked, so root is not needed.

use super::entries::{Entries, Entry};
use super::limits::{self, BOUNDS};
use super::place::clean;
use super::store::Store;
use super::{decode, lxd, unreadable};
use common::Failure;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use tar::{Builder, EntryType};

/// The layer, counted from the lowest, and the entry in it.
type At = (usize, u64);
type Layer = Entries<Box<dyn io::Read>>;

#[derive(Default)]
struct Paths {
    kept: limits::Kept,
    /// The visible entry of a name.
    names: BTreeMap<Vec<u8>, At>,
    /// Files whose own name is hidden while another name of theirs is visible.
    carried: HashMap<At, Vec<Vec<u8>>>,
    /// Links that are written with the data of their file.
    done: Vec<At>,
    /// The file of each name, in the layer being read.
    files: HashMap<Vec<u8>, u64>,
    /// Links of all layers: layer, names, and the names and places of their files.
    links: Vec<(At, Vec<u8>, Vec<u8>, u64)>,
}

impl Store {
    /// Writes the files of an image into an archive, with a prefix.
    pub(super) fn merged(
        &self,
        layers: &[String],
        prefix: &str,
        to: &mut Builder<impl Write>,
    ) -> Result<(), Failure> {
        let mut seen = Paths::default();
        for (number, layer) in layers.iter().enumerate() {
            seen.files.clear();
            self.each(layer, |at, entry, _| seen.add((number, at), entry))?;
        }
        seen.settle();
        for (number, layer) in layers.iter().enumerate() {
            self.each(layer, |at, entry, data| seen.write((number, at), entry, data, prefix, to))?;
        }
        Ok(())
    }

    fn each(
        &self,
        layer: &str,
        mut act: impl FnMut(u64, Entry, &mut Layer) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let what = self.blob(layer)?;
        let broken = |e: io::Error| unreadable(&what, &e);
        let file: File = self.open_blob(layer)?;
        let (_, plain) = decode::open(file).map_err(broken)?;
        let mut entries = Entries::new(plain, BOUNDS);
        let mut at = 0;
        while let Some(entry) = entries.next().map_err(broken)? {
            act(at, entry, &mut entries)?;
            at += 1;
        }
        Ok(())
    }
}

impl Paths {
    fn add(&mut self, at: At, entry: Entry) -> Result<(), Failure> {
        let name = clean(&entry.name)?;
        let (parent, own) = split(&name);
        if own == b".wh..wh..opq" {
            self.hide_below(parent, at.0);
        } else if own.starts_with(b".wh..wh.") {
        } else if let Some(hidden) = own.strip_prefix(b".wh.") {
            let hidden = if parent.is_empty() { hidden.to_vec() } else { [parent, hidden].join(&b'/') };
            if self.names.get(&hidden).is_some_and(|there| there.0 < at.0) {
                self.names.remove(&hidden);
            }
            self.hide_below(&hidden, at.0);
        } else if !matches!(entry.kind, EntryType::Char | EntryType::Block) {
            if entry.kind.is_hard_link() {
                let target = clean(&entry.link)?;
                if let Some(file) = self.files.get(&target).copied() {
                    self.kept.name(&[&name[..], &target].concat())?;
                    self.files.insert(name.clone(), file);
                    self.links.push((at, name.clone(), target, file));
                }
            } else if entry.kind.is_file() {
                self.files.insert(name.clone(), at.1);
            }
            if !entry.kind.is_dir() {
                self.hide_below(&name, usize::MAX);
            }
            self.kept.name(&name)?;
            self.names.insert(name, at);
        }
        Ok(())
    }

    /// Removes the entries of a folder in the layers below `layer`.
    fn hide_below(&mut self, folder: &[u8], layer: usize) {
        let (from, to) = match folder {
            b"" => (Vec::new(), vec![0xff]),
            folder => ([folder, b"/"].concat(), [folder, b"0"].concat()), // 0 is what follows /
        };
        let hidden = self.names.range(from..to).filter(|(name, at)| !name.is_empty() && at.0 < layer);
        let hidden: Vec<Vec<u8>> = hidden.map(|(name, _)| name.clone()).collect();
        hidden.iter().for_each(|name| _ = self.names.remove(name));
    }

    /// Finds links whose file is hidden under its own name: they get its data.
    fn settle(&mut self) {
        for (at, name, target, file) in std::mem::take(&mut self.links) {
            let owner = (at.0, file);
            let linked = |there: &At| *there == owner || self.done.contains(there);
            let shown = self.names.get(&name) == Some(&at);
            if shown && !self.names.get(&target).is_some_and(linked) {
                self.carried.entry(owner).or_default().push(name);
                self.done.push(at);
            }
        }
    }

    fn write(
        &self,
        at: At,
        mut entry: Entry,
        data: &mut Layer,
        prefix: &str,
        to: &mut Builder<impl Write>,
    ) -> Result<(), Failure> {
        let failed = |e: io::Error| common::host::file::failure(Path::new("the archive"), "write", &e);
        let below = |name: &[u8]| [prefix.as_bytes(), name].concat();
        let name = clean(&entry.name)?;
        if let Some(names) = self.carried.get(&at).filter(|_| self.names.get(&name) != Some(&at)) {
            let (first, others) = names.split_at(1);
            entry.name = below(&first[0]);
            lxd::append(to, &entry, &mut *data).map_err(failed)?;
            (entry.kind, entry.size, entry.link) = (EntryType::Link, 0, below(&first[0]));
            return others.iter().try_for_each(|name| {
                entry.name = below(name);
                lxd::append(to, &entry, io::empty()).map_err(failed)
            });
        }
        if self.names.get(&name) != Some(&at) || self.done.contains(&at) {
            return Ok(());
        }
        entry.name = match entry.kind {
            EntryType::Directory if name.is_empty() => below(b"./"),
            EntryType::Directory => [below(&name), b"/".to_vec()].concat(),
            _ => below(&name),
        };
        if entry.kind.is_hard_link() {
            entry.link = below(&clean(&entry.link)?);
        }
        lxd::append(to, &entry, data).map_err(failed)
    }
}

fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|b| *b == b'/') {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (b"", name),
    }
}

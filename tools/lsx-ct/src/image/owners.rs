//! The highest user or group id of an image's files: an instance with fewer ids shows them as nobody's.

use super::decode;
use super::entries::Entries;
use super::limits::BOUNDS;
use super::store::Store;
use common::Failure;
use std::collections::BTreeMap;
use std::io;

impl Store {
    /// See the module. Each layer is read once; one that cannot be read is reported when it is unpacked.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub(crate) fn highest_id(&self, manifest: &str) -> Result<u32, Failure> {
        let known = self.index()?.ids;
        let (mut highest, mut new) = (0, BTreeMap::new());
        for layer in self.blobs(manifest)?.into_iter().skip(2).map(|blob| blob.digest) {
            let found = known.get(&layer).copied().or_else(|| {
                let read = self.open_blob(&layer).map_err(io::Error::other).and_then(read);
                let read = read.inspect_err(|e| tracing::debug!("{layer} cannot be read: {e}")).ok()?;
                new.insert(layer, read);
                Some(read)
            });
            highest = highest.max(found.unwrap_or_default());
        }
        if !new.is_empty() {
            self.amend(|index| index.ids.extend(new))?;
        }
        Ok(highest)
    }
}

fn read(layer: impl io::Read) -> io::Result<u32> {
    let mut entries = Entries::new(decode::open(layer)?.1, BOUNDS);
    let mut highest = 0;
    while let Some(entry) = entries.next()? {
        highest = highest.max(entry.uid).max(entry.gid);
    }
    Ok(highest)
}

//! What the stacks of this host use: all digests in their intents and instances.

use crate::paths;
use common::Failure;
use common::host::file;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Digests of images and files, from the intent of every stack and from every instance. A file that cannot be read is a
/// failure: what it uses must not be removed.
///
/// # Errors
/// File errors.
pub(crate) fn used() -> Result<BTreeSet<String>, Failure> {
    used_in(Path::new("/etc/lsx"), Path::new(paths::DISK))
}

fn used_in(etc: &Path, disk: &Path) -> Result<BTreeSet<String>, Failure> {
    let mut found = BTreeSet::new();
    let instances = below(disk)?.iter().map(|stack| below(stack)).collect::<Result<Vec<_>, _>>()?;
    let instances = instances.into_iter().flatten().map(|instance| instance.join("instance.json"));
    for path in below(etc)?.into_iter().map(|stack| stack.join("ct.json")).chain(instances) {
        let text = file::read(&path)?.unwrap_or_default();
        found.extend(digests(&text).map(str::to_owned));
    }
    Ok(found)
}

/// The folders in a folder; none if it does not exist.
fn below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(file::failure(folder, "read", &e)),
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()),
    }
}

/// All digests in a text, whatever they mean, so that documents of other versions can be read, too.
fn digests(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("sha256:").filter_map(|(at, prefix)| {
        let digest = text.get(at..at + prefix.len() + 64)?;
        super::digest::hex(digest).ok().map(|_| digest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::digest;
    use common::host::{Mode, write};

    #[test]
    fn what_intents_and_instances_name_is_used() {
        let temp = tempfile::tempdir().unwrap();
        let (etc, disk) = (temp.path().join("etc"), temp.path().join("disk"));
        assert_eq!(used_in(&etc, &disk).unwrap(), BTreeSet::new());
        let [one, two] = [digest::of(b"1"), digest::of(b"2")];
        let text = format!(r#"{{"image":{{"digest":"{one}"}},"other":"sha256:12"}}"#);
        write(&etc.join("office/ct.json"), text.as_bytes(), Mode::Private).unwrap();
        write(&etc.join("boot.d/50-office-ct"), two.as_bytes(), Mode::Private).unwrap();
        assert_eq!(used_in(&etc, &disk).unwrap(), BTreeSet::from([one.clone()]));
        write(&disk.join("office/db/instance.json"), two.as_bytes(), Mode::Private).unwrap();
        assert_eq!(used_in(&etc, &disk).unwrap(), BTreeSet::from([one, two]));
    }
}

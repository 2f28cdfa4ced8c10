//! Who uses a volume: instances have it mounted in a view of their own, other programs have files of it open.

use super::place;
use crate::failure::{Failure, Kind};
use crate::mountinfo::mounts;
use std::fs::{read, read_dir, read_link, read_to_string};
use std::path::Path;

/// Fails while somebody uses a volume, whose content is at a path.
///
/// # Errors
/// Kind `Again`, with the program.
pub fn none(stack: &str, name: &str, path: &Path) -> Result<(), Failure> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let place = place(stack, name);
    let own = mounts(&read("/proc/self/mountinfo").unwrap_or_default());
    let above =
        own.iter().filter(|mount| path.starts_with(&mount.at)).max_by_key(|mount| mount.at.as_os_str().len());
    let folder =
        above.and_then(|mount| Some((&mount.disk, mount.root.join(path.strip_prefix(&mount.at).ok()?))));
    let view = read_link("/proc/self/ns/mnt").ok();
    for process in read_dir("/proc").into_iter().flatten().flatten() {
        let number = process.file_name().to_string_lossy().into_owned();
        if !number.bytes().all(|byte| byte.is_ascii_digit()) || number == std::process::id().to_string() {
            continue;
        }
        let at = process.path();
        let opened = || {
            let files = read_dir(at.join("fd")).into_iter().flatten().flatten().map(|entry| entry.path());
            files
                .chain([at.join("cwd"), at.join("root")])
                .any(|file| read_link(file).is_ok_and(|to| to.starts_with(&path) || to.starts_with(&place)))
        };
        let mounted = || {
            let text = read(at.join("mountinfo")).unwrap_or_default();
            mounts(&text).iter().any(|mount| {
                folder
                    .as_ref()
                    .is_some_and(|(disk, root)| mount.disk == **disk && mount.root.starts_with(root))
            })
        };
        // In this view the place of the volume is a mount, too.
        let same = read_link(at.join("ns/mnt")).ok() == view;
        if if same { opened() } else { mounted() || opened() } {
            let program = read_to_string(at.join("comm")).unwrap_or_default();
            let message = format!("volume {name} is used by process {number} ({})", program.trim());
            return Err(Failure::new(Kind::Again, "store.used", message)
                .hint("stop what uses it, such as `lsx-ct stop NAME`, then run this again"));
        }
    }
    Ok(())
}

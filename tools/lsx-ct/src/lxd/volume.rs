//! Fills a new volume from the image: owner, mode and content at its path, requested from the server while the instance is
//! stopped.

use super::client::{Client, Refused, header};
use super::forkfile::{absent, at, steady};
use super::{Lxd, ServerInstance};
use crate::accounts::{Accounts, Alone};
use crate::model::Instance;
use crate::oci::{disk, volume};
use crate::paths;
use common::host::file::{self, Mode};
use common::host::volume as stored;
use common::{Failure, Kind};
use serde_json::Value;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::time::Duration;
use ureq::http::Method;

/// Maximum number of files and folders, and maximum depth.
const MOST: u32 = 100_000;
const DEPTH: usize = 128;
/// Time limit for reading a file.
const OPENED: Duration = Duration::from_secs(60);

/// See [`Client::seen`].
pub(super) struct FileInfo {
    /// `file`, `directory` or `symlink`.
    pub(super) kind: String,
    pub(super) owner: (u32, u32),
    pub(super) mode: u32,
}

impl Client {
    /// The entry at a path of an instance: type, owner, mode and content. `None` if there is none. The servers
    /// report a pipe as a file, and opening it would block for ever: so files reported as empty are not opened. LXD 5.0 reports
    /// no size.
    pub(super) fn seen(&self, path: &str) -> Result<Option<(FileInfo, Vec<u8>)>, Refused> {
        let Some((seen, size)) = self.looked_at(path)? else { return Ok(None) };
        if seen.kind == "file" && size == Some(0) {
            return Ok(Some((seen, Vec::new())));
        }
        let response = self.call(Method::GET, path, &[], (), OPENED)?;
        match response.status().as_u16() {
            200 => Ok(Some((seen, self.body(response)?))),
            404 => Ok(None),
            _ => self.reply("GET", path, response).map(|_| None),
        }
    }

    fn looked_at(&self, path: &str) -> Result<Option<(FileInfo, Option<u64>)>, Refused> {
        let Some(response) = self.head(path)? else { return Ok(None) };
        let said = |name: &str| header(&response, &self.header(name)).unwrap_or_default();
        let number = |name: &str| said(name).parse().unwrap_or_default();
        let mode = u32::from_str_radix(said("mode").trim_start_matches("0o"), 8).unwrap_or_default();
        let seen =
            FileInfo { kind: said("type"), owner: (number("uid"), number("gid")), mode: mode & 0o7777 };
        Ok(Some((seen, header(&response, "content-length").and_then(|size| size.parse().ok()))))
    }
}

impl Lxd {
    /// Fills empty volumes, and sets owner and mode from the document.
    pub(super) fn fill(
        &self,
        stack: &str,
        wanted: &Instance,
        held: &ServerInstance,
        accounts: &Accounts,
    ) -> Result<(), Failure> {
        for volume in &wanted.volumes {
            let path = paths::volume(stack, &volume.name);
            let told = |e: std::io::Error| file::failure(&path, "fill", &e);
            match stored::ready(stack, &volume.name)? {
                _ if held.runs() => {}
                Some(folder) => volume::fill_new(&folder, &path, |_| {
                    self.copy(&held.name, &volume.path, &path, (0, &mut MOST.clone()))
                })?,
                None if std::fs::read_dir(&path).map_err(told)?.next().is_none() => {
                    self.copy_up(&held.name, &volume.path, &path)?;
                }
                None => {}
            }
            if let Some(owner) = &volume.owner {
                let (user, group) = self.owner(accounts, &wanted.name, (owner, Alone::Same))?;
                chown(&path, Some(user), Some(group)).map_err(told)?;
            }
            if let Some(mode) = volume.mode {
                std::fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(told)?;
            }
        }
        Ok(())
    }

    /// Filled aside and renamed: a volume with content is complete.
    fn copy_up(&self, engine: &str, inside: &str, path: &Path) -> Result<(), Failure> {
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        volume::sweep(above)?;
        let aside = above.join(format!(".{}.{}", name.display(), std::process::id()));
        disk::folder_with(&aside, 0o755)?;
        let mut left = MOST;
        let filled = self.copy(engine, inside, &aside, (0, &mut left));
        let done =
            filled.and_then(|()| std::fs::rename(&aside, path).map_err(|e| file::failure(path, "fill", &e)));
        if done.is_err() {
            file::remove_tree(&aside)?;
        }
        done
    }

    fn copy(
        &self,
        engine: &str,
        inside: &str,
        to: &Path,
        (depth, left): (usize, &mut u32),
    ) -> Result<(), Failure> {
        let seen = match steady(|| self.client.seen(&at(engine, inside))) {
            Err(refused) if absent(&refused) => None,
            seen => seen?,
        };
        let Some((seen, bytes)) = seen else { return Ok(()) };
        let told = |e: std::io::Error| file::failure(to, "fill", &e);
        *left = left.checked_sub(1).filter(|_| depth <= DEPTH).ok_or_else(|| too_much(inside))?;
        match seen.kind.as_str() {
            "directory" => {
                disk::folder_with(to, 0o700)?;
                let listed: Value = serde_json::from_slice(&bytes).unwrap_or_default();
                for name in listed["metadata"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if name.is_empty() || name.contains('/') || matches!(name, "." | "..") {
                        return Err(too_much(inside));
                    }
                    let below = format!("{}/{name}", inside.trim_end_matches('/'));
                    self.copy(engine, &below, &to.join(name), (depth + 1, left))?;
                }
            }
            "file" if depth > 0 => _ = file::write(to, &bytes, Mode::Private)?,
            "symlink" if depth > 0 => {
                let target = String::from_utf8_lossy(&bytes).into_owned();
                // The server makes it absolute.
                let beside = format!("{}/", inside.rsplit_once('/').map_or("", |(above, _)| above));
                let target = target.trim_end_matches('\n');
                symlink(target.strip_prefix(&beside).unwrap_or(target), to).map_err(told)?;
                return lchown(to, Some(seen.owner.0), Some(seen.owner.1)).map_err(told);
            }
            _ => return Ok(()), // not a folder in the image
        }
        chown(to, Some(seen.owner.0), Some(seen.owner.1)).map_err(told)?;
        std::fs::set_permissions(to, Permissions::from_mode(seen.mode)).map_err(told)
    }
}

fn too_much(inside: &str) -> Failure {
    let message = format!("the folder {inside} of the image cannot be copied into a volume");
    Failure::new(Kind::Failed, "ct.lxd.volume", message)
        .hint("it has more than 100,000 files, or invalid names; mount the volume at another path")
}

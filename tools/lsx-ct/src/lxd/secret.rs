//! Secrets of an instance: files in memory that belong to its user, or to the owner in the document, mounted at
//! /run/secrets.

use super::{Lxd, ServerInstance};
use crate::accounts::Alone;
use crate::model::{Condition, Instance, State};
use crate::paths;
use common::host::file;
use common::{Failure, Kind};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

impl Lxd {
    /// Writes them before the instance starts; unwanted ones are removed.
    pub(super) fn give_secrets(
        &self,
        stack: &str,
        wanted: &Instance,
        held: &ServerInstance,
    ) -> Result<(), Failure> {
        let folder = paths::secrets(stack, &wanted.name);
        clear(&folder, |name| wanted.secrets.iter().any(|s| s.name == name))?;
        if wanted.secrets.is_empty() {
            return forget(stack, &wanted.name);
        }
        super::folder(&folder)?;
        let (accounts, user) = (self.accounts(&held.name)?, self.first(wanted)?.user);
        let root = held.root();
        let own = |path: &Path, mode: u32, (user, group): (u32, u32)| {
            chown(path, Some(user), Some(group))
                .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(mode)))
                .map_err(|e| file::failure(path, "set owner and mode of", &e))
        };
        for secret in &wanted.secrets {
            let from = paths::secret(stack, &secret.name);
            let value = std::fs::read(&from).map_err(|e| {
                Failure::new(
                    Kind::Failed,
                    "ct.lxd.secret",
                    format!("secret {} is missing on this host", secret.name),
                )
                .because(format!("{}: {e}", from.display()))
                .hint("send it with: lsx-ct up STACK")
            })?;
            let path = folder.join(&secret.name);
            file::write(&path, &value, file::Mode::Private)?;
            let owner = match &secret.owner {
                Some(owner) => (owner.as_str(), Alone::Same),
                None => (user.as_str(), Alone::Root),
            };
            let (user, group) = self.owner(&accounts, &wanted.name, owner)?;
            let shifted = |id: u32| root.checked_add(id).ok_or_else(|| beyond(&secret.name, id));
            own(&path, secret.mode.unwrap_or(0o400), (shifted(user)?, shifted(group)?))?;
        }
        own(&folder, 0o555, (root, root))?;
        // Closed to users of the host; liblxc enters as root of the instance.
        folder.parent().map_or(Ok(()), |above| own(above, 0o710, (0, root)))
    }
}

fn beyond(secret: &str, id: u32) -> Failure {
    Failure::new(Kind::Data, "ct.lxd.secret", format!("secret {secret}: {id} is not an id of an instance"))
}

/// The condition of an instance that runs without its secrets, which were in /run: it cannot see new files there. `None` if
/// all exist.
pub(super) fn lost(stack: &str, instance: &Instance) -> Option<Condition> {
    let folder = paths::secrets(stack, &instance.name);
    let gone = instance.secrets.iter().find(|secret| !folder.join(&secret.name).exists())?;
    let why = format!("its secret {} is gone from {}; `lsx-ct up` restarts it", gone.name, folder.display());
    Some(Condition { state: State::Stopped, why: Some(why), ..Condition::default() })
}

/// Removes all of them and their folders.
pub(super) fn forget(stack: &str, name: &str) -> Result<(), Failure> {
    let folder = paths::secrets(stack, name);
    clear(&folder, |_| false)?;
    folder.ancestors().take(4).for_each(file::remove_empty);
    Ok(())
}

fn clear(folder: &Path, keep: impl Fn(&str) -> bool) -> Result<(), Failure> {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if !keep(&entry.file_name().to_string_lossy()) {
            file::remove(&entry.path())?;
        }
    }
    Ok(())
}

//! Secrets of an instance: files in memory that belong to its own first user, mounted at /run/secrets.

use super::Held;
use crate::model::Instance;
use crate::paths;
use common::host::file;
use common::{Failure, Kind};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

/// Writes them, for the instance to find when it starts; what is there and not wanted goes.
pub(super) fn write(stack: &str, wanted: &Instance, held: &Held) -> Result<(), Failure> {
    let folder = paths::secrets(stack, &wanted.name);
    clear(&folder, |name| wanted.secrets.iter().any(|s| s.name == name))?;
    if wanted.secrets.is_empty() {
        forget(stack, &wanted.name)?;
        return Ok(());
    }
    super::folder(&folder)?;
    let own = |path: &Path, mode: u32| {
        chown(path, Some(held.root()), Some(held.root()))
            .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(mode)))
            .map_err(|e| file::failure(path, "hand over", &e))
    };
    for secret in &wanted.secrets {
        let from = paths::secret(stack, &secret.name);
        let value = std::fs::read(&from).map_err(|e| {
            Failure::new(Kind::Failed, "ct.lxd.secret", format!("secret {} is not on this host", secret.name))
                .because(format!("{}: {e}", from.display()))
                .hint("bring it here: lsx-ct up STACK")
        })?;
        let path = folder.join(&secret.name);
        file::write(&path, &value, file::Mode::Private)?;
        own(&path, 0o400)?;
    }
    own(&folder, 0o500)
}

/// Removes all of them and the folders that held them.
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

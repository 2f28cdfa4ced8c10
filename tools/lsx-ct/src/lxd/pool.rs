//! The storage pool for root disks: the first that exists, else one of lsx, which is removed with the last instance.

use super::Lxd;
use super::client::OPERATION;
use common::host::file;
use common::{Failure, Kind};
use nix::fcntl::FlockArg;
use serde_json::{Value, json};
use std::path::Path;
use ureq::http::Method;

/// The mark of lsx's storage pool.
const MARK: &str = "user.lsx";
/// Its name.
const POOL: &str = "lsx";
/// The end of the path of such a pool's folder.
const FOLDER: &str = "storage-pools/lsx";
/// The server's message about such a folder without a pool.
const THERE: &str = "Storage pool directory";
/// The server's message about a pool that it knows and cannot use.
pub(super) const UNAVAILABLE: &str = "Storage pool is unavailable";

impl Lxd {
    /// The pool for root disks. None if a profile defines a root disk.
    pub(super) fn pool(&self, profiles: &[String]) -> Result<Option<String>, Failure> {
        for profile in profiles {
            let got = self.client.get(&format!("/1.0/profiles/{profile}"))?.ok_or_else(|| {
                let message = format!("{} has no profile {profile}", self.client.called());
                Failure::new(Kind::Failed, "ct.lxd.profile", message).hint(format!(
                    "create it, or leave it out: {} profile create {profile}",
                    self.client.program()
                ))
            })?;
            let devices = got.value["devices"].as_object();
            let root = |d: &Value| d["type"] == "disk" && d["path"] == "/";
            if devices.is_some_and(|devices| devices.values().any(root)) {
                return Ok(None);
            }
        }
        if let Some(pool) = self.first_pool()? {
            return Ok(Some(pool));
        }
        let pool = json!({"name": POOL, "driver": "dir", "config": {MARK: "true"},
                          "description": "created by lsx-ct, removed with its last instance"});
        let make = || self.client.send(&Method::POST, "/1.0/storage-pools", &pool, None, OPERATION);
        let made = match make() {
            Err(refused) if refused.says(THERE) => {
                left(&Failure::from(refused)).iter().for_each(|path| clear(Path::new(path)));
                make()
            }
            made => made,
        };
        match self.first_pool()? {
            Some(pool) => Ok(Some(pool)),
            None => Err(made.err().map_or_else(|| self.no_pool(), Failure::from)),
        }
    }

    /// The names of all profiles.
    pub(super) fn profiles(&self) -> Result<Vec<String>, Failure> {
        let got = self.client.get("/1.0/profiles?recursion=1")?;
        let all = got.and_then(|g| g.value.as_array().cloned()).unwrap_or_default();
        Ok(all.iter().filter_map(|profile| profile["name"].as_str()).map(str::to_owned).collect())
    }

    /// Removes lsx's pool if it is empty.
    pub(super) fn tidy_pool(&self) -> Result<(), Failure> {
        let path = format!("/1.0/storage-pools/{POOL}");
        let Some(pool) = self.client.get(&path)? else { return Ok(()) };
        let empty = pool.value["used_by"].as_array().is_none_or(Vec::is_empty);
        if !empty || !pool.value["config"][MARK].is_string() {
            return Ok(());
        }
        match self.gone(&path) {
            Err(refused) if refused.says("in use") => Ok(()),
            Err(refused) => Err(refused.into()),
            Ok(()) => {
                // A server that was killed while it created the pool has forgotten its folder.
                pool.value["config"]["source"].as_str().into_iter().for_each(|path| clear(Path::new(path)));
                Ok(())
            }
        }
    }

    /// Removes lsx's pool if it is empty, so that it is created anew: a server that was killed while it created the pool knows it
    /// without its folder, and can never use it. No other run creates one meanwhile.
    pub(super) fn renew_pool(&self) -> Result<(), Failure> {
        let _alone = self.hold(FlockArg::LockExclusive)?;
        self.tidy_pool()
    }

    fn no_pool(&self) -> Failure {
        Failure::new(Kind::Failed, "ct.lxd.pool", "there is no storage pool")
            .hint(format!("{} storage create lsx dir", self.client.program()))
    }

    fn first_pool(&self) -> Result<Option<String>, Failure> {
        let got = self.client.get("/1.0/storage-pools")?;
        let pools = got.and_then(|g| g.value.as_array().cloned()).unwrap_or_default();
        let first = pools.first().and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
        Ok(first.map(str::to_owned))
    }
}

/// The folder in the server's message, in quotes.
fn left(failure: &Failure) -> Option<String> {
    failure.causes.iter().find_map(|cause| Some(cause.split_once('"')?.1.split_once('"')?.0.to_owned()))
}

/// Removes the leftover folder of lsx's pool, as far as it is empty.
fn clear(path: &Path) {
    if !path.is_absolute() || !path.ends_with(FOLDER) {
        return;
    }
    let inside = std::fs::read_dir(path).into_iter().flatten().flatten();
    inside.for_each(|entry| file::remove_empty(&entry.path()));
    file::remove_empty(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_cleared_when_it_is_a_pools_of_ours_and_empty() {
        let dir = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.join("containers")).unwrap();
            path
        };
        let (ours, other, full) =
            (make("a/storage-pools/lsx"), make("storage-pools/big"), make("b/storage-pools/lsx"));
        file::write(&full.join("containers/file"), b"", file::Mode::Public).unwrap();
        let refused = format!("Storage pool directory \"{}\" already exists", ours.display());
        let failure = Failure::new(Kind::Failed, "x", "POST was refused").because(refused);
        assert_eq!(left(&failure).as_deref(), ours.to_str());
        [&ours, &other, &full].into_iter().for_each(|path| clear(path));
        assert!(!ours.exists() && other.join("containers").exists() && full.join("containers/file").exists());
    }
}

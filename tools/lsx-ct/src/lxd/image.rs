//! Images: added when an instance needs them, removed when none does any more.

use super::client::{OPERATION, Refused};
use super::{Lxd, Supply};
use crate::model::Image;
use common::Failure;
use common::document::hex;
use common::host::file;
use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use ureq::http::Method;

/// The property of lsx's images, for people: the digest of the OCI manifest.
const DIGEST: &str = "lsx.digest";
/// The file name of lsx's images: this prefix and the digits of that digest. It identifies them: unlike a property or alias
/// it is set in the request that creates the image, so that a killed run leaves no unidentified image. (A property could
/// be, too, but LXD 5.0 panics if the image's metadata has none: "assignment to entry in nil map", getImgPostInfo.)
const FILE: &str = "lsx-sha256-";

impl Lxd {
    /// The fingerprint of an image in the server, which is added if it is missing.
    pub(super) fn image(&self, image: &Image) -> Result<String, Failure> {
        if let Some(found) = self.imported(&image.digest)? {
            return Ok(found);
        }
        let outcome = self.import(image);
        match self.imported(&image.digest)? {
            Some(found) => Ok(found), // also if another run was faster
            None => outcome,          // also if somebody else has imported the same file, which is not lsx's
        }
    }

    fn imported(&self, digest: &str) -> Result<Option<String>, Failure> {
        let images = self.images()?;
        let found = images.iter().find(|i| i["filename"] == file_name(digest));
        Ok(found.and_then(|i| i["fingerprint"].as_str()).map(str::to_owned))
    }

    fn images(&self) -> Result<Vec<Value>, Failure> {
        let got = self.client.get("/1.0/images?recursion=1")?;
        Ok(got.and_then(|g| g.value.as_array().cloned()).unwrap_or_default())
    }

    fn import(&self, image: &Image) -> Result<String, Failure> {
        let folder = Path::new(crate::paths::STORE);
        super::folder(folder)?;
        let wrong = |e: std::io::Error| file::failure(folder, "write", &e);
        // An unnamed file, which is removed when this process ends.
        let tarball = tempfile::tempfile_in(folder).map_err(wrong)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", tarball.as_raw_fd()));
        self.supply.tarball(&image.digest, &path)?;
        let headers = [
            (self.client.header("filename"), file_name(&image.digest)),
            ("Content-Type".to_owned(), "application/octet-stream".to_owned()),
        ];
        let imported = match self.client.post("/1.0/images", &headers, &tarball) {
            Err(refused) if refused.says("same fingerprint") => return fingerprint(&path),
            imported => imported?,
        };
        let fingerprint = imported["fingerprint"].as_str().unwrap_or_default();
        let properties = json!({"properties": {DIGEST: image.digest, "description": image.name}});
        let path = format!("/1.0/images/{fingerprint}");
        self.client.send(&Method::PATCH, &path, &properties, None, OPERATION)?;
        let alias = json!({"name": alias(&image.digest), "target": fingerprint, "description": image.name});
        match self.client.send(&Method::POST, "/1.0/images/aliases", &alias, None, OPERATION) {
            Err(refused) if !refused.says("already exists") => Err(refused.into()),
            _ => Ok(fingerprint.to_owned()),
        }
    }

    /// Images, lsx's pool and its init are shared by instances: one run could remove them while another is about to create
    /// an instance. So a run that creates one holds a shared lock, and one that removes things an exclusive lock, on the
    /// folder of the socket, so that no lock file is left.
    pub(super) fn hold(&self, how: FlockArg) -> Result<Flock<File>, Failure> {
        let folder = self.client.folder();
        let opened = File::open(folder).map_err(|e| file::failure(folder, "open", &e))?;
        Flock::lock(opened, how).map_err(|(_, e)| file::failure(folder, "lock", &e.into()))
    }

    /// Removes lsx's images that no instance uses, and its pool if it is empty.
    pub(super) fn tidy(&self) -> Result<(), Failure> {
        let _alone = self.hold(FlockArg::LockExclusive)?;
        let all = self.everything()?;
        let used: Vec<&String> =
            all.iter().filter_map(|held| held.config.get("volatile.base_image")).collect();
        self.take_init(&all)?;
        for image in self.images()? {
            let Some(fingerprint) = image["fingerprint"].as_str() else { continue };
            let ours = image["filename"].as_str().is_some_and(|name| name.starts_with(FILE));
            if ours && !used.iter().any(|u| *u == fingerprint) {
                self.gone(&format!("/1.0/images/{fingerprint}"))?;
            }
        }
        self.tidy_pool()
    }

    /// Removes something; a missing object is no error.
    pub(super) fn gone(&self, path: &str) -> Result<(), Refused> {
        match self.client.send(&Method::DELETE, path, &Value::Null, None, OPERATION) {
            Err(refused) if !refused.missing() => Err(refused),
            _ => Ok(()),
        }
    }
}

fn file_name(digest: &str) -> String {
    format!("{FILE}{}", digest.rsplit(':').next().unwrap_or(digest))
}

/// The server's name of an image: the SHA-256 of its file.
fn fingerprint(path: &Path) -> Result<String, Failure> {
    let wrong = |e: std::io::Error| file::failure(path, "read", &e);
    let mut file = File::open(path).map_err(wrong)?;
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut chunk).map_err(wrong)? {
            0 => return Ok(hex(&hash.finalize())),
            length => hash.update(chunk.get(..length).unwrap_or_default()),
        }
    }
}

/// The alias for people: `lsx-` and the first 16 digits of the digest.
pub(super) fn alias(digest: &str) -> String {
    let digits = digest.rsplit(':').next().unwrap_or(digest);
    format!("lsx-{}", digits.get(..16).unwrap_or(digits))
}

/// Percent-encoding of everything that is not unreserved (RFC 3986 2.3).
pub(super) fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

impl std::fmt::Debug for dyn Supply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Supply")
    }
}

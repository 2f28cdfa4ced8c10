//! Registries, as the OCI distribution specification has them: images are pulled and pushed blob by blob, and only those
//! that are missing on the other side.

mod client;
mod led;
mod login;
mod names;
mod near;
mod patience;
mod push;
mod reference;
mod trust;

use super::limits::{self, BOUNDS, Paced};
use super::store::Store;
use super::{digest, manifest, refused};
use client::{Client, Want};
use common::{Failure, Kind};
use reference::Reference;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How registries are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Where logins are, as `docker login` writes them.
    pub config: Option<PathBuf>,
    /// Where the programs are that this file names for logins; else they are found as all programs are.
    pub helpers: Option<PathBuf>,
    /// Without TLS, whoever the registry is.
    pub insecure: bool,
    /// A certificate that is trusted beside this machine's, for every registry that is asked.
    pub ca: Option<PathBuf>,
    /// Folders with certificates of single registries, as Docker and Podman have them: `HOST:PORT/NAME.crt`.
    pub certificates: Vec<PathBuf>,
    /// Registries that are asked first instead of one, by its host; each may have a path.
    pub mirrors: BTreeMap<String, Vec<String>>,
}

impl Default for Access {
    /// The user's own logins; plain HTTP only for this machine and the lab.
    fn default() -> Access {
        Access {
            config: login::usual(),
            helpers: None,
            insecure: false,
            ca: None,
            certificates: trust::FOLDERS.iter().map(PathBuf::from).collect(),
            mirrors: BTreeMap::new(),
        }
    }
}

impl Access {
    /// Whether somebody named certificates for a registry: then it is asked by TLS, however near it is.
    fn trusts(&self, host: &str) -> bool {
        self.ca.is_some() || self.certificates.iter().any(|folder| folder.join(host).is_dir())
    }
}

/// What may be a manifest.
const ACCEPT: [&str; 4] =
    [manifest::MANIFEST, manifest::INDEX, manifest::DOCKER_MANIFEST, manifest::DOCKER_INDEX];

impl Store {
    /// Pulls an image for this machine; blobs that are here are not asked for. Mirrors are asked first.
    pub(super) fn pull(&self, reference: &str) -> Result<String, Failure> {
        let reference = Reference::parse(reference)?;
        for mirror in self.access.mirrors.get(&reference.host).into_iter().flatten() {
            match reference.on(mirror).and_then(|mirrored| self.pull_from(&mirrored)) {
                Ok(digest) => return Ok(digest),
                // One that is away, busy or lacks it is passed by; one that lies is not.
                Err(failure) if matches!(failure.kind, Kind::Unreachable | Kind::Again | Kind::Failed) => {
                    tracing::warn!("passes by the mirror {mirror}: {}", failure.message);
                }
                Err(failure) => return Err(failure),
            }
        }
        self.pull_from(&reference)
    }

    fn pull_from(&self, reference: &Reference) -> Result<String, Failure> {
        let client = Client::new(reference, &self.access)?;
        let what = format!("docker://{reference}");
        let mut bytes = fetch(&client, &what, &reference.version())?;
        for _ in 0..3 {
            if !manifest::is_index(&bytes) {
                return self
                    .complete(&what, bytes, &|wanted, size| self.pull_blob(&client, &what, wanted, size));
            }
            let chosen = manifest::choose(&what, &bytes)?;
            bytes = fetch(&client, &what, chosen.digest().as_ref())?;
        }
        Err(refused("index", format!("{what}: indexes in indexes in indexes")))
    }

    /// A blob, no bigger than its manifest says: who sends more would fill the disk before its digest is known to be wrong.
    fn pull_blob(&self, client: &Client<'_>, what: &str, wanted: &str, size: u64) -> Result<(), Failure> {
        if self.has(wanted) {
            return Ok(());
        }
        digest::hex(wanted)?;
        tracing::info!("pulls {wanted}");
        let what = format!("{wanted} of {what}");
        limits::room_in(&self.folder("parts")?, size)
            .map_err(|e| e.because(format!("{what} has {size} bytes")))?;
        let answer = client.get(&format!("blobs/{wanted}"), &Want::Found(&format!("blob {wanted}")), &[])?;
        let body = Paced::new(answer.into_body().into_reader(), size.min(BOUNDS.bytes));
        self.take_by(&what, body, Some(wanted), &|e| client.cut(e).because(format!("it sent {what}")))
            .map(drop)
    }
}

/// A manifest by tag or digest; one by digest must have it.
fn fetch(client: &Client<'_>, what: &str, version: &str) -> Result<Vec<u8>, Failure> {
    let answer = client.get(&format!("manifests/{version}"), &Want::Found(what), &ACCEPT)?;
    let bytes = client
        .text(answer, limits::DOCUMENT)
        .map_err(|e| e.because(format!("it is the manifest of {what}")))?;
    match digest::of(&bytes) {
        came if version.starts_with("sha256:") && came != version => {
            Err(digest::differs(what, version, &came))
        }
        _ => Ok(bytes),
    }
}

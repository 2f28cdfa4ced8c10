//! Registries, by the OCI distribution specification: images are pulled and pushed blob by blob, and only missing ones.

mod access;
mod backoff;
mod client;
mod led;
mod login;
mod names;
mod near;
mod push;
mod reference;
mod trust;

pub(crate) use access::{Access, Login, RegistryAccess};

use super::limits::{self, BOUNDS, Paced};
use super::source::Source;
use super::store::Store;
use super::{digest, manifest, refused};
use client::{Client, Want};
use common::{Failure, Kind, log};
use reference::Reference;

/// Media types of manifests.
const ACCEPT: [&str; 4] =
    [manifest::MANIFEST, manifest::INDEX, manifest::DOCKER_MANIFEST, manifest::DOCKER_INDEX];

/// Host and port of the registry that an image comes from, if it comes from one.
pub(crate) fn registry_of(source: &Source) -> Option<String> {
    let Source::Registry(reference) = source else { return None };
    Reference::parse(reference).ok().map(|reference| reference.host)
}

impl Store {
    /// Pulls an image for this machine; existing blobs are not requested. Mirrors are tried first.
    pub(super) fn pull(&self, reference: &str) -> Result<String, Failure> {
        let reference = Reference::parse(reference)?;
        for mirror in self.access.mirrors.get(&reference.host).into_iter().flatten() {
            match reference.on(mirror).and_then(|mirrored| self.pull_from(&mirrored)) {
                Ok(digest) => return Ok(digest),
                // A mirror that is unavailable or lacks the image is skipped; one that sends wrong data is a failure.
                Err(failure) if matches!(failure.kind, Kind::Unreachable | Kind::Again | Kind::Failed) => {
                    let why: String =
                        failure.causes.iter().chain(&failure.hint).map(|why| format!("; {why}")).collect();
                    log::warning(&format!("the mirror {mirror} is skipped: {}{why}", failure.message));
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
        Err(refused("index", format!("{what}: too many nested indexes")))
    }

    /// A blob, limited to the size in its manifest: more data could fill the disk before its digest is found to be wrong.
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
        self.take_by(&what, body, Some(wanted), &|e| client.cut(e).because(format!("it was sending {what}")))
            .map(drop)
    }
}

/// A manifest by tag or digest, which must match.
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

//! Registries, as the OCI distribution specification has them: images are pulled and pushed blob by blob, and only those
//! that are missing on the other side.

mod client;
mod login;
mod names;
mod push;
mod reference;

use super::entries::BOUNDS;
use super::store::{DOCUMENT, Store};
use super::{digest, manifest, refused};
use client::{Client, Want};
use common::Failure;
use reference::Reference;
use std::io::Read;
use std::path::PathBuf;

/// How registries are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Where logins are, as `docker login` writes them.
    pub config: Option<PathBuf>,
    /// Without TLS, whoever the registry is.
    pub insecure: bool,
}

impl Default for Access {
    /// The user's own logins; plain HTTP only for this machine and the lab.
    fn default() -> Access {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let folder = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")));
        Access { config: folder.map(|folder| folder.join("config.json")), insecure: false }
    }
}

/// What may be a manifest.
const ACCEPT: [&str; 4] =
    [manifest::MANIFEST, manifest::INDEX, manifest::DOCKER_MANIFEST, manifest::DOCKER_INDEX];

impl Store {
    /// Pulls an image for this machine; blobs that are here are not asked for.
    pub(super) fn pull(&self, reference: &str) -> Result<String, Failure> {
        let reference = Reference::parse(reference)?;
        let client = Client::new(&reference, &self.access)?;
        let what = format!("docker://{reference}");
        let mut bytes = fetch(&client, &what, &reference.version())?;
        for _ in 0..3 {
            if !manifest::is_index(&bytes) {
                return self.complete(&what, bytes, &|wanted| self.pull_blob(&client, wanted));
            }
            let chosen = manifest::choose(&what, &bytes)?;
            bytes = fetch(&client, &what, chosen.digest().as_ref())?;
        }
        Err(refused("index", format!("{what}: indexes in indexes in indexes")))
    }

    fn pull_blob(&self, client: &Client, wanted: &str) -> Result<(), Failure> {
        if self.has(wanted) {
            return Ok(());
        }
        digest::hex(wanted)?;
        tracing::info!("pulls {wanted}");
        let answer = client.get(&format!("blobs/{wanted}"), &Want::Found(&format!("blob {wanted}")), &[])?;
        let body = answer.into_body().into_reader().take(BOUNDS.bytes);
        self.take_by(wanted, body, Some(wanted), &|e| client.lost(&e.to_string())).map(drop)
    }
}

/// A manifest by tag or digest; one by digest must have it.
fn fetch(client: &Client, what: &str, version: &str) -> Result<Vec<u8>, Failure> {
    let answer = client.get(&format!("manifests/{version}"), &Want::Found(what), &ACCEPT)?;
    let mut bytes = Vec::new();
    let read = answer.into_body().into_reader().take(DOCUMENT + 1).read_to_end(&mut bytes);
    read.map_err(|e| client.lost(&e.to_string()))?;
    if bytes.len() as u64 > DOCUMENT {
        return Err(refused("manifest", format!("{what}: a manifest of more than {DOCUMENT} bytes")));
    }
    match digest::of(&bytes) {
        came if version.starts_with("sha256:") && came != version => {
            Err(digest::differs(what, version, &came))
        }
        _ => Ok(bytes),
    }
}

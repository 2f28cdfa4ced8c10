//! How registries are contacted: logins, certificates, mirrors.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Folders of Docker and Podman for CA certificates of one registry: `HOST:PORT/*.crt` below one of these.
pub(super) const FOLDERS: [&str; 2] = ["/etc/docker/certs.d", "/etc/containers/certs.d"];

/// How to contact registries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// The file of logins, as written by `docker login`.
    pub config: Option<PathBuf>,
    /// Folder of credential helpers; default: PATH.
    pub helpers: Option<PathBuf>,
    /// Use plain HTTP for every registry.
    pub insecure: bool,
    /// A CA certificate in addition to this machine's, for every registry.
    pub ca: Option<PathBuf>,
    /// Folders with CA certificates of single registries, as in Docker and Podman: `HOST:PORT/NAME.crt`.
    pub certificates: Vec<PathBuf>,
    /// Mirrors to try before a registry, by its host; each may have a path.
    pub mirrors: BTreeMap<String, Vec<String>>,
}

impl Default for Access {
    /// The user's own logins; plain HTTP only for loopback addresses and 198.18.0.0/15.
    fn default() -> Access {
        Access {
            config: usual(),
            helpers: None,
            insecure: false,
            ca: None,
            certificates: FOLDERS.iter().map(PathBuf::from).collect(),
            mirrors: BTreeMap::new(),
        }
    }
}

impl Access {
    /// Whether certificates were given for a registry: then TLS is used, even on a loopback address.
    pub(super) fn trusts(&self, host: &str) -> bool {
        self.ca.is_some() || self.certificates.iter().any(|folder| folder.join(host).is_dir())
    }
}

/// The default file of logins.
fn usual() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let folder = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")));
    folder.map(|folder| folder.join("config.json"))
}

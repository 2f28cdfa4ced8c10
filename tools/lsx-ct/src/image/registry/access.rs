//! How registries are contacted: logins, certificates, mirrors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
    /// What a document says of single registries and mirrors, by host and port.
    pub registries: BTreeMap<String, RegistryAccess>,
}

/// How to contact one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RegistryAccess {
    /// Certificates in PEM format, in addition to this machine's.
    pub ca: Option<String>,
    /// The login, instead of one in the file of logins.
    pub login: Option<Login>,
    /// Use plain HTTP.
    pub insecure: bool,
}

/// A login: the value of an `Authorization: Basic` header. It is sent but never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login(String);

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

impl Login {
    /// A login as `USER:PASSWORD`.
    pub(crate) fn of(text: &str) -> Option<Login> {
        let user = text.split_once(':').map(|(user, _)| user).filter(|user| !user.is_empty());
        let good = user.is_some() && !text.contains(char::is_control);
        good.then(|| Login(STANDARD.encode(text)))
    }

    /// One that is encoded already.
    pub(super) fn encoded(text: String) -> Login {
        Login(text)
    }

    pub(super) fn header(&self) -> String {
        format!("Basic {}", self.0)
    }
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
            registries: BTreeMap::new(),
        }
    }
}

impl Access {
    pub(super) fn own(&self, host: &str) -> Option<&RegistryAccess> {
        self.registries.get(host)
    }

    /// Whether plain HTTP is allowed for a registry.
    pub(super) fn plain(&self, host: &str) -> bool {
        self.insecure || self.own(host).is_some_and(|own| own.insecure)
    }

    /// Whether certificates were given for a registry: then TLS is used, even on a loopback address.
    pub(super) fn trusts(&self, host: &str) -> bool {
        self.own(host).is_some_and(|own| own.ca.is_some())
            || self.ca.is_some()
            || self.certificates.iter().any(|folder| folder.join(host).is_dir())
    }
}

/// The default file of logins.
fn usual() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let folder = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")));
    folder.map(|folder| folder.join("config.json"))
}

//! Values of the host for an instance's bundle.

use crate::model::Ids;
use std::collections::BTreeMap;

/// Values of the host for the bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostValues {
    /// This program on the host: the first process of an application, and the program of `cp`.
    pub init: Option<String>,
    /// The architecture: x86_64, aarch64.
    pub architecture: String,
    /// The mounted root file system.
    pub rootfs: String,
    /// Its ids on the host; absent without user namespaces.
    pub ids: Option<Ids>,
    /// Its control group, below every hierarchy's root.
    pub cgroup: String,
    /// Whether swap can be limited here.
    pub swap: bool,
    /// User, group, and supplementary groups of its program, as numbers.
    pub user: (u32, u32, Vec<u32>),
    /// The folder with its hosts, hostname and resolv.conf.
    pub files: String,
    /// The folder with its secrets, if it has any.
    pub secrets: Option<String>,
    /// The folders of its volumes on the host, by name.
    pub volumes: BTreeMap<String, String>,
}

/// Path of lsx's init in an instance: /dev is in memory, so the image's layers are not changed.
pub(crate) const INIT: &str = "/dev/.lsx-init";

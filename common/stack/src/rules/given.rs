//! What an instance gets: paths that are reserved, and owners that exist in it.

use super::check::Check;
use crate::model::Instance;
use crate::value::Driver;

/// Reserved with everything below.
const TREES: [(&str, &str); 4] = [
    ("/dev", "devices are made for each instance"),
    ("/proc", "it is mounted by the kernel"),
    ("/sys", "it is mounted by the kernel"),
    ("/run/secrets", "secrets are there"),
];
/// Reserved paths themselves.
const PLACES: [(&str, &str); 4] = [
    ("/", "it is the image"),
    ("/etc/hosts", "lsx writes the names of the networks there"),
    ("/etc/hostname", "use hostname: for that"),
    ("/etc/resolv.conf", "use resolver: for that"),
];
/// The smallest value of `limits.disk` in bytes.
const LEAST: u64 = 16 << 20;
/// The default number of user and group ids of an instance with the driver oci.
const IDS: u32 = 65_536;

impl<'s> Check<'s> {
    pub(super) fn given(&mut self, name: &str, instance: &'s Instance) {
        let oci = self.stack.driver(instance) == Driver::Oci;
        let ids = instance.ids.or(oci.then_some(IDS)); // else the server's settings decide
        for (volume, mount) in &instance.volumes {
            let at = format!("instances.{name}.volumes.{volume}");
            self.place("volume", at.clone(), &mount.path);
            if let Some(owner) = &mount.owner {
                self.owner(format!("{at}.owner"), owner, ids);
            }
        }
        if instance.limits.disk.is_some_and(|disk| disk.0 < LEAST) {
            let message = "the limit must be at least 16M".to_owned();
            self.tell("stack.instance.disk", format!("instances.{name}.limits.disk"), message, "");
        }
        for volume in instance.volumes.keys() {
            self.stored(volume, ids);
        }
        for path in instance.tmpfs.keys() {
            if path.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | '\\')) {
                let message = "the path of a tmpfs must not contain a blank, comma or backslash".to_owned();
                self.tell("stack.instance.path", format!("instances.{name}.tmpfs.{path}"), message, "");
            }
            self.place("folder in memory", format!("instances.{name}.tmpfs.{path}"), path);
        }
        for (i, secret) in instance.secrets.iter().enumerate() {
            if let Some(owner) = &secret.owner {
                self.owner(format!("instances.{name}.secrets.{i}.owner"), owner, ids);
            }
        }
        for (path, file) in &instance.files {
            let at = format!("instances.{name}.files.{path}");
            self.place("file", at.clone(), path);
            if let Some(owner) = &file.owner {
                self.owner(format!("{at}.owner"), owner, ids);
            }
        }
        if let Some(user) = &instance.user {
            self.owner(format!("instances.{name}.user"), user, ids);
        }
    }

    fn place(&mut self, what: &str, at: String, path: &str) {
        let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        let path = format!("/{}", parts.join("/"));
        let below =
            |tree: &str| path == tree || path.strip_prefix(tree).is_some_and(|rest| rest.starts_with('/'));
        let tree = TREES.iter().find(|(tree, _)| below(tree));
        if let Some((place, why)) = tree.or(PLACES.iter().find(|(place, _)| path == *place)) {
            let message = format!("no {what} can be at {path}: {place} is reserved");
            self.tell("stack.instance.path", at, message, *why);
        }
    }

    /// The owner that `store.volumes` gives a volume.
    fn stored(&mut self, volume: &str, ids: Option<u32>) {
        if let (Some(owner), _) = self.stack.volume_owner(volume) {
            self.owner(format!("store.volumes.{volume}.owner"), &owner, ids);
        }
    }

    /// A name can only be looked up on the host; a number is checked here.
    fn owner(&mut self, at: String, text: &str, ids: Option<u32>) {
        let Some(ids) = ids else { return };
        let beyond = |id: &&str| {
            !id.is_empty()
                && id.bytes().all(|b| b.is_ascii_digit())
                && !id.parse().is_ok_and(|id: u32| id < ids)
        };
        if let Some(id) = text.split(':').find(beyond) {
            let message = format!("{id} exceeds the {ids} ids of an instance");
            let hint = format!("write a number below {ids}, or a larger number as ids: of the instance");
            self.tell("stack.instance.owner", at, message, hint);
        }
    }
}

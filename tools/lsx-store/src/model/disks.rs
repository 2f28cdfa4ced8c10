//! The file systems of a host, from its table of mounts. Pure.

use common::mountinfo::{self, Mount};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Component, Path};

/// File systems without files of anybody, or of which a host with many containers has many.
const NOT_DISKS: [&str; 27] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fuse",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "fuse.lxcfs",
    "iso9660",
    "erofs",
];
/// Places below which nobody has volumes.
const NOT_PLACES: [&str; 7] =
    ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/lib/docker", "/var/lib/containers"];
/// The most that are told.
const MOST: usize = 100;

/// A file system of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Disk {
    /// Where it is mounted.
    pub at: String,
    /// Its type, as the kernel calls it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it has project quotas.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub projects: bool,
}

/// Those of a text in the form of /proc/self/mountinfo (proc(5)), by place. `own` tells places of lsx's own mounts.
pub fn parse(text: &[u8], own: &dyn Fn(&Path) -> bool) -> Vec<Disk> {
    let mut all: Vec<Disk> = Vec::new();
    for disk in mountinfo::mounts(text).into_iter().filter_map(disk) {
        let place = Path::new(&disk.at);
        let beside = NOT_PLACES.iter().any(|not| place.starts_with(not)) || own(place);
        if beside || NOT_DISKS.contains(&disk.kind.as_str()) || (disk.kind == "overlay" && disk.at != "/") {
            continue;
        }
        // What was mounted last at a place is what is seen there.
        all.retain(|other| other.at != disk.at);
        all.push(disk);
    }
    all.sort_by(|a, b| a.at.cmp(&b.at));
    all.truncate(MOST);
    all
}

/// A place that is no text is of no use.
fn disk(mount: Mount) -> Option<Disk> {
    let Mount { at: place, kind, options, .. } = mount;
    let projects = options.split(',').any(|option| matches!(option, "prjquota" | "pquota"));
    let plain = place.components().all(|part| !matches!(part, Component::ParentDir));
    let at = place.into_os_string().into_string().ok()?;
    (at.starts_with('/') && plain).then_some(Disk { at, kind, projects })
}

/// The one that has a path.
pub fn of<'a>(disks: &'a [Disk], path: &str) -> Option<&'a Disk> {
    let path = Path::new(path);
    disks.iter().filter(|disk| path.starts_with(&disk.at)).max_by_key(|disk| disk.at.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsx_tests::{Dice, soak};

    const TABLE: &str = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
30 22 0:40 / /data rw,noatime - btrfs /dev/vdb rw,space_cache
31 22 0:41 / /data/with\\040blank rw - xfs /dev/vdc rw,attr2,prjquota
32 22 0:42 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
33 22 0:43 / /srv rw - ext4 /dev/vdd rw
34 22 0:44 / /srv rw - xfs /dev/vde rw,noquota
35 22 0:40 /db /var/lib/lsx/volumes/s/db rw - btrfs /dev/vdb rw
";

    #[test]
    fn disks_are_read_from_the_table_of_mounts() {
        let disks = parse(TABLE.as_bytes(), &|place| place.starts_with("/var/lib/lsx/volumes"));
        let seen: Vec<(&str, &str, bool)> =
            disks.iter().map(|disk| (disk.at.as_str(), disk.kind.as_str(), disk.projects)).collect();
        let wanted = [
            ("/", "ext4", false),
            ("/data", "btrfs", false),
            ("/data/with blank", "xfs", true),
            ("/srv", "xfs", false),
        ];
        assert_eq!(seen, wanted);
        for (path, at) in [
            ("/data/db", "/data"),
            ("/data/with blank/x", "/data/with blank"),
            ("/database", "/"),
            ("/srv", "/srv"),
        ] {
            assert_eq!(of(&disks, path).unwrap().at, at, "{path}");
        }
    }

    #[test]
    fn soak_disks() {
        let make = |dice: &mut Dice| dice.broken(TABLE).into_bytes();
        soak("store-disks", 5_000, 10, make, |bytes| {
            let all = parse(bytes, &|_| false);
            assert!(all.iter().all(|disk| disk.at.starts_with('/') && !disk.at.contains("/../")), "{all:?}");
            !all.is_empty()
        });
    }
}

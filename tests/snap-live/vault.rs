//! A lab with a host whose volumes are a subvolume of btrfs and a plain folder, and helpers of the tests.

use crate::TOOL;
use lsx_tests::image;
use lsx_tests::lab::{Lab, Ran, finish};
use serde_json::Value;
use std::path::Path;

/// Networks, volumes, instances, snapshots: the tools in their order.
const NET: usize = 0;
const STORE: usize = 1;
const CT: usize = 2;
const SNAP: usize = 3;
/// The password of the repositories.
pub(crate) const KEY: &str = "correct horse battery staple";

/// One host.
pub(crate) struct Vault {
    pub(crate) lab: Lab,
}

impl Vault {
    pub(crate) fn up() -> Vault {
        let beside = |name: &str| {
            let path = Path::new(TOOL).with_file_name(name);
            assert!(path.exists(), "{name} is not built: cargo build --workspace --bins");
            path.to_str().unwrap().to_owned()
        };
        let tools = ["lsx-net", "lsx-store", "lsx-ct"].map(beside);
        let lab = Lab::with("snap", 1, &[], &[&tools[0], &tools[1], &tools[2], TOOL]);
        image::busybox(lab.folder.path(), "bb", "first");
        std::fs::write(lab.folder.path().join("key"), format!("{KEY}\n")).unwrap();
        let disks = "mkdir -p /big /plain /repo /var/lib/containers; truncate -s 600M /var/lib/containers/big.img
            mkfs.btrfs -q /var/lib/containers/big.img; mount -o loop /var/lib/containers/big.img /big
            for d in plain repo; do mkdir -p /var/lib/containers/$d; mount --bind /var/lib/containers/$d /$d; done
            printf '%s\\n' '$KEY' >/root/key";
        lab.script("h1", &disks.replace("$KEY", KEY)).ok();
        Vault { lab }
    }

    /// A stack with the volumes `db`, a subvolume of btrfs, and `logs`, a plain folder, and one job of both.
    pub(crate) fn stack(&self, name: &str) -> String {
        self.lab.file(&format!("{name}.yaml"), &text(name))
    }

    fn tool(&self, number: usize, args: &[&str]) -> Ran {
        finish(&mut self.lab.tool(number, args), b"")
    }

    /// lsx-store on the operator's machine.
    pub(crate) fn store(&self, args: &[&str]) -> Ran {
        self.tool(STORE, args)
    }

    /// The same of lsx-net.
    pub(crate) fn net(&self, args: &[&str]) -> Ran {
        self.tool(NET, args)
    }

    /// The same of lsx-ct.
    pub(crate) fn ct(&self, args: &[&str]) -> Ran {
        let store = self.lab.folder.path().join("images").display().to_string();
        self.tool(CT, &[&["--store", &store], args].concat())
    }

    /// The same of lsx-snap.
    pub(crate) fn snap(&self, args: &[&str]) -> Ran {
        self.tool(SNAP, args)
    }

    /// A script on the host.
    #[track_caller]
    pub(crate) fn host(&self, script: &str) -> String {
        self.lab.script("h1", script).ok().stdout
    }

    /// restic on the host, with the repository of a stack.
    pub(crate) fn restic(&self, stack: &str, words: &str) -> Ran {
        self.lab.script("h1", &format!("restic --no-cache -q -r /repo/{stack} -p /root/key {words} 2>&1"))
    }

    /// The snapshots of a run of `take`.
    #[track_caller]
    pub(crate) fn take(&self, file: &str) -> Vec<Value> {
        self.snap(&["take", "--stack", file]).ok().json()["snapshots"].as_array().unwrap().clone()
    }

    /// Volumes, then jobs.
    #[track_caller]
    pub(crate) fn start(&self, file: &str) {
        self.store(&["up", "-q", file]).ok();
        self.snap(&["up", "-q", file]).ok();
    }

    /// Backwards, with everything.
    #[track_caller]
    pub(crate) fn end(&self, file: &str, stack: &str) {
        self.snap(&["down", "-q", file, "--destroy-data", stack]).ok();
        self.store(&["down", "-q", file, "--destroy-data", stack]).ok();
        self.host(&format!("rm -rf /repo/{stack}; for f in /big/.lsx-removed/*; do test ! -e $f || btrfs subvolume delete $f || rm -r $f; done"));
        assert_eq!(self.there(), "");
    }

    /// What lsx-snap may have left on the host.
    pub(crate) fn there(&self) -> String {
        self.host("find /etc/lsx /var/lib/lsx/snap /var/lib/lsx/secrets /big /plain -maxdepth 2 2>/dev/null | grep -e snap -e secrets || true")
    }
}

/// The document of a stack.
pub(crate) fn text(name: &str) -> String {
    format!(
        "stack: {name}\nhosts: {{ h1: 198.18.0.11 }}\nsecrets: {{ backup: \"file:key\" }}\n\
         store: {{ root: /big/{name}, volumes: {{ db: {{ host: h1 }}, logs: {{ host: h1, driver: directory }} }} }}\n\
         snap:\n  to: {{ disk: {{ repository: \"local:/repo/{name}\", key: backup }} }}\n  \
         what: {{ both: {{ volumes: [db, logs], every: 1h, to: disk }} }}\n  state: false\n"
    )
}

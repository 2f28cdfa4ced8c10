//! A lab with one image, and helpers of the tests.

use crate::TOOL;
use lsx_tests::image;
use lsx_tests::lab::{Lab, Ran, finish};
use serde_json::Value;
use std::path::Path;

/// Network, store, instances: the tools in their order.
const NET: usize = 0;
const STORE: usize = 1;
const CT: usize = 2;

/// Two hosts.
pub(crate) struct Depot {
    pub(crate) lab: Lab,
}

impl Depot {
    pub(crate) fn up() -> Depot {
        let beside = |name: &str| {
            let path = Path::new(TOOL).with_file_name(name);
            assert!(path.exists(), "{name} is not built: cargo build --workspace --bins");
            path.to_str().unwrap().to_owned()
        };
        let lab = Lab::with("store", 2, &[], &[&beside("lsx-net"), TOOL, &beside("lsx-ct")]);
        image::busybox(lab.folder.path(), "bb", "first");
        // The image has something where a volume is mounted.
        let folder = lab.folder.path();
        std::fs::create_dir_all(folder.join("data/var/db")).unwrap();
        std::fs::write(folder.join("data/var/db/seed"), "seed\n").unwrap();
        let script =
            "chmod 750 data/var/db; tar -C data --owner=1000 --group=2000 --mtime=@0 -rf bb.tar ./var/db";
        let packed = std::process::Command::new("sh").args(["-ec", script]).current_dir(folder).status();
        assert!(packed.unwrap().success());
        // A disk, which id shifting works on; it is mounted at boot.
        let disk = "mkdir -p /data /var/lib/containers; printf '#!/bin/sh\\nexec mount --bind /var/lib/containers /data\\n' >/etc/lsx/boot.d/05-disk
            chmod 755 /etc/lsx/boot.d/05-disk; /etc/lsx/boot.d/05-disk";
        lab.hosts().iter().for_each(|host| _ = lab.script(host, disk).ok());
        Depot { lab }
    }

    /// A stack of two hosts with these instances and this section `store`.
    pub(crate) fn stack(&self, name: &str, instances: &str, store: &str) -> String {
        let text = format!(
            "stack: {name}\nhosts: {{ h1: 198.18.0.11, h2: 198.18.0.12 }}\nnetworks: {{ lan: {{ cidr: 10.160.0.0/24 }} }}\n\
             images: {{ bb: {{ oci: \"tar:bb.tar\" }} }}\ninstances:\n{instances}\nstore: {{ {store} }}\n"
        );
        self.lab.file(&format!("{name}.yaml"), &text)
    }

    fn tool(&self, number: usize, args: &[&str]) -> Ran {
        finish(&mut self.lab.tool(number, args), b"")
    }

    /// lsx-store on the operator's machine.
    pub(crate) fn store(&self, args: &[&str]) -> Ran {
        self.tool(STORE, args)
    }

    /// The same of lsx-ct.
    pub(crate) fn ct(&self, args: &[&str]) -> Ran {
        let store = self.lab.folder.path().join("images").display().to_string();
        self.tool(CT, &[&["--store", &store], args].concat())
    }

    /// How many changes `lsx-store up` makes.
    #[track_caller]
    pub(crate) fn changes(&self, file: &str) -> u64 {
        self.store(&["up", file]).ok().json()["status"]["store"]["changed"].as_u64().unwrap()
    }

    /// Networks, volumes, instances.
    #[track_caller]
    pub(crate) fn start(&self, file: &str) {
        self.tool(NET, &["up", "--quiet", file]).ok();
        self.store(&["up", "--quiet", file]).ok();
        self.ct(&["up", "--quiet", file]).ok();
    }

    /// The same backwards; with the stack's name data are destroyed, too.
    #[track_caller]
    pub(crate) fn end(&self, file: &str, destroy: Option<&str>) {
        let more: Vec<&str> = destroy.map(|stack| ["--destroy-data", stack]).into_iter().flatten().collect();
        self.ct(&[&["down", "--quiet", file], &more[..]].concat()).ok();
        self.store(&[&["down", "--quiet", file], &more[..]].concat()).ok();
        self.tool(NET, &["down", "--quiet", file]).ok();
    }

    /// A volume as `observe` has it.
    #[track_caller]
    pub(crate) fn seen(&self, file: &str, host: &str, volume: &str) -> Value {
        let all = self.store(&["observe", file]).ok().lines();
        let here = all.iter().find(|seen| seen["host"] == host).unwrap();
        let key = format!("volume:{volume}");
        let found = here["objects"].as_array().unwrap().iter().find(|have| have["key"] == key.as_str());
        found.map(|have| have["object"].clone()).unwrap_or_default()
    }

    /// Runs a script in an instance, by nsenter.
    pub(crate) fn inside(&self, host: &str, of: &str, script: &str) -> Ran {
        let pid = self.lab.exec(host, &["jq", "-r", ".pid", &format!("/run/lsx/ct/{of}/state.json")]).stdout;
        let pid = if pid.trim().parse::<u32>().is_ok() { pid.trim() } else { "none" };
        self.lab.exec(host, &["nsenter", "-t", pid, "-a", "-S", "0", "-G", "0", "/bin/sh", "-ec", script])
    }

    /// Mounts and files of a host that lsx-store may have made.
    pub(crate) fn there(&self, host: &str) -> String {
        let script = "for f in /var/lib/lsx/store /var/lib/lsx/volumes /etc/lsx /data /srv/lsx; do find $f 2>/dev/null | grep -v -x -e /etc/lsx -e /data || true; done
            grep -e /var/lib/lsx/volumes -e /data /proc/mounts || true";
        self.lab.script(host, script).ok().stdout
    }
}

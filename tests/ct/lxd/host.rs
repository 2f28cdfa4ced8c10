//! A lab host with LXD, the driver in it, and what the driver needs.

use crate::act::SUPPLY;
use lsx_tests::lab::{Lab, Ran};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Our own program in the host; the sibling it starts lies beside it.
const ACT: &str = "/opt/lsx/act";
/// The digest of the only image.
pub(crate) const DIGEST: &str = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Builds the image: busybox as every program, and as the init that LXD starts.
const IMAGE: &str = "
mkdir -p /root/supply /tmp/i/rootfs/bin /tmp/i/rootfs/sbin /tmp/i/rootfs/etc
cd /tmp/i
mkdir -p rootfs/proc rootfs/sys rootfs/dev rootfs/tmp rootfs/run rootfs/root rootfs/var
cp /bin/busybox rootfs/bin/
for a in sh sleep cat ls id ip mount ps echo env hostname stat ping kill true false poweroff; do ln -sf busybox rootfs/bin/$a; done
ln -sf ../bin/busybox rootfs/sbin/init
printf 'root:x:0:0:root:/root:/bin/sh\\napp:x:1000:1001:app:/:/bin/sh\\n' > rootfs/etc/passwd
printf 'root:x:0:\\napp:x:1001:\\nadm:x:4:\\n' > rootfs/etc/group
printf '::sysinit:/bin/echo the image has booted\\n::respawn:/bin/sleep 1000000\\n' > rootfs/etc/inittab
ln -s /run/resolve/stub.conf rootfs/etc/resolv.conf
printf 'architecture: %s\\ncreation_date: 1\\n' \"$(uname -m)\" > metadata.yaml
tar -czf /root/supply/DIGEST.tar.gz metadata.yaml rootfs
rm -rf /tmp/i
";

/// What cannot be tried here, and why.
pub(crate) fn missing() -> Option<String> {
    let there =
        |name: &str| ["/usr/bin", "/usr/sbin", "/bin"].iter().any(|f| Path::new(f).join(name).exists());
    // ldd(1) fails on a static program.
    let dynamic = || Command::new("ldd").arg("/bin/busybox").output().is_ok_and(|ldd| ldd.status.success());
    match ["lxd", "lxc", "busybox"].iter().find(|name| !there(name)) {
        Some(name) => Some(format!("{name} is not installed")),
        None => dynamic().then(|| "busybox is not static; install busybox-static".to_owned()),
    }
}

pub(crate) struct Host {
    pub(crate) lab: Lab,
}

impl Host {
    pub(crate) fn up() -> Host {
        let net = lsx_tests::tools().into_iter().find(|tool| tool.name == "lsx-net").unwrap();
        let lab = Lab::up(1, &["--with", "lxd"], net.path.to_str().unwrap());
        lab.script("h1", "mkdir -p /opt/lsx").ok();
        let own = std::env::current_exe().unwrap();
        copy(&lab, &own, ACT);
        copy(&lab, &net.path, "/opt/lsx/lsx-net");
        lab.script("h1", &IMAGE.replace("DIGEST", DIGEST)).ok();
        Host { lab }
    }

    /// One act of the driver.
    pub(crate) fn act(&self, order: &Value) -> Ran {
        let ran = self.lab.exec_with("h1", &[ACT, "act"], order.to_string().as_bytes());
        eprint!("{}", ran.stderr);
        ran
    }

    /// One that has to go well.
    #[track_caller]
    pub(crate) fn ok(&self, order: &Value) -> Value {
        self.act(order).ok().json()
    }

    /// One that has to fail with this code.
    #[track_caller]
    pub(crate) fn fails(&self, order: &Value, code: &str) -> Value {
        let ran = self.act(order);
        assert_ne!(ran.code, 0, "{}", ran.stdout);
        let failure = ran.json()["failure"].clone();
        assert_eq!(failure["code"], code, "{failure}");
        failure
    }

    /// A shell script in the host.
    #[track_caller]
    pub(crate) fn script(&self, text: &str) -> String {
        self.lab.script("h1", text).ok().stdout
    }

    /// What LXD itself says.
    #[track_caller]
    pub(crate) fn query(&self, path: &str) -> Value {
        self.lab.exec("h1", &["lxc", "query", path]).ok().json()
    }

    /// A file's contents, where the driver gets them by their digest.
    pub(crate) fn blob(&self, digest: &str, bytes: &[u8]) {
        self.lab.exec_with("h1", &["sh", "-c", &format!("cat > {SUPPLY}/{digest}")], bytes).ok();
    }

    /// Creates and starts.
    #[track_caller]
    pub(crate) fn run(&self, instance: &Value) {
        self.ok(&json!({"verb": "create", "instance": instance}));
        self.ok(&json!({"verb": "start", "instance": instance}));
    }

    /// Runs a program in an instance; it must end with 0.
    #[track_caller]
    pub(crate) fn exec(&self, name: &str, argv: &[&str]) -> String {
        let ran = self.ok(&json!({"verb": "exec", "name": name, "argv": argv}));
        assert_eq!(ran["code"], 0, "{ran}");
        ran["stdout"].as_str().unwrap().trim().to_owned()
    }

    /// Removes an instance, and nothing of ours is left.
    #[track_caller]
    pub(crate) fn clean(&self, name: &str) {
        self.ok(&json!({"verb": "remove", "name": name}));
        self.empty();
    }

    /// After a case that failed, for those that come.
    pub(crate) fn sweep(&self) {
        let all = "for i in $(lxc list -c n -f csv); do lxc delete -f $i; done; rm -rf /run/lsx/ct";
        let _ = self.lab.script("h1", all);
        let _ = self.act(&json!({"verb": "remove", "name": "swept"}));
    }

    /// Nothing of ours is in LXD or in the host.
    #[track_caller]
    pub(crate) fn empty(&self) {
        for path in ["instances", "images", "images/aliases", "storage-pools"] {
            assert_eq!(self.query(&format!("/1.0/{path}")), json!([]), "{path}");
        }
        assert_eq!(self.query("/1.0/profiles"), json!(["/1.0/profiles/default"]));
        let left = self.script(
            "ls -d /run/lsx/ct /var/lib/lxd/storage-pools/* /var/lib/lsx/images/.[!.]* 2>/dev/null || true",
        );
        assert_eq!(left, "");
    }
}

fn copy(lab: &Lab, from: &Path, to: &str) {
    let stripped = lab.folder.path().join("stripped");
    let ok = Command::new("strip").arg("-o").arg(&stripped).arg(from).status().is_ok_and(|s| s.success());
    let bytes = std::fs::read(if ok { &stripped } else { from }).unwrap();
    lab.exec_with("h1", &["sh", "-c", &format!("cat > {to} && chmod 755 {to}")], &bytes).ok();
}

/// The smallest instance.
pub(crate) fn instance(name: &str) -> Value {
    json!({
        "name": name, "of": name, "driver": "lxd", "image": {"name": "busybox", "digest": DIGEST},
        "hostname": name, "nics": [], "restart": "always", "hosts": "x", "running": true,
    })
}

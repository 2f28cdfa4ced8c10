//! A lab host with LXD or Incus, the driver in it, and what the driver needs.

use crate::operation::SUPPLY;
use lsx_tests::lab::{Lab, Ran};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// lsx's own program in the host; programs that it starts are in the same folder.
const ACT: &str = "/opt/lsx/act";
/// The digest of the only image.
pub(crate) const DIGEST: &str = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Builds the image: busybox as every program, and as the init that the server starts.
const IMAGE: &str = "
mkdir -p /root/supply /tmp/i/rootfs/bin /tmp/i/rootfs/sbin /tmp/i/rootfs/etc
cd /tmp/i
mkdir -p rootfs/proc rootfs/sys rootfs/dev rootfs/tmp rootfs/run rootfs/root rootfs/var
cp /bin/busybox rootfs/bin/
for a in sh sleep cat ls id readlink rm ip mount ps echo env grep hostname stat ping kill true false poweroff test touch tr; do ln -sf busybox rootfs/bin/$a; done
ln -sf ../bin/busybox rootfs/sbin/init
printf 'root:x:0:0:root:/root:/bin/sh\\napp:x:1000:1001:app:/srv/app:/bin/sh\\n' > rootfs/etc/passwd
printf 'root:x:0:\\napp:x:1001:\\nadm:x:4:app\\n' > rootfs/etc/group
printf '::sysinit:/bin/echo the image has booted\\n::respawn:/bin/sleep 1000000\\n' > rootfs/etc/inittab
ln -s /run/resolve/stub.conf rootfs/etc/resolv.conf
mkdir -p rootfs/srv/db/deep; echo seed > rootfs/srv/db/deep/file; chmod 640 rootfs/srv/db/deep/file
ln -s deep/file rootfs/srv/db/link; ln -s /etc/passwd rootfs/srv/db/out; ln -s db rootfs/srv/by; mkdir rootfs/srv/pipes; mkfifo rootfs/srv/pipes/pipe; touch rootfs/srv/db/empty
chown -Rh 1000:1001 rootfs/srv/db; chown 7:4 rootfs/srv/db/deep/file; chmod 750 rootfs/srv/db
echo far > rootfs/srv/far; chown 200000:70000 rootfs/srv/far
printf 'architecture: %s\\ncreation_date: 1\\n' \"$(uname -m)\" > metadata.yaml
tar -czf /root/supply/DIGEST.tar.gz metadata.yaml rootfs
rm -rf /tmp/i
";

/// LXD or Incus, which only differ in their names.
pub(crate) struct Engine {
    pub(crate) driver: &'static str,
    /// What people call it.
    pub(crate) called: &'static str,
    /// Its own client, for the second check.
    pub(crate) client: &'static str,
    /// How `scripts/lab` starts it.
    daemon: &'static str,
}

pub(crate) const ENGINES: [Engine; 2] = [
    Engine { driver: "lxd", called: "LXD", client: "lxc", daemon: "lxd --group root" },
    Engine {
        driver: "incus",
        called: "Incus",
        client: "incus",
        daemon: "/usr/libexec/incus/incusd --group root",
    },
];

/// Why the test cannot run here.
pub(crate) fn missing(engine: &Engine) -> Option<String> {
    let unpacked = lsx_tests::top("target/incus/usr/bin"); // as scripts/setup does where it cannot install it
    let folders = [Path::new("/usr/bin"), Path::new("/usr/sbin"), Path::new("/bin"), &unpacked];
    let there = |name: &str| folders.iter().any(|f| f.join(name).exists());
    // ldd(1) fails on a static program.
    let dynamic = || Command::new("ldd").arg("/bin/busybox").output().is_ok_and(|ldd| ldd.status.success());
    match [engine.client, "busybox"].iter().find(|name| !there(name)) {
        Some(name) => Some(format!("{name} is not installed; scripts/setup --tests")),
        None => dynamic().then(|| "busybox is not static; install busybox-static".to_owned()),
    }
}

pub(crate) struct Host {
    pub(crate) lab: Lab,
    pub(crate) engine: &'static Engine,
}

impl Host {
    pub(crate) fn up(engine: &'static Engine) -> Host {
        let net = lsx_tests::tools().into_iter().find(|tool| tool.name == "lsx-net").unwrap();
        let ct = net.path.with_file_name("lsx-ct");
        let tools = [net.path.to_str().unwrap(), ct.to_str().unwrap()];
        let lab = Lab::with(engine.driver, 1, &["--with", engine.driver], &tools);
        lab.script("h1", "mkdir -p /opt/lsx").ok();
        let own = std::env::current_exe().unwrap();
        copy(&lab, &own, ACT);
        copy(&lab, &net.path, "/opt/lsx/lsx-net");
        copy(&lab, &ct, "/opt/lsx/lsx-ct");
        lab.script("h1", &IMAGE.replace("DIGEST", DIGEST)).ok();
        Host { lab, engine }
    }

    /// An order in full.
    pub(crate) fn order(&self, order: &Value) -> String {
        let mut order = order.clone();
        if order["driver"].is_null() {
            order["driver"] = self.engine.driver.into();
        }
        order.to_string()
    }

    /// One operation of the driver.
    pub(crate) fn act(&self, order: &Value) -> Ran {
        let ran = self.lab.exec_with("h1", &[ACT, "act"], self.order(order).as_bytes());
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

    /// A shell script in the host; $CLI is the server's own client, $DAEMON the server.
    #[track_caller]
    pub(crate) fn script(&self, text: &str) -> String {
        let Engine { client, daemon, .. } = self.engine;
        self.lab.script("h1", &format!("CLI={client}; DAEMON='{daemon}'; {text}")).ok().stdout
    }

    /// The server's own answer.
    #[track_caller]
    pub(crate) fn query(&self, path: &str) -> Value {
        let ran = self.lab.exec("h1", &[self.engine.client, "query", path]).ok();
        if ran.stdout.trim().is_empty() { json!([]) } else { ran.json() } // Incus has nothing for an empty list
    }

    /// Everything of the host and its server that a stack changes.
    #[track_caller]
    pub(crate) fn picture(&self) -> String {
        self.script(
            "ip -br link | sed 's/ .*//'; nft list ruleset; cat /proc/sys/net/ipv4/ip_forward; ip netns
             find /etc/lsx -type f 2>/dev/null || true; find /run/lsx /var/lib/lsx -mindepth 1 2>/dev/null || true
             find /sys/fs/cgroup -path '*/lsx*' -type d; grep -c /lsx/ /proc/self/mountinfo || true
             pgrep -fa '[s]upervise' || true
             $CLI list -c n -f csv; $CLI image list -c f -f csv; $CLI storage list -f csv",
        )
    }

    /// The smallest instance.
    pub(crate) fn instance(&self, name: &str) -> Value {
        json!({
            "name": name, "of": name, "driver": self.engine.driver,
            "image": {"name": "busybox", "digest": DIGEST},
            "hostname": name, "nics": [], "restart": "always", "hosts": "x", "running": true,
        })
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

    /// Cleans up after a failed case.
    pub(crate) fn sweep(&self) {
        let client = self.engine.client;
        let all = format!(
            "for i in $({client} list -c n -f csv); do {client} delete -f $i; done; rm -rf /run/lsx/ct"
        );
        let _ = self.lab.script("h1", &all);
        let _ = self.act(&json!({"verb": "remove", "name": "swept"}));
    }

    /// Nothing of lsx is in the server or on the host.
    #[track_caller]
    pub(crate) fn empty(&self) {
        for path in ["instances", "images", "images/aliases", "storage-pools"] {
            assert_eq!(self.query(&format!("/1.0/{path}")), json!([]), "{path}");
        }
        assert_eq!(self.query("/1.0/profiles"), json!(["/1.0/profiles/default"]));
        let left = self.script(&format!(
            "ls -d /run/lsx/ct /var/lib/lsx/lxd /var/lib/lsx/incus /var/lib/{}/storage-pools/* /var/lib/lsx/images/.[!.]* 2>/dev/null || true",
            self.engine.driver
        ));
        assert_eq!(left, "");
    }
}

/// Images and recipes for cases that run the tool on the operator's machine.
pub(crate) fn furnish(host: &Host) {
    host.lab.furnish(&[]);
    std::fs::create_dir_all(host.lab.folder.path().join("recipes")).unwrap();
    host.lab.file("recipes/first.sh", "echo first $0 $(pwd) \"$WORDS\" >>/srv/log\n");
    host.lab.file("recipes/second.sh", "echo second >>/srv/log\n");
    host.lab.file("page", "hello\n");
}

fn copy(lab: &Lab, from: &Path, to: &str) {
    let stripped = lab.folder.path().join("stripped");
    let ok = Command::new("strip").arg("-o").arg(&stripped).arg(from).status().is_ok_and(|s| s.success());
    let bytes = std::fs::read(if ok { &stripped } else { from }).unwrap();
    lab.exec_with("h1", &["sh", "-c", &format!("cat > {to} && chmod 755 {to}")], &bytes).ok();
}

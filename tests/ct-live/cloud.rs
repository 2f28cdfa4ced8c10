//! A lab, two images, and helpers of the tests.

use lsx_tests::image;
use lsx_tests::lab::{Lab, PROGRAMS, Ran, finish};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

/// See the first line of this file.
pub(crate) struct Cloud {
    pub(crate) lab: Lab,
    pub(crate) store: String,
}

impl Cloud {
    /// Makes the lab and the images `bb` and `other`.
    pub(crate) fn up(hosts: usize) -> Cloud {
        Cloud::with(hosts, &[])
    }

    /// The same with options of `scripts/lab up`.
    pub(crate) fn with(hosts: usize, options: &[&str]) -> Cloud {
        let tools = lsx_tests::tools();
        let path = |name: &str| tools.iter().find(|t| t.name == name).unwrap().path.display().to_string();
        let lab = Lab::with("faults", hosts, options, &[&path("lsx-net"), &path("lsx-ct"), &path("lsx-dns")]);
        let folder = lab.folder.path();
        image::busybox(folder, "bb", "first");
        image::busybox(folder, "other", "second");
        let store = folder.join("store").display().to_string();
        Cloud { lab, store }
    }

    /// A document: NAME, one network of its own, and these instances.
    pub(crate) fn stack(&self, name: &str, instances: &str) -> String {
        self.document(name, &format!("instances:\n{}", instances.trim_end().trim_start_matches('\n')))
    }

    /// The same with more than instances. The network of a stack follows from its name.
    pub(crate) fn document(&self, name: &str, rest: &str) -> String {
        let number: u32 = name.bytes().fold(0, |sum, byte| (sum * 31 + u32::from(byte)) % 200);
        let hosts: String = self
            .lab
            .hosts()
            .iter()
            .enumerate()
            .map(|(n, h)| format!("  {h}: {{ address: 198.18.0.{0}, ssh: root@198.18.0.{0} }}\n", 11 + n))
            .collect();
        let text = format!(
            "stack: {name}\nhosts:\n{hosts}networks:\n  lan: {{ cidr: 10.{}.0.0/24, gateway: h1 }}\n\
             images:\n  bb: {{ oci: \"tar:bb.tar\" }}\n  other: {{ oci: \"tar:other.tar\" }}\n{rest}\n",
            20 + number
        );
        self.lab.file(&format!("{name}.yaml"), &text)
    }

    /// lsx-ct on the operator's machine, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.lab.tool(1, &[&["--store", &self.store], args].concat())
    }

    /// Runs lsx-ct on the operator's machine.
    pub(crate) fn ct(&self, args: &[&str]) -> Ran {
        finish(&mut self.command(args), b"")
    }

    /// Brings a stack up, networks first, which must succeed.
    #[track_caller]
    pub(crate) fn start(&self, file: &str) -> Value {
        self.lab.net(&["up", "--quiet", file]).ok();
        self.ct(&["up", file]).ok().json()
    }

    /// Takes a stack down with its data, networks last.
    #[track_caller]
    pub(crate) fn end(&self, file: &str) {
        let name = std::path::Path::new(file).file_stem().unwrap().to_str().unwrap().to_owned();
        self.ct(&["down", file, "--destroy-data", &name]).ok();
        self.lab.net(&["down", "--quiet", file]).ok();
    }

    /// How many changes another `up` makes.
    #[track_caller]
    pub(crate) fn changed(&self, file: &str) -> u64 {
        self.ct(&["up", file]).ok().json()["status"]["ct"]["changed"].as_u64().unwrap()
    }

    /// The steps that `up` would make, as `instance.restart:web` and why.
    #[track_caller]
    pub(crate) fn steps(&self, file: &str, args: &[&str]) -> Vec<(String, String)> {
        let plan = self.ct(&[&["plan", file], args].concat()).ok().json();
        let text = |step: &Value, key: &str| step[key].as_str().unwrap_or_default().to_owned();
        plan["steps"].as_array().unwrap().iter().map(|s| (text(s, "id"), text(s, "why"))).collect()
    }

    /// The `observe` entry of an instance.
    #[track_caller]
    pub(crate) fn seen(&self, file: &str, name: &str) -> Value {
        let all = self.ct(&["observe", file]).ok().lines();
        let instances = all.iter().flat_map(|host| host["instances"].as_array().unwrap());
        let stack = std::path::Path::new(file).file_stem().unwrap().to_str().unwrap();
        instances
            .clone()
            .find(|i| i["name"] == name && i["stack"] == stack)
            .cloned()
            .unwrap_or_else(|| panic!("no {name} in {all:?}"))
    }

    /// The first process of an instance as numbered by the host, from the supervisor's file.
    #[track_caller]
    pub(crate) fn pid(&self, host: &str, of: &str) -> u64 {
        let said = self.said(host, of);
        said["pid"].as_u64().unwrap_or_else(|| panic!("{of} has no process: {said}"))
    }

    /// The supervisor's record of STACK/NAME; null if there is none.
    pub(crate) fn said(&self, host: &str, of: &str) -> Value {
        let ran = self.lab.exec(host, &["cat", &format!("/run/lsx/ct/{of}/state.json")]);
        if ran.code == 0 { ran.json() } else { Value::Null }
    }

    /// Runs a script in an instance by nsenter, without lsx.
    pub(crate) fn inside(&self, host: &str, of: &str, script: &str) -> Ran {
        let pid = self.pid(host, of).to_string();
        self.lab.exec(host, &["nsenter", "-t", &pid, "-a", "-S", "0", "-G", "0", "/bin/sh", "-ec", script])
    }

    /// lsx-ct's own copy on a host, there since the first verb.
    #[track_caller]
    pub(crate) fn tool_on(&self, host: &str) -> String {
        self.copy_on(host, "lsx-ct")
    }

    /// The newest copy of a tool on a host.
    pub(crate) fn copy_on(&self, host: &str, tool: &str) -> String {
        let found = self.lab.script(host, &format!("ls -t /var/lib/lsx/bin/*/{tool} | head -1"));
        found.ok().stdout.trim().to_owned()
    }

    /// The runtime's list, as `ID status`.
    pub(crate) fn runtime(&self, host: &str) -> BTreeSet<String> {
        let list = "runc --root /run/lsx/runtime list -f json 2>/dev/null || echo null";
        let all = self.lab.script(host, list).ok().json();
        let one = |c: &Value| format!("{} {}", c["id"].as_str().unwrap(), c["status"].as_str().unwrap());
        all.as_array().into_iter().flatten().map(one).collect()
    }

    /// Everything on a host that `down` must restore: links, rules, mounts, control groups, files and programs.
    pub(crate) fn snapshot(&self, host: &str) -> BTreeSet<String> {
        const SCRIPT: &str = "exec 2>/dev/null
            ip -d link | sed 's/_timer  *[0-9.]*//g; s/^/link: /'
            ip netns | sed 's/^/netns: /'
            nft list ruleset | sed 's/^/nft: /'
            cut -d' ' -f4- /proc/self/mountinfo | sed 's/shared:[0-9]*//; s/^/mount: /'
            find /sys/fs/cgroup -type d | sed 's/^/group: /'
            find /run /etc /var/lib/lsx /var/spool -path /var/lib/lsx/bin -prune -o -not -type d -printf 'file: %p %y %m %s\\n'
            find /run /var/lib/lsx -path /run/netns -prune -o -path '/var/lib/lsx/bin*' -prune -o -type d -printf 'folder: %p %m\\n' | sed 's,^\\(folder: /var/lib/lsx\\) .*,\\1,'
";
        self.lab.script(host, &[SCRIPT, PROGRAMS].concat()).ok().stdout.lines().map(str::to_owned).collect()
    }

    /// Nothing was added, and nothing removed.
    #[track_caller]
    pub(crate) fn same(&self, host: &str, before: &BTreeSet<String>, when: &str) {
        self.same_but(host, before, when, "\0");
    }

    /// The same without lines that contain a word.
    #[track_caller]
    pub(crate) fn same_but(&self, host: &str, before: &BTreeSet<String>, when: &str, word: &str) {
        let without = |all: &BTreeSet<String>| all.iter().filter(|l| !l.contains(word)).cloned().collect();
        let (before, after): (BTreeSet<_>, BTreeSet<_>) = (without(before), without(&self.snapshot(host)));
        let gone: String = before.difference(&after).take(20).map(|l| format!("- {l}\n")).collect();
        let come: String = after.difference(&before).take(20).map(|l| format!("+ {l}\n")).collect();
        assert!(gone.is_empty() && come.is_empty(), "{when}, on {host}\n{gone}{come}");
    }
}

//! The stack of these tests, up on two hosts, with namespaces in place of its instances.

use crate::TOOL;
use lsx_tests::lab::{Lab, until};
use serde_json::{Value, json};
use std::path::Path;

pub(crate) const HOSTS: [&str; 2] = ["h1", "h2"];

pub(crate) fn lab() -> Lab {
    let net = Path::new(TOOL).with_file_name("lsx-net");
    assert!(net.exists(), "lsx-net is not built: cargo build -p lsx-net");
    Lab::with("dns", 2, &[], &[net.to_str().unwrap(), TOOL])
}

/// A tool on the operator's machine.
pub(crate) fn run(lab: &Lab, number: usize, args: &[&str]) -> lsx_tests::lab::Ran {
    lsx_tests::lab::finish(&mut lab.tool(number, args), b"")
}

/// Removes the namespaces in place of a stack's instances.
pub(crate) fn no_spaces(lab: &Lab, host: &str, stack: &str) {
    let spaces = "for s in $(ip netns | sed -n 's/^\\(NAME[.][^ ]*\\).*/\\1/p'); do ip netns del $s; done";
    lab.script(host, &spaces.replace("NAME", stack)).ok();
}

/// The stack while it is up.
pub(crate) struct Town<'l> {
    pub(crate) lab: &'l Lab,
    pub(crate) file: String,
    /// Name and text of the stack.
    name: &'static str,
    text: &'static str,
    pub(crate) resolved: Value,
}

impl<'l> Town<'l> {
    /// The networks, then the names, then the instances' namespaces.
    pub(crate) fn up(lab: &'l Lab) -> Town<'l> {
        Town::of(lab, "town", include_str!("stack.yaml"))
    }

    /// Those of another stack.
    pub(crate) fn of(lab: &'l Lab, name: &'static str, text: &'static str) -> Town<'l> {
        let file = lab.file(&format!("{name}.yaml"), text);
        let resolved = run(lab, 0, &["up", &file]).ok().json()["resolved"].clone();
        let town = Town { lab, file, name, text, resolved };
        assert!(town.changes(&town.file) > 0);
        town.attach();
        town
    }

    /// The number of changes of `lsx-dns up`.
    #[track_caller]
    pub(crate) fn changes(&self, file: &str) -> u64 {
        let ran = self.dns(&["up", file]).ok();
        ran.json()["status"]["dns"]["changed"].as_u64().unwrap()
    }

    /// lsx-dns on the operator's machine.
    pub(crate) fn dns(&self, args: &[&str]) -> lsx_tests::lab::Ran {
        run(self.lab, 1, args)
    }

    /// The stack with another text.
    pub(crate) fn changed(&self, from: &str, to: &str) -> String {
        assert!(self.text.contains(from), "{from}");
        self.lab.file(&format!("{}.yaml", self.name), &self.text.replace(from, to))
    }

    fn instances(&self) -> &Vec<Value> {
        self.resolved["instances"].as_array().unwrap()
    }

    pub(crate) fn attach(&self) {
        for host in HOSTS {
            let here = self.instances().iter().filter(|at| at["host"] == host);
            let mut lines = String::new();
            for at in here {
                let space = format!("{}.{}", self.name, at["name"].as_str().unwrap());
                self.lab.script(host, &format!("ip netns add {space} 2>/dev/null || true")).ok();
                for nic in at["nics"].as_array().unwrap() {
                    let mut nic = nic.clone();
                    (nic["stack"], nic["instance"], nic["netns"]) =
                        (json!(self.name), at["name"].clone(), json!(space));
                    lines += &format!("{nic}\n");
                }
            }
            self.lab.exec_with(host, &[&self.net_on(host), "attach"], lines.as_bytes()).ok();
        }
    }

    pub(crate) fn net_on(&self, host: &str) -> String {
        let found = self.lab.script(host, "ls -t /var/lib/lsx/bin/*/lsx-net | head -1").ok().stdout;
        found.trim().to_owned()
    }

    fn instance(&self, name: &str) -> &Value {
        self.instances().iter().find(|at| at["name"] == name).unwrap_or_else(|| panic!("no {name}"))
    }

    pub(crate) fn host_of(&self, name: &str) -> &str {
        self.instance(name)["host"].as_str().unwrap()
    }

    /// The address of a name.
    pub(crate) fn address(&self, name: &str) -> String {
        let all = self.resolved["names"].as_array().unwrap();
        let found = all.iter().find(|at| at["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        found["address"].as_str().unwrap().to_owned()
    }

    /// The name server that an instance gets.
    pub(crate) fn resolver(&self, name: &str) -> String {
        let nics = self.instance(name)["nics"].as_array().unwrap();
        let servers: Vec<&str> = nics
            .iter()
            .flat_map(|nic| nic["resolver"].as_array().into_iter().flatten())
            .map(|s| s.as_str().unwrap())
            .collect();
        assert_eq!(servers.len(), 1, "{name}: {servers:?}");
        servers[0].to_owned()
    }

    /// What dig prints in an instance's place, when it asks the instance's name server.
    pub(crate) fn dig(&self, name: &str, words: &str) -> String {
        let server = self.resolver(name);
        let command = format!("ip netns exec {}.{name} dig @{server} +tries=3 +time=5 {words}", self.name);
        self.lab.script(self.host_of(name), &command).ok().stdout
    }

    /// The short answers, sorted.
    pub(crate) fn short(&self, name: &str, words: &str) -> Vec<String> {
        let mut all: Vec<String> =
            self.dig(name, &format!("+short {words}")).lines().map(str::to_owned).collect();
        all.sort();
        all
    }

    /// A value of the record of the supervisor on a host.
    pub(crate) fn recorded(&self, host: &str, key: &str) -> String {
        self.recorded_of(host, "names", key)
    }

    /// The same of another service.
    pub(crate) fn recorded_of(&self, host: &str, service: &str, key: &str) -> String {
        let read = format!("jq -r .{key} /run/lsx/{}/dns/{service}.state.json", self.name);
        self.lab.script(host, &read).ok().stdout.trim().to_owned()
    }

    /// Nothing of the server is on a host.
    #[track_caller]
    pub(crate) fn nothing_left(&self, host: &str) {
        let gone = "! pgrep -f '[l]sx-dns supervise-service' && ! pgrep -f '[s]erve-service NAME' && ! pgrep -f '[d]nsmasq.*NAME' && ! test -e /run/lsx/NAME/dns && ! test -e /var/lib/lsx/dns && ! test -e /etc/lsx/NAME/dns.json && ! ls /etc/lsx/boot.d/*-NAME-dns";
        self.lab.script(host, &gone.replace("NAME", self.name)).ok();
    }

    /// Removes everything; nothing of the server may be left.
    pub(crate) fn down(self) {
        self.dns(&["down", &self.file, "--destroy-data", self.name]).ok();
        for host in HOSTS {
            self.nothing_left(host);
            no_spaces(self.lab, host, self.name);
        }
        let gone = || run(self.lab, 0, &["down", &self.file]).code == 0;
        assert!(until(60, gone), "{}", run(self.lab, 0, &["down", &self.file]).stderr);
    }
}

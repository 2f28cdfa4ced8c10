//! A stack that is up in a lab: its resolved values, and namespaces in place of its instances.

use lsx_tests::lab::Lab;
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// A stack and its document, with `resolved`.
#[derive(Clone)]
pub(crate) struct Stack {
    pub(crate) file: String,
    pub(crate) resolved: Value,
    pub(crate) status: Value,
}

impl Stack {
    /// Brings a stack up, which must succeed.
    #[track_caller]
    pub(crate) fn up(lab: &Lab, file: &str, args: &[&str]) -> Stack {
        let ran = lab.net(&[&["up", file], args].concat()).ok();
        Stack::of(file, &ran.json())
    }

    /// Of what `up` or `resolve` printed.
    pub(crate) fn of(file: &str, document: &Value) -> Stack {
        Stack {
            file: file.to_owned(),
            resolved: document["resolved"].clone(),
            status: document["status"]["net"].clone(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.resolved["stack"].as_str().unwrap()
    }

    fn list(&self, kind: &str) -> &Vec<Value> {
        self.resolved[kind].as_array().unwrap()
    }

    #[track_caller]
    fn named(&self, kind: &str, name: &str) -> &Value {
        self.list(kind).iter().find(|v| v["name"] == name).unwrap_or_else(|| panic!("no {name} in {kind}"))
    }

    #[track_caller]
    pub(crate) fn network(&self, name: &str) -> &Value {
        self.named("networks", name)
    }

    /// The address of a host on a network.
    pub(crate) fn leg(&self, network: &str, host: &str) -> String {
        let legs = self.network(network)["legs"].as_array().unwrap();
        text(&legs.iter().find(|leg| leg["host"] == host).unwrap()["address"])
    }

    pub(crate) fn networks(&self) -> &Vec<Value> {
        self.list("networks")
    }

    pub(crate) fn instances(&self) -> &Vec<Value> {
        self.list("instances")
    }

    #[track_caller]
    pub(crate) fn instance(&self, name: &str) -> &Value {
        self.named("instances", name)
    }

    #[track_caller]
    pub(crate) fn host_of(&self, instance: &str) -> String {
        text(&self.instance(instance)["host"])
    }

    /// An instance's interface on a network.
    #[track_caller]
    pub(crate) fn nic(&self, instance: &str, network: &str) -> &Value {
        let nics = self.instance(instance)["nics"].as_array().unwrap();
        nics.iter()
            .find(|n| n["network"] == network)
            .unwrap_or_else(|| panic!("{instance} is not on {network}"))
    }

    /// An instance's address on a network.
    #[track_caller]
    pub(crate) fn address(&self, instance: &str, network: &str) -> String {
        bare(&self.nic(instance, network)["address"])
    }

    /// The underlay address of a host.
    pub(crate) fn host_address(&self, host: &str) -> String {
        text(&self.named("hosts", host)["address"])
    }

    /// The namespace that stands in for an instance; two stacks may name theirs alike.
    pub(crate) fn space(&self, instance: &str) -> String {
        format!("{}.{instance}", self.name())
    }

    /// The interfaces of all instances of a host, as `attach` reads them.
    pub(crate) fn batch(&self, host: &str) -> String {
        let mut lines = String::new();
        for instance in self.instances().iter().filter(|i| i["host"] == host) {
            let name = text(&instance["name"]);
            for nic in instance["nics"].as_array().unwrap() {
                let mut line = nic.clone();
                line["stack"] = json!(self.name());
                line["instance"] = json!(name);
                line["netns"] = json!(self.space(&name));
                lines += &format!("{line}\n");
            }
        }
        lines
    }

    /// Makes the namespaces of all instances and attaches them.
    #[track_caller]
    pub(crate) fn attach(&self, lab: &Lab) {
        for host in lab.hosts() {
            self.attach_on(lab, &host);
        }
    }

    /// The same on one host.
    #[track_caller]
    pub(crate) fn attach_on(&self, lab: &Lab, host: &str) {
        let here = |i: &&Value| i["host"] == *host;
        let names: Vec<String> =
            self.instances().iter().filter(here).map(|i| self.space(&text(&i["name"]))).collect();
        if !names.is_empty() {
            let make = format!("for s in {}; do ip netns add $s 2>/dev/null || true; done", names.join(" "));
            lab.script(host, &make).ok();
            lab.exec_with(host, &[&tool_on(lab, host), "attach"], self.batch(host).as_bytes()).ok();
        }
    }

    /// Detaches all instances and removes their namespaces.
    #[track_caller]
    pub(crate) fn detach(&self, lab: &Lab) {
        for host in lab.hosts() {
            let batch = self.batch(&host);
            if !batch.is_empty() {
                lab.exec_with(&host, &[&tool_on(lab, &host), "detach"], batch.as_bytes()).ok();
                let spaces = format!(
                    "for s in $(ip netns | sed -n 's/^\\({}[.][^ ]*\\).*/\\1/p'); do ip netns del $s; done",
                    self.name()
                );
                lab.script(&host, &spaces).ok();
            }
        }
    }

    /// Takes the stack down, which must succeed.
    #[track_caller]
    pub(crate) fn down(&self, lab: &Lab, args: &[&str]) -> Value {
        lab.net(&[&["down", &self.file], args].concat()).ok().json()
    }
}

/// The tool's own copy on a host, there since the first verb.
#[track_caller]
pub(crate) fn tool_on(lab: &Lab, host: &str) -> String {
    let found = lab.script(host, "ls -t /var/lib/lsx/bin/*/lsx-net | head -1").ok().stdout;
    found.trim().to_owned()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// An address without its prefix.
pub(crate) fn bare(value: &Value) -> String {
    let text = text(value);
    let address = text.split('/').next().unwrap();
    address.parse::<Ipv4Addr>().unwrap().to_string()
}

/// Whether every balancer has a replica in this state, as HAProxy says; a balancer that drains it does not count.
pub(crate) fn replica_is(lab: &Lab, replica: &str, state: &str) -> bool {
    let seen = lab.exec("h1", &[&tool_on(lab, "h1"), "observe"]).ok().json();
    let all = seen["replicas"].as_array().unwrap().iter();
    let mut own = all.filter(|r| r["instance"] == replica && r["state"] != "drain").peekable();
    own.peek().is_some() && own.all(|r| r["state"] == state)
}

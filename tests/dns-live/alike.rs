//! Every example stack, answered by each driver in turn. The servers run in the routers' places, without a network of lsx-net and without
//! instances: what asks has an instance's address, and the same is asked of all.

use crate::drivers::program;
use crate::town::{HOSTS, run};
use common::stack::{ReadOptions, Resolved, Stack, read, resolve};
use lsx_dns::model::{Config, Data};
use lsx_tests::lab::{Lab, until};
use lsx_tests::{entries, top};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

pub(crate) const CASES: &[crate::Case] =
    &[("every_example_is_answered_alike_by_every_driver", every_example_is_answered_alike_by_every_driver)];

/// The drivers, and the name of the program that has the socket.
const DRIVERS: [(&str, &str); 3] = [("embedded", "lsx-dns"), ("bind", "named"), ("dnsmasq", "dnsmasq")];
/// Stacks of the tests that serve names of all kinds, beside those of scripts/stacks.
const MORE: [&str; 2] = ["tests/fixtures/stack/dns/stack.yaml", "tests/dns-live/stack.yaml"];

/// Code and records of an answer, by question.
type Said = BTreeMap<String, (String, BTreeSet<String>)>;

/// A stack whose hosts are those of the lab.
struct Example<'l> {
    lab: &'l Lab,
    name: String,
    document: Value,
    stack: Stack,
    resolved: Resolved,
    /// Hosts that the lab does not have.
    away: Vec<String>,
}

/// Who asks whom, on which host.
struct Asker {
    host: String,
    source: Ipv4Addr,
    server: Ipv4Addr,
    questions: Vec<String>,
}

fn every_example_is_answered_alike_by_every_driver(lab: &Lab) {
    let shipped = entries("scripts/stacks").into_iter().filter(|path| path.extension().is_some());
    let (mut compared, mut refused) = (BTreeSet::new(), Vec::new());
    for path in shipped.chain(MORE.map(top)) {
        let ran = run(lab, 1, &["resolve", path.to_str().unwrap()]).ok();
        for open in [false, true] {
            let Some(example) = Example::of(lab, ran.json(), open) else { continue };
            let drivers = example.able(&mut refused);
            // With names that all may see dnsmasq answers, too.
            if open == drivers.contains(&DRIVERS[2]) {
                compared.extend(drivers.iter().map(|(driver, _)| *driver));
                example.compare(&drivers);
            }
        }
    }
    assert_eq!(compared.len(), DRIVERS.len(), "{compared:?}");
    assert!(refused.iter().any(|said| said.contains("may not see the same names")), "{refused:?}");
}

impl<'l> Example<'l> {
    /// None if it has no gateway. `open`: everybody may reach everything.
    fn of(lab: &'l Lab, mut document: Value, open: bool) -> Option<Example<'l>> {
        ["resolved", "meta"].iter().for_each(|key| drop(document.as_object_mut().unwrap().remove(*key)));
        let networks = document["networks"].as_object().unwrap();
        if networks.values().all(|network| network["gateway"].is_null()) {
            return None;
        }
        let hosts = document["hosts"].as_object_mut().unwrap();
        let mut away = Vec::new();
        for (number, (name, host)) in hosts.iter_mut().enumerate() {
            match HOSTS.get(number) {
                Some(at) => *host = json!({"address": format!("198.18.0.1{}", number + 1), "ssh": at}),
                None => away.push(name.clone()),
            }
        }
        // What the others do not have is refused by name, which tests/dns shows.
        let mut dns = document["dns"].as_object().cloned().unwrap_or_default();
        ["update", "transfer", "rate", "dhcp", "boot"].iter().for_each(|key| drop(dns.remove(*key)));
        dns.insert("health".to_owned(), json!("off"));
        document["dns"] = dns.into();
        if open {
            document["allow"] = json!([{"from": "*", "to": "*"}]);
        }
        let derived = read(&document.to_string(), "stack.json", &ReadOptions::default());
        let derived = derived.and_then(|(stack, _)| Ok((resolve(&stack)?, stack)));
        let (resolved, stack) = match derived {
            // An `allow` needs one gateway for both networks.
            Err(_) if open => return None,
            derived => derived.unwrap(),
        };
        let name = stack.name.clone();
        Some(Example { lab, name, document, stack, resolved, away })
    }

    fn file(&self, driver: &str) -> String {
        let mut document = self.document.clone();
        document["dns"]["driver"] = json!(driver);
        self.lab.file("alike.json", &document.to_string())
    }

    fn dns(&self, verb: &str, file: &str) -> lsx_tests::lab::Ran {
        let away = self.away.iter().flat_map(|host| ["--offline", host.as_str()]);
        run(self.lab, 1, &[verb, file].into_iter().chain(away).collect::<Vec<_>>())
    }

    /// The drivers that take the stack. Others are refused by name.
    fn able(&self, refused: &mut Vec<String>) -> Vec<(&'static str, &'static str)> {
        let takes = |(driver, _): &(&str, &str)| {
            let ran = run(self.lab, 1, &["render", "--stack", &self.file(driver)]);
            if ran.code != 0 {
                assert!(
                    ran.code == 65 && ran.stderr.contains(&format!("the driver {driver} ")),
                    "{}",
                    ran.stderr
                );
                refused.push(ran.stderr);
            }
            ran.code == 0
        };
        DRIVERS.into_iter().filter(takes).collect()
    }

    fn config(&self, host: &str) -> Option<Config> {
        lsx_dns::plan::config(&self.stack, &self.resolved, host, &[])
    }

    /// Of each network one instance for each group of names that instances there see.
    fn askers(&self) -> Vec<Asker> {
        let mut all = BTreeMap::new();
        for nic in self.resolved.instances.iter().flat_map(|at| &at.nics) {
            let at = self.resolved.networks.iter().find(|at| at.name == nic.network).unwrap();
            let (Some(gateway), Some(server)) = (&at.gateway, at.gateway_address) else { continue };
            let (source, Some(config)) = (nic.address.addr(), self.config(gateway)) else { continue };
            let view = config.views.iter().filter(|view| view.from.iter().any(|net| net.contains(&source)));
            let seen: Vec<_> = view.map(|view| format!("{:?}", view.reach)).collect();
            let host = HOSTS[self.resolved.hosts.iter().position(|host| host.name == *gateway).unwrap()];
            let questions = questions(&config);
            let asker = Asker { host: host.to_owned(), source, server, questions };
            all.entry((nic.network.clone(), seen)).or_insert(asker);
        }
        all.into_values().collect()
    }

    /// The routers' places, with the servers' addresses, and the places of those who ask.
    fn place(&self, askers: &[Asker]) {
        for host in HOSTS {
            let name = &self.name;
            let mut script = format!(
                "ip netns add lsx-{name}; ip netns add ask; ip link add r0 netns lsx-{name} type veth peer name c0 netns ask\n\
                 r='ip -n lsx-{name}'; c='ip -n ask'\n\
                 for s in \"$r\" \"$c\"; do $s link set lo up; done; $r link set r0 up; $c link set c0 up\n"
            );
            let number = HOSTS.iter().position(|at| *at == host).unwrap();
            let config = self.resolved.hosts.get(number).and_then(|at| self.config(&at.name));
            for at in config.iter().flat_map(|config| &config.listen) {
                script += &format!("$r addr add {0}/32 dev r0; $c route add {0} dev c0\n", at.ip());
            }
            for at in askers.iter().filter(|at| at.host == host) {
                script += &format!("$c addr replace {0}/32 dev c0; $r route replace {0} dev r0\n", at.source);
            }
            self.lab.script(host, &script).ok();
        }
    }

    fn compare(&self, drivers: &[(&str, &str)]) {
        let askers = self.askers();
        self.place(&askers);
        let mut first: Vec<Said> = Vec::new();
        for (driver, expected) in drivers {
            let file = self.file(driver);
            self.dns("up", &file).ok();
            for (number, asker) in askers.iter().enumerate() {
                // The one before may still answer what it was asked.
                let there = || program(self.lab, &asker.host, &self.name) == *expected;
                let good = |said: Said| said.values().all(|(code, _)| code == "NOERROR");
                let ready = || there() && good(ask(self.lab, asker, &asker.questions[..1]));
                assert!(until(60, ready), "{}: {driver} does not answer {}", self.name, asker.source);
                let said = ask(self.lab, asker, &asker.questions);
                assert_eq!(said.len(), asker.questions.len(), "{}: {driver}: {said:?}", self.name);
                let Some(known) = first.get(number) else {
                    first.push(said);
                    continue;
                };
                for (question, answer) in &said {
                    let (name, source) = (&self.name, asker.source);
                    assert_eq!(answer, &known[question], "{name}: {driver} answers {source} for {question}");
                }
            }
        }
        let file = self.file("embedded");
        self.dns("down", &file).ok();
        for host in HOSTS {
            self.lab.script(host, &format!("ip netns del lsx-{}; ip netns del ask", self.name)).ok();
        }
    }
}

/// Every name with every type that it has for anybody, and one that nobody has. dnsmasq has no zones, and BIND asks servers of others.
fn questions(config: &Config) -> Vec<String> {
    let mut all = vec![format!("ns.{} A", config.domain), format!("nothing.{} A", config.domain)];
    for entry in &config.records {
        let kind = match &entry.data {
            Data::A(_) => "A",
            Data::Aaaa(_) => "AAAA",
            Data::Cname(_) => "CNAME",
            Data::Mx(..) => "MX",
            Data::Txt(_) => "TXT",
            Data::Srv(..) => "SRV",
            Data::Ptr(_) => "PTR",
            Data::Caa(..) => "CAA",
            Data::Ns(_) | Data::Other(..) => continue,
        };
        all.push(format!("{} {kind}", entry.name));
    }
    let mut known = BTreeSet::new();
    all.retain(|question| known.insert(question.clone()));
    all
}

/// What dig gets, without times and the order of records.
fn ask(lab: &Lab, asker: &Asker, questions: &[String]) -> Said {
    let Asker { host, source, server, .. } = asker;
    let flags = format!("@{server} -b {source} +tries=3 +time=5 +noall +comments +question +answer");
    let lines: String = questions.iter().map(|question| format!("{flags} {question}\n")).collect();
    let ran =
        lab.exec_with(host, &["ip", "netns", "exec", "ask", "dig", "-f", "/dev/stdin"], lines.as_bytes());
    let mut all = Said::new();
    for reply in ran.stdout.split("->>HEADER<<-").skip(1) {
        let code = reply.split_once("status: ").unwrap().1.split(',').next().unwrap();
        let lines = reply.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let (mut asked, mut records) = (None, BTreeSet::new());
        for words in lines {
            match words.as_slice() {
                [name, "IN", kind] => asked = Some(format!("{} {kind}", name.trim_matches([';', '.']))),
                [name, _, "IN", data @ ..] => drop(records.insert(format!("{name} {}", data.join(" ")))),
                _ => {}
            }
        }
        all.insert(asked.unwrap_or_else(|| panic!("{}", ran.stdout)), (code.to_owned(), records));
    }
    all
}

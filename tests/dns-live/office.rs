//! A stack on one host whose names clients change, and its clients: nsupdate and dig in an instance's place.

use crate::town::{no_spaces, run};
use lsx_tests::lab::{Lab, Ran, until};
use serde_json::{Value, json};

/// The address of the server, as ann has it.
pub(crate) const SERVER: &str = "10.150.0.1";
/// The records of the server's journal.
pub(crate) const JOURNAL: &str = "/var/lib/lsx/dns/office/data/names/journal";

pub(crate) struct Office<'l> {
    pub(crate) lab: &'l Lab,
    pub(crate) file: String,
    resolved: Value,
}

impl<'l> Office<'l> {
    pub(crate) fn up(lab: &'l Lab) -> Office<'l> {
        lab.file("seed", "0123456789abcdef0123456789abcdef\n");
        let file = lab.file("office.yaml", include_str!("office.yaml"));
        let resolved = run(lab, 0, &["up", &file]).ok().json()["resolved"].clone();
        let office = Office { lab, file, resolved };
        office.dns(&["up", &office.file]).ok();
        office.attach();
        office
    }

    /// Namespaces in place of the instances.
    pub(crate) fn attach(&self) {
        let mut lines = String::new();
        for at in self.resolved["instances"].as_array().unwrap() {
            let space = format!("office.{}", at["name"].as_str().unwrap());
            self.lab.script("h1", &format!("ip netns add {space} 2>/dev/null || true")).ok();
            for nic in at["nics"].as_array().unwrap() {
                let mut nic = nic.clone();
                (nic["stack"], nic["instance"], nic["netns"]) =
                    (json!("office"), at["name"].clone(), json!(space));
                lines += &format!("{nic}\n");
            }
        }
        let net = self.lab.script("h1", "ls -t /var/lib/lsx/bin/*/lsx-net | head -1").ok().stdout;
        self.lab.exec_with("h1", &[net.trim(), "attach"], lines.as_bytes()).ok();
    }

    pub(crate) fn dns(&self, args: &[&str]) -> Ran {
        run(self.lab, 1, args)
    }

    /// The stack with another text, up.
    pub(crate) fn change(&self, from: &str, to: &str) {
        let text = include_str!("office.yaml");
        assert!(text.contains(from), "{from}");
        let file = self.lab.file("office.yaml", &text.replace(from, to));
        self.dns(&["up", &file]).ok();
    }

    /// A command in ann's place.
    pub(crate) fn ann(&self, command: &str, stdin: &str) -> Ran {
        let command = format!("ip netns exec office.ann {command}");
        self.lab.exec_with("h1", &["bash", "-c", &command], stdin.as_bytes())
    }

    /// The short answers that ann gets, sorted.
    pub(crate) fn short(&self, words: &str) -> Vec<String> {
        let told = self.ann(&format!("dig @{SERVER} +tries=3 +time=5 +short {words}"), "").ok().stdout;
        let mut all: Vec<String> = told.lines().map(str::to_owned).collect();
        all.sort();
        all
    }

    /// Puts the key of a client on the host.
    pub(crate) fn key(&self, client: &str) -> String {
        let text = self.dns(&["key", client, "--stack", &self.file]).ok().stdout;
        let path = format!("/tmp/{client}.key");
        self.lab.exec_with("h1", &["bash", "-c", &format!("umask 77; cat >{path}")], text.as_bytes()).ok();
        path
    }

    /// What nsupdate says of an update with this key: its lines, and whether it was carried out.
    pub(crate) fn update(&self, key: Option<&str>, lines: &str) -> (bool, String) {
        let key = key.map(|key| format!("-k {key}")).unwrap_or_default();
        let text = format!("server {SERVER}\n{lines}\nsend\n");
        let ran = self.ann(&format!("nsupdate -t 20 {key}"), &text);
        (ran.code == 0, format!("{}{}", ran.stdout, ran.stderr))
    }

    #[track_caller]
    pub(crate) fn updated(&self, key: &str, lines: &str) {
        let (done, said) = self.update(Some(key), lines);
        assert!(done && said.is_empty(), "{lines}: {said}");
    }

    #[track_caller]
    pub(crate) fn refused(&self, key: Option<&str>, lines: &str, code: &str) {
        let (done, said) = self.update(key, lines);
        assert!(!done && said.contains(code), "{lines}: {said}");
    }

    pub(crate) fn serial(&self) -> u32 {
        let soa = self.short("internal SOA");
        soa[0].split(' ').nth(2).unwrap().parse().unwrap()
    }

    pub(crate) fn recorded(&self, key: &str) -> String {
        let read = format!("jq -r .{key} /run/lsx/office/dns/names.state.json");
        self.lab.script("h1", &read).ok().stdout.trim().to_owned()
    }

    pub(crate) fn down(self) {
        self.dns(&["down", &self.file]).ok();
        self.lab.script("h1", "test -s /var/lib/lsx/dns/office/data/names/journal").ok();
        self.lab.script("h1", "! test -e /var/lib/lsx/secrets/office/dns").ok();
        self.dns(&["down", "--destroy-data", "office", &self.file]).ok();
        self.lab.script("h1", "! test -e /var/lib/lsx/dns && ! pgrep -f '[s]erve-service office'").ok();
        no_spaces(self.lab, "h1", "office");
        // The kernel removes the links of a namespace some time after it.
        assert!(until(60, || run(self.lab, 0, &["down", &self.file]).code == 0));
    }
}

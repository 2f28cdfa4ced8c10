//! The schema against every golden case: it accepts the good ones and refuses what is malformed.

use super::schema;
use crate::tree::{parse, set};
use crate::{ReadOptions, read};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Mistakes of form, which the schema refuses; the others are rules that no schema can express.
const STRUCTURAL: [&str; 11] = [
    "stack.environment.value",
    "stack.type",
    "stack.value",
    "stack.key.unknown",
    "stack.key.missing",
    "stack.key.value",
    "stack.name",
    "stack.name.reserved",
    "stack.secret.written",
    "stack.resolved.malformed",
    "stack.volume.mode",
];

fn top(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Name, text and options of the cases that are stacks and parse.
fn cases() -> Vec<(String, String, ReadOptions)> {
    let folders = fs::read_dir(top("tests/fixtures/stack")).unwrap().map(|entry| entry.unwrap().path());
    let text = |folder: &Path| {
        let own = |name: &str| fs::read_to_string(folder.join(name));
        match own("stack.path") {
            Ok(path) => fs::read_to_string(top(path.trim())).unwrap(),
            Err(_) => own("stack.yaml").or_else(|_| own("stack.json")).unwrap(),
        }
    };
    let options = |folder: &Path| -> ReadOptions {
        let options = fs::read_to_string(folder.join("options.json")).unwrap_or_else(|_| "{}".to_owned());
        let options: Value = serde_json::from_str(&options).unwrap();
        let set = serde_json::from_value(options["set"].clone()).unwrap_or_default();
        let environment = options["environment"].as_str().map(str::to_owned);
        ReadOptions { set, environment, keep_going: false }
    };
    folders
        .map(|folder| {
            (folder.file_name().unwrap().to_str().unwrap().to_owned(), text(&folder), options(&folder))
        })
        .filter(|(name, text, _)| !name.contains("lstacker") && parse(text).is_ok())
        .collect()
}

/// The document as JSON, as an editor sees it; `None` if an override is invalid.
fn json(text: &str, overrides: &[String]) -> Option<Value> {
    let mut root = parse(text).ok()?;
    overrides.iter().try_for_each(|one| set(&mut root, one)).ok()?;
    Some(root.json())
}

#[test]
fn refuses_what_is_malformed_and_nothing_else() {
    let schema = serde_json::to_value(schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let (mut good, mut bad) = (0, 0);
    for (name, text, options) in cases() {
        let Some(document) = json(&text, &options.set) else { continue };
        let failures = read(&text, &name, &options).err().map(|failures| failures.0).unwrap_or_default();
        let malformed = failures.iter().any(|failure| STRUCTURAL.contains(&failure.code.as_str()));
        let told: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(malformed, !told.is_empty(), "{name}: {told:#?} {failures:#?}");
        if malformed { bad += 1 } else { good += 1 }
    }
    assert!(good > 30 && bad > 10, "{good} good, {bad} bad");
}

const MISTAKES: &[&str] = &[
    "hosts: { h1: 192.0.2 }",
    "hosts: { h1: { address: 192.0.2.1, ssh: '-x@h' } }",
    "hosts: { h1: { address: 192.0.2.1, mtu: 100 } }",
    "hosts: { h1: { address: 192.0.2.1, uplink: a name too long } }",
    "hosts: { h1: { address: 192.0.2.1, local: 1 } }",
    "hosts: { h1: { address: 192.0.2.1, firewall: [ssh] } }",
    "hosts: { world: 192.0.2.1 }",
    "networks: { a: { cidr: 10.0.0.0/33 } }",
    "networks: { a: {} }",
    "networks: { a: { cidr: 10.0.0.0/8, cidr6: 'fd00::/64' } }",
    "networks: { a: { type: vlan, parent: eth0 } }",
    "networks: { a: { type: vlan, parent: eth0, id: 4095 } }",
    "networks: { a: { type: macvlan } }",
    "networks: { a: { cidr: 10.0.0.0/8, tunnel: ipsec } }",
    "networks: { a: { cidr: 10.0.0.0/8, vni: 0 } }",
    "networks: { a: { cidr: 10.0.0.0/8, egress: no } }",
    "allow: { from: a, to: b }",
    "allow: [{ from: a }]",
    "allow: [{ from: A, to: b }]",
    "allow: [{ from: a, to: b, ports: [any] }]",
    "instances: { a: [] }",
    "instances: { a: { imgae: b } }",
    "instances: { a: { count: 0 } }",
    "instances: { a: { count: 1.5 } }",
    "instances: { a: { ready: { tcp: 1, http: ':80/' } } }",
    "instances: { a: { ready: {} } }",
    "instances: { a: { ready: { http: ':80/', ca: ca.pem } } }",
    "instances: { a: { ready: { tcp: 1, server_name: a } } }",
    "instances: { a: { ready: { https: ':443/', server_name: 'a:1' } } }",
    "instances: { a: { ready: { tcp: 1, timeout: 30 } } }",
    "instances: { a: { limits: { memory: 512MB } } }",
    "instances: { a: { limits: { cpus: half } } }",
    "instances: { a: { ports: ['10022:'] } }",
    "instances: { a: { ports: [{ to: 1 }] } }",
    "instances: { a: { files: { /a: { source: b, mode: rw } } } }",
    "instances: { a: { volumes: { d: data } } }",
    "instances: { a: { volumes: { d: /data/../etc } } }",
    "instances: { a: { restart: sometimes } }",
    "instances: { a: { driver: podman } }",
    "instances: { a: { networks: [{ address: 10.0.0.1 }] } }",
    "instances: { a: { env: [A] } }",
    "instances: { a: { hostname: 'a b' } }",
    "instances: { A: {} }",
    "balance: { a: { host: h, listen: 80, to: w } }",
    "balance: { a: { host: h, listen: 80, to: w, port: 80, sticky: jam } }",
    "balance: { a: { host: h, listen: 80, to: w, port: 80, path: api } }",
    "balance: { a: { host: h, listen: 80, to: w, port: 80, weight: { w: 300 } } }",
    "balance: { a: { host: h, listen: 80, to: w, port: 80, timeout: 30 } }",
    "dns: { forward: nobody }",
    "dns: { health: sometimes }",
    "dns: { records: { Big: 192.0.2.1 } }",
    "dns: { records: { a: { mx: mail } } }",
    "dns: { records: { a: { srv: '1 2 web' } } }",
    "dns: { update: { a: { key: k, names: a, types: SOA } } }",
    "dns: { dhcp: { n: { reserve: { a: { mac: nothing, address: 10.0.0.1 } } } } }",
    "dns: { boot: { files: { bios: a } } }",
    "meta: { tokens: never }",
    "pki: { certificates: { a: { names: '*' } } }",
    "pki: { certificates: { a: { for: nobody } } }",
    "pki: { acme: { rate: often } }",
    "pki: { ssh: { users: { a: { key: k } } } }",
    "store: { driver: ext4 }",
    "store: { volumes: { a: { size: big } } }",
    "store: { disks: { a: { size: 1G, host: h, network: n, to: world } } }",
    "store: { s3: { endpoint: s3.example.org } }",
    "store: { buckets: { Up: {} } }",
    "store: { buckets: { photos: { allow: { a: write } } } }",
    "snap: { to: { a: { repository: 'ftp:h', key: k } } }",
    "snap: { what: { a: { at: '25:00' } } }",
    "snap: { what: { a: { every: 1h, quiesce: pause } } }",
    "snap: { check: { read: 0% } }",
    "secrets: { a: hunter2 }",
    "images: { a: { podman: b } }",
    "defaults: { hosts: a }",
    "tunnel_port: 70000",
    "schema: lsx.stack/2",
    "sektion: 1",
];

/// Each structural mistake by itself, since a case with several does not show which one the schema found.
#[test]
fn refuses_each_mistake_alone() {
    let schema = serde_json::to_value(schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for mistake in MISTAKES {
        let text = format!("stack: t\n{mistake}\n");
        assert!(read(&text, "-", &ReadOptions::default()).is_err(), "read accepts {mistake}");
        assert!(!validator.is_valid(&json(&text, &[]).unwrap()), "the schema accepts {mistake}");
    }
}

//! `inventory`: its formats for other programs; no host is contacted.

use crate::tool;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;

const STACK: &str = "
stack: office
hosts: { h1: { address: 192.0.2.11, ssh: \"admin@192.0.2.11:2222\", key: keys/id }, web-x: { address: 192.0.2.12, offline: true } }
networks: { man: { cidr: 10.1.0.0/24, gateway: h1 }, lan: { cidr: 10.2.0.0/24, gateway: h1 } }
monitoring: { network: man, port: 9100, instance: omd, site: office }
instances:
  omd: { image: omd, host: h1, networks: man }
  web: { image: bb, hosts: [h1, web-x], count: 2, networks: [lan, man] }
  web-x: { image: bb, host: h1, networks: lan }
";

fn given(format: &[&str], code: i32) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stack.yaml");
    std::fs::write(&file, STACK).unwrap();
    let args = [&["inventory", file.to_str().unwrap()], format].concat();
    let ended = tool().run(args).end().with(code);
    (ended.stdout.clone(), ended.stderr.clone())
}

/// As described in Ansible's "Developing dynamic inventory": groups with `hosts` or `children`, variables in `_meta`.
#[test]
fn ansible_takes_it_for_a_whole_inventory() {
    let (said, _) = given(&["--format", "ansible"], 0);
    let all: Value = serde_json::from_str(&said).unwrap();
    let vars = all["_meta"]["hostvars"].as_object().unwrap();
    let children: BTreeSet<&str> =
        all["all"]["children"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
    let groups: BTreeSet<&str> = all
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .filter(|k| !["_meta", "all"].contains(k))
        .collect();
    assert_eq!(children, groups);
    let mut named = BTreeSet::new();
    for group in groups {
        assert!(group.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{group}");
        assert!(!vars.contains_key(group), "a group is called as a host: {group}");
        named.extend(all[group]["hosts"].as_array().unwrap().iter().map(|h| h.as_str().unwrap().to_owned()));
    }
    assert_eq!(named, vars.keys().cloned().collect());
    let host = &vars["h1"];
    assert_eq!(
        (
            &host["ansible_host"],
            &host["ansible_user"],
            &host["ansible_port"],
            &host["ansible_ssh_private_key_file"]
        ),
        (&json!("192.0.2.11"), &json!("admin"), &json!(2222), &json!("keys/id"))
    );
    // If a host and an instance have the same name, the host has its DNS name.
    assert_eq!(vars["web-x.host.internal"]["lsx_offline"], true);
    assert_eq!(vars["web-x"]["lsx_kind"], "instance");
    assert_eq!(vars["web-1"]["ansible_host"], vars["web-1"]["lsx_addresses"]["man"]);
    assert_eq!(all["instance_web"]["hosts"], json!(["web-1", "web-2"]));
    assert_eq!(all["on_web_x"]["hosts"], json!(["web-2"]));
}

/// As described for Prometheus' `file_sd_config`: a list of maps with `targets` (host:port) and `labels` (texts).
#[test]
fn prometheus_finds_its_targets_in_it() {
    let (said, told) = given(&["--format", "prometheus"], 0);
    assert!(told.contains("web-x is left out: it is not on network man"), "{told}");
    let all: Vec<Value> = serde_json::from_str(&said).unwrap();
    assert_eq!(all.len(), 5, "two hosts, and three instances of the network");
    for one in &all {
        assert_eq!(one.as_object().unwrap().keys().collect::<Vec<_>>().len(), 2, "{one}");
        let targets = one["targets"].as_array().unwrap();
        assert!(
            targets
                .iter()
                .all(|t| t.as_str().unwrap().parse::<std::net::SocketAddr>().unwrap().port() == 9100)
        );
        assert!(one["labels"].as_object().unwrap().values().all(Value::is_string));
    }
    let (said, _) = given(&["--format", "prometheus", "--port", "9256"], 0);
    assert!(said.contains("192.0.2.11:9256"), "{said}");
    let (_, told) = given(&["--format", "prometheus", "--set", "monitoring.port="], 64);
    assert!(told.contains("--port 9100"), "{told}");
}

#[test]
fn checkmk_is_given_hosts_by_its_own_names() {
    let (said, _) = given(&["--format", "checkmk"], 0);
    let all: Value = serde_json::from_str(&said).unwrap();
    let one = &all["entries"][2];
    assert_eq!((&one["host_name"], &one["folder"]), (&json!("omd.man.internal"), &json!("/")));
    assert_eq!(one["attributes"]["site"], "office");
    // hosts.mk is Python code, which the site runs with variables of its own.
    let (said, _) = given(&["--format", "hosts.mk"], 0);
    let program = format!(
        "all_hosts, ipaddresses, host_attributes, FOLDER_PATH = [], {{}}, {{}}, 'office'\n{said}\n\
         import json; print(json.dumps([[h.split('|')[0] for h in all_hosts], ipaddresses, host_attributes]))"
    );
    let ran = Command::new("python3").args(["-c", &program]).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let came: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let names: Vec<&Value> = all["entries"].as_array().unwrap().iter().map(|e| &e["host_name"]).collect();
    assert_eq!(came[0].as_array().unwrap().iter().collect::<Vec<_>>(), names);
    assert_eq!(came[1]["h1.host.internal"], "192.0.2.11");
    assert_eq!(came[2]["h1.host.internal"]["ipaddress"], "192.0.2.11");
}

//! Instances and their parts.

use super::at::{At, Table, string, truth};
use super::sections::{DRIVERS, RESTARTS};
use super::words::{absolute, label, mode, pairs, source};
use super::{given, ports};
use crate::model::{File, Instance, Mount, Nic, Ready};
use crate::tree::Value;
use crate::value::{
    Wrong, address, banner, domain, duration, http, https, label as hostname, port, signal, size,
};
use std::collections::BTreeMap;

/// Replicas of one instance.
const MAX_COUNT: u32 = 10_000;
/// User and group ids of one instance; fewer than the 65,536 that every image may use are not possible.
const MAX_IDS: u32 = 1_000_000_000;

pub(super) fn instance(at: At<'_, '_>) -> Option<Instance> {
    let Some(table) = at.table() else { return Some(Instance::default()) };
    let texts = |key| table.get(key, |at| at.many(string)).unwrap_or_default();
    let instance = Instance {
        image: table.get("image", string),
        host: table.get("host", string),
        hosts: texts("hosts"),
        count: table.get("count", |at| at.number(1, MAX_COUNT)),
        driver: table.get("driver", |at| at.word(&DRIVERS)),
        networks: table.get("networks", |at| at.many(nic)).unwrap_or_default(),
        hostname: table.get("hostname", |at| at.parse(hostname)),
        resolver: table.get("resolver", |at| at.many(|at| at.parse(address))).unwrap_or_default(),
        ports: table.get("ports", ports::published).unwrap_or_default(),
        forward: table.get("forward", truth).unwrap_or_default(),
        needs: texts("needs"),
        ready: table.get("ready", ready),
        command: table.get("command", command).unwrap_or_default(),
        args: texts("args"),
        system: table.get("system", truth),
        stop_signal: table.get("stop_signal", |at| at.parse(signal)),
        stop_grace: table.get("stop_grace", |at| at.parse(duration)),
        user: table.get("user", string),
        ids: table.get("ids", |at| at.number(65_536, MAX_IDS)),
        workdir: table.get("workdir", |at| at.parse(absolute)),
        env: table.get("env", pairs).unwrap_or_default(),
        proxy: table.get("proxy", truth),
        limits: table.get("limits", given::limits).unwrap_or_default(),
        files: table.get("files", |at| at.entries(file_path, file)).unwrap_or_default(),
        volumes: table.get("volumes", volumes).unwrap_or_default(),
        shm_size: table.get("shm_size", |at| at.parse(size)),
        tmpfs: table.get("tmpfs", given::tmpfs).unwrap_or_default(),
        secrets: table.get("secrets", |at| at.many(given::secret)).unwrap_or_default(),
        certificate: table.get("certificate", string),
        restart: table.get("restart", |at| at.word(&RESTARTS)),
        profiles: texts("profiles"),
        recipes: texts("recipes"),
        ssh_keys: texts("ssh_keys"),
        cloud_init: table.get("cloud_init", |at| at.parse(source)),
    };
    table.finish();
    Some(instance)
}

/// An interface: the network's name alone, or a map.
fn nic(at: At<'_, '_>) -> Option<Nic> {
    if let Some(name) = at.node.text() {
        return Some(Nic { name: name.to_owned(), address: Vec::new(), default: false });
    }
    let table = at.table()?;
    let nic = Nic {
        name: table.need("name", string).unwrap_or_default(),
        address: table.get("address", |at| at.many(|at| at.parse(address))).unwrap_or_default(),
        default: table.get("default", truth).unwrap_or_default(),
    };
    table.finish();
    Some(nic).filter(|nic| !nic.name.is_empty())
}

/// A program and its arguments. A single text is the program alone: words are not split as in a shell.
fn command(at: At<'_, '_>) -> Option<Vec<String>> {
    if let Some(text) = at.node.text().filter(|text| text.trim().contains(char::is_whitespace)) {
        let words: Vec<String> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
        let hint = match text.contains(['"', '\'', '$', ';', '|', '&', '<', '>', '`', '\\', '*']) {
            true => format!("a list; to run a shell, name it: [sh, -c, {text:?}]"),
            false => format!("a list: [{}]", words.join(", ")),
        };
        at.mistake("stack.command", format!("`{text}` is read as the name of one program"), hint);
        return None;
    }
    at.many(string)
}

/// Volumes by name.
fn volumes(at: At<'_, '_>) -> Option<BTreeMap<String, Mount>> {
    if let Value::List(items) = &at.node.value {
        let pair = |text: &str| {
            let mut parts = text.split(':');
            Some(format!("{}: {}", parts.next()?, parts.next()?))
        };
        let pairs: Vec<String> = items.iter().filter_map(|item| pair(item.text()?)).collect();
        let like = if pairs.is_empty() { "data: /data".to_owned() } else { pairs.join(", ") };
        let hint = format!("volumes: {{ {like} }}; single files go under `files`");
        at.mistake("stack.type", "expected a map, got a list".to_owned(), hint);
        return None;
    }
    at.entries(label, given::mount)
}

fn ready(at: At<'_, '_>) -> Option<Ready> {
    let table = at.table()?;
    let ready = Ready {
        tcp: table.get("tcp", |at| at.parse(port)),
        http: table.get("http", |at| at.parse(http)),
        https: table.get("https", |at| at.parse(https)),
        ca: table.get("ca", |at| at.parse(source)),
        server_name: table.get("server_name", |at| at.parse(domain)),
        banner: table.get("banner", |at| at.parse(banner)),
        command: table.get("command", command).unwrap_or_default(),
        timeout: table.get("timeout", |at| at.parse(duration)),
        interval: table.get("interval", |at| at.parse(duration)),
    };
    one_probe(&table);
    table.finish();
    Some(ready)
}

fn one_probe(table: &Table<'_, '_>) {
    let at = table.at();
    // A key without a value counts as absent, and a command without a program is no probe.
    let written = |key: &&str| match at.node.get(key).map(|node| &node.value) {
        None | Some(Value::Null) => false,
        Some(Value::List(items)) => !items.is_empty(),
        Some(_) => true,
    };
    let probes = ["tcp", "http", "https", "banner", "command"].into_iter().filter(|key| written(key)).count();
    if probes != 1 {
        at.wrong(Wrong::new(
            format!("`ready` has {probes} probes instead of one"),
            "write exactly one of tcp, http, https, banner and command",
        ));
    } else if !written(&"https")
        && let Some(key) = ["ca", "server_name"].into_iter().find(written)
    {
        at.wrong(Wrong::new(format!("`{key}` is only for `https`"), "write https, or leave it out"));
    }
}

fn file_path(at: At<'_, '_>, key: &str) {
    if let Err(wrong) = absolute(key) {
        at.key_wrong(wrong);
    }
}

/// A file: its source alone, or a map.
fn file(at: At<'_, '_>) -> Option<File> {
    if at.node.text().is_some() {
        return at.parse(source).map(|source| File { source, mode: None, owner: None });
    }
    let table = at.table()?;
    let file = File {
        source: table.need("source", |at| at.parse(source)).unwrap_or_default(),
        mode: table.get("mode", |at| at.parse(mode)),
        owner: table.get("owner", string),
    };
    table.finish();
    Some(file)
}

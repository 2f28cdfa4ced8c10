//! Converts a file of the original LStacker to a stack: its names and addresses, on separate networks.

mod containers;
mod servers;
mod settings;

use super::decode::{At, Log, Path, Spot, Table};
use super::model::Stack;
use super::tree::{Aim, Node, Value};
use super::value::Driver;
use super::value::{name, port};
use crate::Failure;
use servers::{Net, Server};
use std::collections::BTreeMap;

/// Name of the stack if the file gives none.
const NAME: &str = "lstack";

/// Sections that are not servers.
const SECTIONS: [&str; 10] =
    ["ldap", "salt", "centos", "proxy", "ssh", "lxd", "monitoring", "networks", "servers", "version"];

/// Whether a document is an LStacker file.
pub(crate) fn is(root: &Node<'_>) -> bool {
    root.get("lstack").is_some()
}

/// The places in the file of the stack's entries, by their path in the stack.
#[derive(Default)]
pub(crate) struct Origins(BTreeMap<String, (String, u32)>);

impl Origins {
    fn add(&mut self, path: String, at: At<'_, '_>) {
        self.0.insert(path, (at.path.to_string(), at.key));
    }

    /// Converts the place of a failure to that in the file.
    pub(crate) fn place(&self, mut failure: Failure, log: &Log) {
        let path = failure.at.take().unwrap_or_default().path;
        let mut prefix = path.as_str();
        let found = loop {
            if let Some(origin) = self.0.get(prefix) {
                break Some(origin);
            }
            let Some((shorter, _)) = prefix.rsplit_once('.') else { break None };
            prefix = shorter;
        };
        match found {
            Some((origin, at)) => log.push(failure.at(origin.clone()), Spot::Byte(*at)),
            None => log.push(failure.at("lstack"), Spot::Path(Aim::Key)),
        }
    }
}

/// The lines that are not shown, since they may contain a password.
pub(crate) fn unshown(root: &Node<'_>) -> Vec<u32> {
    let mut places = Vec::new();
    let sections = settings::SECRET.iter().filter_map(|section| root.get("lstack")?.get(section));
    let mut nodes: Vec<&Node<'_>> = sections.collect();
    while let Some(node) = nodes.pop() {
        places.push(node.at);
        match &node.value {
            Value::Map(entries) => {
                places.extend(entries.iter().map(|entry| entry.at));
                nodes.extend(entries.iter().map(|entry| &entry.value));
            }
            Value::List(items) => nodes.extend(items),
            _ => {}
        }
    }
    places
}

/// State shared by the parts of the conversion.
struct Import<'l> {
    /// The file's name without its folder; `-` for standard input.
    file: &'l str,
    /// Mistakes in sections that only recipes and monitoring use.
    soft: &'l Log,
    origins: Origins,
    networks: BTreeMap<String, Net>,
    servers: Vec<Server>,
    stack: Stack,
}

/// Converts the file to a stack. Mistakes go to `log`, and what they concern is left out; `soft` gets mistakes that only
/// matter to later tools.
pub(crate) fn import(root: &Node<'_>, file: &str, log: &Log, soft: &Log) -> Option<(Stack, Origins)> {
    let at = At { node: root, path: Path::Root, log, key: root.at };
    let table = at.table()?;
    let own = table.get("stack", |at| at.parse(|text| name(text).map(|()| text.to_owned())));
    let tunnel_port = table.get("tunnel_port", |at| at.parse(port));
    let mut import = Import {
        file: file.rsplit('/').next().unwrap_or(file),
        soft,
        origins: Origins::default(),
        networks: BTreeMap::new(),
        servers: Vec::new(),
        stack: Stack { tunnel_port, ..empty(own.unwrap_or_else(|| NAME.to_owned())) },
    };
    table.need("lstack", |at| {
        import.sections(&at.table()?);
        Some(())
    });
    table.allow("resolved");
    table.finish();
    Some((import.stack, import.origins))
}

fn empty(name: String) -> Stack {
    Stack {
        name,
        domain: "internal".to_owned(),
        tunnel_port: None,
        hosts: BTreeMap::new(),
        networks: BTreeMap::new(),
        allow: Vec::new(),
        images: BTreeMap::new(),
        registries: BTreeMap::new(),
        defaults: super::Defaults { driver: Some(Driver::Lxd), ..super::Defaults::default() },
        instances: BTreeMap::new(),
        balance: BTreeMap::new(),
        secrets: BTreeMap::new(),
        monitoring: None,
        dns: None,
        meta: None,
        pki: None,
        snap: None,
        store: None,
        carried: BTreeMap::new(),
        resolved: None,
    }
}

impl Import<'_> {
    fn sections(&mut self, table: &Table<'_, '_>) {
        let access = table.get("ssh", settings::access).unwrap_or_default();
        table.need("servers", |at| self.servers(at, &access));
        table.need("networks", |at| self.networks(at));
        self.settings(table, access);
        for server in std::mem::take(&mut self.servers) {
            if let Some(at) = table.at().child(&server.key) {
                self.containers(at, &server);
            }
            self.servers.push(server);
        }
        table.get("monitoring", |at| self.monitoring(at));
        self.strangers(table.at());
    }

    /// Sections that are neither settings nor of a listed server: most often a server that is missing in `names`.
    fn strangers(&self, at: At<'_, '_>) {
        for entry in at.node.entries().unwrap_or_default() {
            let known = SECTIONS.contains(&&*entry.key)
                || entry.key.starts_with("x-")
                || self.servers.iter().any(|server| server.key == entry.key);
            if let Some(at) = at.child(&entry.key).filter(|_| !known) {
                let message = format!("`{}` is neither a section nor a listed server", entry.key);
                let hint = "list servers in lstack.servers.names".to_owned();
                at.key_mistake("lstacker.section", message, hint);
            }
        }
    }
}

/// Converts a name to one of lsx; the original's may have capitals and underscores.
fn ours(text: &str) -> String {
    text.to_ascii_lowercase().replace('_', "-")
}

/// Converts a name, or logs a mistake at its place.
fn named(at: At<'_, '_>) -> Option<String> {
    at.parse(|text| name(&ours(text)).map(|()| ours(text)))
}

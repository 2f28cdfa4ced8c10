//! Converts a Compose file to a stack. Everything that cannot be converted is reported with its line.

mod environment;
mod given;
mod image;
mod interpolate;
mod limits;
mod names;
mod networks;
mod ports;
mod run;
mod service;
mod volumes;

pub use environment::parse as environment;

use super::decode::{At, Log, Path, Spot};
use super::read::{ReadOptions, read};
use super::tree::{self, Aim, Node, Source, Value as Tree};
use super::warning::Warning;
use crate::{Failure, Failures, Kind};
use names::Names;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Options of the caller.
#[derive(Clone, Debug, Default)]
pub struct ComposeOptions {
    /// Name of the stack, if the file has none.
    pub name: String,
    /// Hosts of the stack, each with its address; none: this machine.
    pub hosts: Vec<(String, String)>,
    /// Active profiles; services of other profiles are left out.
    pub profiles: BTreeSet<String>,
}

/// Access to files and variables: this module itself reads neither files nor the environment.
pub struct Beside<'b> {
    /// A variable of the caller's environment or of `.env`.
    pub variable: &'b dyn Fn(&str) -> Option<String>,
    /// The text of a file.
    pub text: &'b dyn Fn(&str) -> Result<String, Failure>,
    /// The kind of a path.
    pub there: &'b dyn Fn(&str) -> There,
}

/// The kind of a path on the operator's machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum There {
    /// It does not exist.
    Nothing,
    /// A regular file.
    File,
    /// A folder with the relative paths of the regular files below it; `None` if there are too many.
    Folder(Option<Vec<String>>),
    /// A socket, a device or similar.
    Special,
}

/// The shared state of the import.
struct Import<'i> {
    options: &'i ComposeOptions,
    beside: &'i Beside<'i>,
    /// Everything that cannot be converted.
    lost: &'i Log,
    services: Names,
    networks: Names,
    /// The source of secrets and configs by name; `None` for those that cannot be read.
    secrets: BTreeMap<String, Option<String>>,
    configs: BTreeMap<String, Option<String>>,
    /// Services with a readiness check.
    checked: BTreeSet<String>,
    /// The number of instances that write to a volume.
    writers: BTreeMap<String, usize>,
    /// Secrets of an instance.
    granted: BTreeSet<String>,
}

/// Converts a Compose file to a stack; `file` is its name in failures. Everything that is not converted becomes a warning.
///
/// # Errors
/// Every problem at once, with its place: kind `Empty` for an empty document, otherwise `Data`.
pub fn import(
    text: &str,
    file: &str,
    options: &ComposeOptions,
    beside: &Beside<'_>,
) -> Result<(Value, Vec<Warning>), Failures> {
    let source = Source::new(file, text);
    let mut root = tree::parse(text).map_err(|faults| {
        Failures(faults.into_iter().map(|fault: tree::Fault| fault.failure(&source)).collect())
    })?;
    let (hard, lost) = (Log::default(), Log::default());
    interpolate::tree(&mut root, beside.variable, &hard);
    let made = document(&root, &hard, &lost, options, beside);
    let (Some(stack), true) = (made, hard.is_empty()) else { return Err(hard.close(&root, &source)) };
    let mut warnings: Vec<Warning> = lost.close(&root, &source).0.into_iter().map(Warning::from).collect();
    match read(&stack.to_string(), file, &ReadOptions::default()) {
        Ok((_, more)) => warnings.extend(more.into_iter().map(|warning| Warning { at: None, ..warning })),
        Err(failures) => return Err(Failures(failures.0.into_iter().map(unfit).collect())),
    }
    Ok((stack, warnings))
}

/// A violated rule of stacks: its place is a path of the stack, since the text of the stack is not known to the user.
fn unfit(mut failure: Failure) -> Failure {
    let path = failure.at.take().unwrap_or_default().path;
    failure.message = format!("the converted stack violates a rule: {}", failure.message);
    failure.at(path)
}

fn document(
    root: &Node<'_>,
    hard: &Log,
    lost: &Log,
    options: &ComposeOptions,
    beside: &Beside<'_>,
) -> Option<Value> {
    let at = At { node: root, path: Path::Root, log: hard, key: root.at };
    let Some(services) = at.child("services").filter(|at| at.node.entries().is_some()) else {
        let failure =
            Failure::new(Kind::Data, "compose.services", "no map `services`: this is not a Compose file");
        let hint = "the old format without `services` is not supported; docker compose config converts it";
        hard.push(failure.hint(hint), Spot::Path(Aim::Key));
        return None;
    };
    let mut import = Import {
        options,
        beside,
        lost,
        services: Names::of(services, lost),
        networks: Names::default(),
        secrets: BTreeMap::new(),
        configs: BTreeMap::new(),
        checked: service::checked(services),
        writers: BTreeMap::new(),
        granted: BTreeSet::new(),
    };
    import.top(at);
    let written = at.child("networks");
    import.networks = Names::of_networks(written, lost);
    let mut instances = Map::new();
    let mut used = BTreeSet::new();
    each(services, |key, at| {
        if let Some((name, instance)) = import.service(key, at, &mut used) {
            instances.insert(name, instance);
        }
    });
    import.share(&mut instances);
    let name = import.name(at);
    let networks = import.network_section(written, &used, &name);
    Some(import.assemble(&name, networks, instances))
}

impl Import<'_> {
    /// Sections other than services.
    fn top(&mut self, root: At<'_, '_>) {
        each(root, |key, at| match key {
            "services" | "networks" | "name" | "version" => {}
            "volumes" => self.volume_section(at),
            "secrets" => self.secrets = self.sources(at, "secret"),
            "configs" => self.configs = self.sources(at, "config"),
            "include" => {
                at.key_mistake("compose.include", "it includes other files".to_owned(), WHOLE.to_owned())
            }
            _ if key.starts_with("x-") => {}
            _ => self.lose(at, format!("`{key}` is not converted"), ""),
        });
    }

    /// The stack's name: that of the file, else that of the caller, else a fixed one.
    fn name(&self, root: At<'_, '_>) -> String {
        let own = root.child("name").and_then(|at| at.node.text().map(str::to_owned));
        let name = names::ours(own.as_deref().unwrap_or(&self.options.name));
        if name.is_empty() { "compose".to_owned() } else { name }
    }

    /// The default host of instances.
    fn host(&self) -> &str {
        self.options.hosts.first().map_or("here", |(name, _)| name)
    }

    fn assemble(&self, name: &str, networks: Value, instances: Map<String, Value>) -> Value {
        let hosts: Map<String, Value> = match self.options.hosts.as_slice() {
            [] => Map::from_iter([("here".to_owned(), json!({ "address": "127.0.0.1", "local": true }))]),
            hosts => hosts.iter().map(|(name, address)| (name.clone(), host(address))).collect(),
        };
        let mut document = Map::new();
        document.insert("stack".to_owned(), json!(name));
        document.insert("hosts".to_owned(), Value::Object(hosts));
        document.insert("networks".to_owned(), networks);
        if self.options.hosts.len() > 1 {
            document.insert("defaults".to_owned(), json!({ "host": self.host() }));
        }
        let secrets: Map<String, Value> = self
            .granted
            .iter()
            .filter_map(|name| {
                Some((name.clone(), json!(format!("file:{}", self.secrets.get(name)?.as_ref()?))))
            })
            .collect();
        if !secrets.is_empty() {
            document.insert("secrets".to_owned(), Value::Object(secrets));
        }
        document.insert("instances".to_owned(), Value::Object(instances));
        Value::Object(document)
    }

    /// Reports that something is not converted, at its key.
    fn lose(&self, at: At<'_, '_>, message: String, hint: &str) {
        at.telling(self.lost).key_mistake("compose.lost", message, hint.to_owned());
    }

    /// Reports that something is converted but has another meaning in a stack.
    fn differs(&self, at: At<'_, '_>, message: String, hint: &str) {
        at.telling(self.lost).key_mistake("compose.differs", message, hint.to_owned());
    }
}

/// Hint for files that need other files.
const WHOLE: &str = "merge everything into one file with `docker compose config`, and import that";

/// `ADDRESS` or `USER@ADDRESS`.
fn host(text: &str) -> Value {
    match text.rsplit_once('@') {
        Some((_, address)) => json!({ "address": address, "ssh": text }),
        None => json!(text),
    }
}

/// The entries of a map in the order of the text. Other values have none: they were reported, or have no meaning.
fn each(at: At<'_, '_>, mut read: impl FnMut(&str, At<'_, '_>)) {
    let keys: Vec<&str> = at.node.entries().unwrap_or_default().iter().map(|entry| &*entry.key).collect();
    for key in keys {
        if let Some(at) = at.child(key) {
            read(key, at);
        }
    }
}

/// The items of a list, or a single value as one item.
fn items(at: At<'_, '_>, mut read: impl FnMut(At<'_, '_>)) {
    match &at.node.value {
        Tree::Null => {}
        Tree::List(list) => {
            for (index, node) in list.iter().enumerate() {
                read(At { node, path: Path::Item(&at.path, index), log: at.log, key: node.at });
            }
        }
        _ => read(at),
    }
}

/// The text of a scalar; `None` for other values.
fn text(at: At<'_, '_>) -> Option<String> {
    at.node.text().map(str::to_owned)
}

/// The texts of a list, or a single text as one item.
fn texts(at: At<'_, '_>) -> Vec<String> {
    let mut all = Vec::new();
    items(at, |at| all.extend(at.text().map(str::to_owned)));
    all
}

/// The text under a key of a map.
fn under(at: At<'_, '_>, key: &str) -> Option<String> {
    text(at.child(key)?)
}

/// A boolean of YAML 1.1 or 1.2: Compose accepts both.
fn truth(at: At<'_, '_>) -> bool {
    matches!(at.node.text(), Some("true" | "True" | "TRUE" | "yes" | "on"))
}

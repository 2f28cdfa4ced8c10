//! `import`: converts a Compose file to a stack. Files beside it are read here; the conversion is in common::stack.

use clap::Args;
use common::host::{file, limit};
use common::stack::compose::{self, Beside, ComposeOptions, There};
use common::stdio::{self, Output};
use common::{Failure, Failures, Kind, log};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_yaml::FlowSeq;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Flags of `import`.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The Compose file; default: compose.yaml in the current folder, or another usual name
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// A host of the stack; the first is the default host of instances; default: this machine
    #[arg(long, value_name = "NAME=[USER@]ADDRESS", value_parser = host)]
    host: Vec<(String, String)>,
    /// Include services of this profile; may be repeated
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        env = "COMPOSE_PROFILES",
        hide_env_values = true
    )]
    profile: Vec<String>,
    /// Name of the stack if the file has none; default: the name of the file's folder
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Usual names of Compose files, in the order of Compose.
const USUAL: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
/// Limits for folders that become single files: their number and depth.
const FILES: usize = 100;
const DEEP: usize = 8;

pub(super) fn import(args: &ImportArgs, output: &Output) -> Result<(), Failures> {
    let path = args.file.clone().or_else(|| USUAL.iter().map(PathBuf::from).find(|path| path.is_file()));
    let Some(path) = path else {
        let failure = Failure::new(Kind::Usage, "usage.compose", "there is no Compose file in this folder");
        return Err(failure.hint(format!("name one; looked for {}", USUAL.join(", "))).into());
    };
    let (text, name) = stdio::read(Some(&path))?;
    let base = match path.parent() {
        Some(folder) if path.as_os_str() != "-" && !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let dot_env = dot_env(&base)?;
    let variable = |name: &str| caller(name).or_else(|| dot_env.get(name).cloned());
    let at = |path: &str| base.join(path);
    let beside =
        Beside { variable: &variable, text: &|path| whole(&at(path)), there: &|path| there(&at(path)) };
    let options = ComposeOptions {
        name: args.name.clone().unwrap_or_else(|| folder_name(&base)),
        hosts: args.host.clone(),
        profiles: args.profile.iter().cloned().collect(),
    };
    let (stack, warnings) = compose::import(&text, &name, &options, &beside)?;
    for warning in &warnings {
        log::warning(&warning.to_string());
    }
    let yaml = serde_yaml::to_string(&Short(&stack))
        .map_err(|e| Failure::new(Kind::Bug, "compose.yaml", format!("cannot write YAML: {e}")))?;
    Ok(output.text(&yaml)?)
}

/// A document with lists of words on one line, as people write them.
struct Short<'v>(&'v Value);

impl Serialize for Short<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
                FlowSeq(items).serialize(serializer)
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Short)),
            Value::Object(map) => serializer.collect_map(map.iter().map(|(key, value)| (key, Short(value)))),
            scalar => scalar.serialize(serializer),
        }
    }
}

fn host(text: &str) -> Result<(String, String), String> {
    let wrong = || "write NAME=ADDRESS or NAME=USER@ADDRESS, like h1=192.0.2.11".to_owned();
    let (name, address) = text.split_once('=').ok_or_else(wrong)?;
    if name.is_empty() || address.is_empty() {
        Err(wrong())
    } else {
        Ok((name.to_owned(), address.to_owned()))
    }
}

/// A variable of the caller's environment, for values of Compose files.
#[expect(
    clippy::disallowed_methods,
    reason = "the names are in the file, so flags cannot replace them; the result is printed, not planned"
)]
fn caller(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn folder_name(base: &Path) -> String {
    let whole = base.canonicalize().ok();
    whole
        .as_deref()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Variables of the file `.env` beside the Compose file; the caller's environment wins.
fn dot_env(base: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let path = base.join(".env");
    if !path.is_file() {
        return Ok(BTreeMap::new());
    }
    let found = compose::environment(&whole(&path)?, &caller);
    found
        .map(BTreeMap::from_iter)
        .map_err(|why| Failure::new(Kind::Data, "compose.env_file", format!("{}: {why}", path.display())))
}

fn whole(path: &Path) -> Result<String, Failure> {
    let bytes = file::read_at_most(path, limit::SECRET)?.ok_or_else(|| {
        Failure::new(Kind::Data, "compose.env_file", format!("{}: no such file", path.display()))
    })?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::new(Kind::Data, "document.utf8", format!("{}: not UTF-8", path.display())))
}

fn there(path: &Path) -> There {
    let Ok(what) = path.metadata() else { return There::Nothing };
    if what.is_dir() {
        let mut files = Vec::new();
        let few = walk(path, path, DEEP, &mut files);
        files.sort();
        return There::Folder(few.then_some(files));
    }
    if what.is_file() { There::File } else { There::Special }
}

/// Regular files below a folder; false if there are too many, or if one cannot be sent by its name.
fn walk(root: &Path, folder: &Path, deep: usize, files: &mut Vec<String>) -> bool {
    let Ok(entries) = folder.read_dir() else { return false };
    for entry in entries.flatten() {
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { return false };
        let fits = match path.strip_prefix(root).ok().and_then(Path::to_str) {
            Some(relative) if kind.is_file() && files.len() < FILES => {
                files.push(relative.to_owned());
                true
            }
            Some(_) if kind.is_dir() && deep > 0 => walk(root, &path, deep - 1, files),
            _ => false,
        };
        if !fits {
            return false;
        }
    }
    true
}

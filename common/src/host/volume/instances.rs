//! The instances of this host that have a volume: which they are, which of them run, and lsx-ct's verbs on them.

use super::super::service::sibling;
use super::super::{Program, file};
use crate::failure::{Failure, Kind};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

fn failed(message: String) -> Failure {
    Failure::new(Kind::Failed, "host.instances", message)
}

/// Those that have a volume, as lsx-ct keeps them.
///
/// # Errors
/// If what it keeps cannot be read.
pub fn of(stack: &str, volume: &str) -> Result<BTreeSet<String>, Failure> {
    let path = Path::new("/etc/lsx").join(stack).join("ct.json");
    let Some(text) = file::read(&path)? else { return Ok(BTreeSet::new()) };
    let kept: Value = serde_json::from_str(&text).map_err(|e| failed(format!("{}: {e}", path.display())))?;
    let uses = |instance: &&Value| {
        let volumes = instance["volumes"].as_array().into_iter().flatten();
        volumes.into_iter().any(|one| one["name"] == volume)
    };
    let all = kept["instances"].as_array().into_iter().flatten().filter(uses);
    Ok(all.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect())
}

/// Those of them that run, as lsx-ct says.
///
/// # Errors
/// Of lsx-ct.
pub fn running(stack: &str, volume: &str) -> Result<BTreeSet<String>, Failure> {
    let all = of(stack, volume)?;
    if all.is_empty() {
        return Ok(all);
    }
    let text = ct().args(["--quiet", "observe"]).run(b"")?;
    let seen: Value =
        serde_json::from_slice(&text).map_err(|e| failed(format!("lsx-ct observe cannot be read: {e}")))?;
    let Some(instances) = seen["instances"].as_array() else {
        return Err(failed("lsx-ct observe names no instances".to_owned()));
    };
    let runs = |one: &&Value| {
        let state = one["state"].as_str().unwrap_or_default();
        one["stack"] == stack && !matches!(state, "stopped" | "exited")
    };
    let run = instances.iter().filter(runs).filter_map(|one| one["name"].as_str());
    Ok(run.filter(|name| all.contains(*name)).map(str::to_owned).collect())
}

/// lsx-ct without a document, wherever this program was started.
fn ct() -> Program {
    Program::new(&sibling("lsx-ct").to_string_lossy()).env("LSX_STACK", "")
}

/// Runs a verb of lsx-ct, such as `stop`, on instances of this host.
///
/// # Errors
/// Of lsx-ct.
pub fn act<'a>(
    stack: &str,
    verb: &[&str],
    names: impl IntoIterator<Item = &'a String>,
) -> Result<(), Failure> {
    let names: Vec<String> = names.into_iter().map(|name| format!("{stack}/{name}")).collect();
    if names.is_empty() {
        return Ok(());
    }
    ct().args(["--quiet"]).args(verb).args(names).run(b"").map(|_| ())
}

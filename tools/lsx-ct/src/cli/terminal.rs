//! A terminal in one instance, on this host or from another machine.

use super::targets::{OnArgs, Where, no_target, program, targets};
use crate::act::{self, Target};
use crate::driver::Exec;
use crate::{Ct, engines};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::cli::Global;
use common::{Failure, Failures, Kind};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The default program.
const SHELL: &str = "/bin/sh";

/// The first word is the instance, the others are the program and its arguments.
pub(super) fn open(tool: &Ct, on: &OnArgs, mut exec: Exec, global: &Global) -> Result<(), Failures> {
    let name = exec.argv.remove(0);
    exec.argv = program(exec.argv)?;
    if exec.argv.is_empty() {
        exec.argv.push(SHELL.to_owned());
    }
    let (place, targets) = targets(tool, on, &[name], global)?;
    let target = only(targets.values().flatten())?.clone();
    let Some(host) = targets.into_keys().next() else { return Err(no_target()) };
    let Where::Fleet(mut host_set) = place else { return Err(enter(&target, &exec).into()) };
    // This ensures that the tool is on the host, and the connection is open.
    let reached = host_set.call("there", BTreeMap::from([(host.clone(), Value::Null)]));
    reached.into_values().collect::<Result<Vec<_>, _>>()?;
    let word = URL_SAFE_NO_PAD.encode(json!((&target, &exec)).to_string());
    match host_set.terminal(&host, &["terminal", &word])? {
        None => Err(enter(&target, &exec).into()),
        Some(argv) => Err(act::becomes(&argv).into()),
    }
}

/// The verb `terminal`: the request of [`open`] on another machine, encoded as one word that a shell does not change.
pub(super) fn from_word(word: &str) -> Result<(), Failure> {
    let wrong = || Failure::new(Kind::Usage, "usage.word", "not a request of lsx-ct exec -t");
    let bytes = URL_SAFE_NO_PAD.decode(word).map_err(|e| wrong().because(e))?;
    let (target, exec): (Target, Exec) = serde_json::from_slice(&bytes).map_err(|e| wrong().because(e))?;
    Err(enter(&target, &exec))
}

fn only<'a>(mut targets: impl Iterator<Item = &'a Target>) -> Result<&'a Target, Failures> {
    match (targets.next(), targets.next()) {
        (Some(target), None) => Ok(target),
        (Some(one), Some(other)) => {
            let message =
                format!("a terminal needs exactly one instance, but {} and {} match", one.name, other.name);
            Err(Failure::new(Kind::Usage, "usage.name", message).into())
        }
        _ => Err(no_target()),
    }
}

/// Replaces this process by the engine's own client; returns only if that fails.
fn enter(target: &Target, exec: &Exec) -> Failure {
    let client = || {
        let driver = engines::found(&target.stack, &target.name)?.map(|(driver, _)| driver);
        engines::of(driver.unwrap_or_default(), None)?.shell(&target.stack, &target.name, exec)
    };
    match client() {
        Ok(program) => program.become_it(),
        Err(failure) => failure,
    }
}

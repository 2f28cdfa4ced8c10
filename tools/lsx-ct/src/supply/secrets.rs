//! Sends secrets from the operator's disk to hosts, readable by root only, and only with the digest in the plan.

use crate::Ct;
use crate::model::Object;
use crate::oci::disk::folder_with;
use crate::paths;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::host::file::{self, Mode};
use common::host::limit;
use common::tool::{Each, PlanOf};
use common::{Failure, Failures, Kind, document};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The secrets of a stack for one host.
#[derive(Default, Serialize, Deserialize)]
struct Parcel {
    stack: String,
    values: BTreeMap<String, Value64>,
}

/// A value and its expected digest.
#[derive(Clone, Serialize, Deserialize)]
struct Value64 {
    digest: String,
    /// Base64 (RFC 4648). Absent if the document no longer names the instance: then the host has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
}

/// The secrets for every host.
#[derive(Default)]
pub(super) struct Secrets(BTreeMap<String, Parcel>);

/// The digest of a secret's value, as in documents.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", document::digest(bytes))
}

/// Reads all secrets of a plan, each once; returns those that are missing or differ from the plan.
pub(super) fn read(plan: &PlanOf<Ct>) -> (Secrets, Vec<Failure>) {
    let (mut parcels, mut failures) = (Secrets::default(), Vec::new());
    // After a reboot there is no operator's machine: an instance without its secret reports it itself.
    if plan.data.patient {
        return (parcels, failures);
    }
    let mut known: BTreeMap<(&str, &str), Option<Value64>> = BTreeMap::new();
    for step in &plan.steps {
        let Some(Object::Instance(instance)) = &step.after else { continue };
        for which in instance.all_secrets() {
            let value = known
                .entry(which)
                .or_insert_with(|| as_planned(plan, which).map_err(|failure| failures.push(failure)).ok());
            let Some(value) = value.clone() else { continue };
            let parcel = parcels.0.entry(step.host.clone()).or_default();
            parcel.stack.clone_from(&plan.stack);
            parcel.values.insert(which.0.to_owned(), value);
        }
    }
    (parcels, failures)
}

/// The value of a secret with the digest in the plan.
fn as_planned(plan: &PlanOf<Ct>, (name, wanted): (&str, &str)) -> Result<Value64, Failure> {
    let digest = wanted.to_owned();
    let Some(place) = plan.data.secrets.get(name) else {
        return Ok(Value64 { digest, data: None });
    };
    let bytes = common::secret::value(&plan.stack, name, place)?;
    if self::digest(&bytes) == wanted {
        return Ok(Value64 { digest, data: Some(STANDARD.encode(bytes)) });
    }
    let message = format!("secret {name}: {place} has changed since the plan was made");
    let hint = "make a new plan and review it";
    Err(Failure::new(Kind::Again, "ct.secret.changed", message).hint(hint))
}

impl Secrets {
    /// Sends them to the hosts that have not failed yet.
    pub(super) fn send(self, each: Each<'_>, failed: &mut BTreeMap<String, Failures>) {
        let parcels = self.0.into_iter().filter(|(host, _)| !failed.contains_key(host));
        let sent: BTreeMap<String, Value> = parcels.map(|(host, parcel)| (host, json!(parcel))).collect();
        if sent.is_empty() {
            return;
        }
        for (host, answer) in each("secrets", sent) {
            if let Err(failures) = answer {
                failed.insert(host, failures);
            }
        }
    }
}

/// The host's side: stores secrets, readable by root only.
///
/// # Errors
/// A value with another digest; file system errors.
pub(crate) fn keep(input: Value) -> Result<Value, Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::new(Kind::Bug, "ct.secrets", e.to_string());
    let parcel: Parcel = serde_json::from_value(input).map_err(|e| wrong(&e))?;
    folder_with(&Path::new(paths::SECRETS).join(&parcel.stack), 0o700)?;
    for (name, value) in &parcel.values {
        let path = paths::secret(&parcel.stack, name);
        let Some(data) = &value.data else {
            has(name, &path, &value.digest)?;
            continue;
        };
        let bytes = STANDARD.decode(data).map_err(|e| wrong(&e))?;
        if digest(&bytes) != value.digest {
            return Err(wrong(&format!("secret {name} was damaged in transfer")));
        }
        file::write(&path, &bytes, Mode::Private)?;
    }
    Ok(Value::Null)
}

/// A secret that is not sent must be on the host already.
fn has(name: &str, path: &Path, wanted: &str) -> Result<(), Failure> {
    let kept = file::read_at_most(path, limit::SECRET)?;
    if kept.is_some_and(|bytes| digest(&bytes) == wanted) {
        return Ok(());
    }
    let message = format!("secret {name} is missing on this host, and the document does not name its file");
    Err(Failure::new(Kind::Failed, "ct.secret", message)
        .hint("add the secret and its instance to the document"))
}

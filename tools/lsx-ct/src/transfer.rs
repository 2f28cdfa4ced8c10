//! What instances need on their host before the first step: images, files, secrets, and a runtime that works.

use crate::Ct;
use crate::image::Store;
use crate::model::Object;
use crate::oci::runtime::Runtime;
use crate::plan::Data;
use common::plan::Plan;
use common::stack::Driver;
use common::tool::{Each, PlanOf};
use common::transfer::{Bytes, NeededSecret, Needs};
use common::{Failure, Failures};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The blobs and secrets of an object.
pub(crate) fn needs<'p>(plan: &'p Plan<Object, Data>, object: &'p Object) -> Needs<'p> {
    let Object::Instance(instance) = object else { return Needs::default() };
    let image = (instance.image.digest.as_str(), format!("image {}", instance.image.name));
    let files = instance.files.iter().map(|file| (file.digest.as_str(), &file.path));
    let recipes = instance.recipes.iter().map(|recipe| (recipe.digest.as_str(), &recipe.path));
    let named = |(digest, path)| (digest, format!("{path} of instance {}", instance.name));
    let bytes = std::iter::once(image).chain(files.chain(recipes).map(named)).collect();
    // After a reboot there is no operator's machine: an instance without its secret reports it itself.
    let secrets = instance.all_secrets().filter(|_| !plan.data.patient);
    let place = |name: &str| plan.data.secrets.get(name).map(String::as_str);
    let secrets = secrets.map(|(name, digest)| NeededSecret { name, digest, place: place(name) });
    Needs { bytes, secrets: secrets.collect() }
}

/// Hosts that create or start something with the driver oci, and whose OCI runtime does not work.
pub(crate) fn unable(plan: &PlanOf<Ct>, each: Each<'_>) -> BTreeMap<String, Failures> {
    let oci = |object: &Object| matches!(object, Object::Instance(i) if i.driver == Driver::Oci);
    let steps = plan.steps.iter().filter(|step| step.after.as_ref().is_some_and(oci));
    let hosts: BTreeMap<String, Value> =
        steps.map(|step| (step.host.clone(), json!({"runtime": plan.data.runtime}))).collect();
    let answers = if hosts.is_empty() { BTreeMap::new() } else { each("runtime", hosts) };
    answers.into_iter().filter_map(|(host, answer)| Some((host, answer.err()?))).collect()
}

/// The host's side.
///
/// # Errors
/// If none works, with the error of each.
pub(crate) fn runtime(input: &Value) -> Result<Value, Failure> {
    Runtime::find(input["runtime"].as_str())?;
    Ok(Value::Null)
}

impl Bytes for Store {
    fn place(&self) -> String {
        format!("the image store of this machine, {}", self.place())
    }

    fn parts(&self, digest: &str) -> Vec<(String, u64)> {
        let parts = self.blobs(digest).unwrap_or_default();
        parts.into_iter().map(|blob| (blob.digest, blob.size_bytes)).collect()
    }

    fn missing(&self, digests: &[String]) -> Vec<String> {
        Store::missing(self, digests)
    }

    fn piece(&self, digest: &str, offset: u64, most: usize) -> Result<Vec<u8>, Failure> {
        self.chunk(digest, offset, most)
    }

    fn receive(&self, digest: &str, offset: u64, bytes: &[u8], last: bool) -> Result<(), Failure> {
        Store::receive(self, digest, offset, bytes, last)
    }
}

//! Puts an instance aside so that it can be restored: stopped, renamed, and marked as incomplete meanwhile.

use super::Lxd;
use super::client::OPERATION;
use super::marks::{ASIDE, NAME, SPEC, WAS};
use crate::grace::{self, GRACE};
use crate::model::{NAME_MAX, engine_name};
use common::Failure;
use serde_json::{Map, Value, json};
use ureq::http::Method;

impl Lxd {
    pub(super) fn set_aside(&self, stack: &str, name: &str) -> Result<Option<String>, Failure> {
        let aside = format!("{name}{ASIDE}");
        if engine_name(stack, &aside).len() > NAME_MAX {
            return Ok(None);
        }
        let held = self.owned(stack, name)?;
        let instance = held.found().and_then(|found| found.instance);
        self.halt(stack, name, instance.as_ref().map_or(GRACE, grace::of))?;
        self.unmake(stack, &aside)?; // left by a killed run
        match self.mark_as(&held.name, &aside, (SPEC, WAS)) {
            // Its own files fill its disk, where the server keeps its settings: it can only be removed.
            Err(refused) if ["quota exceeded", "no space left"].iter().any(|why| full(&refused, why)) => {
                return Ok(None);
            }
            done => done?,
        }
        self.rename(&held.name, &engine_name(stack, &aside))?;
        Ok(Some(aside))
    }

    pub(super) fn set_back(&self, stack: &str, aside: &str, name: &str) -> Result<(), Failure> {
        let engine = engine_name(stack, name);
        self.rename(&self.owned(stack, aside)?.name, &engine)?;
        self.mark_as(&engine, name, (WAS, SPEC))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Failure> {
        let path = format!("/1.0/instances/{from}");
        self.client.send(&Method::POST, &path, &json!({"name": to}), None, OPERATION)?;
        Ok(())
    }

    /// Marks it with another name, and moves its definition from one setting to another.
    fn mark_as(&self, engine: &str, name: &str, (from, to): (&str, &str)) -> Result<(), Failure> {
        let path = format!("/1.0/instances/{engine}");
        let Some(got) = self.client.get(&path)? else { return Ok(()) };
        let mut value = got.value;
        let mut config: Map<String, Value> = value["config"].as_object().cloned().unwrap_or_default();
        config.insert(NAME.to_owned(), name.into());
        if let Some(spec) = config.shift_remove(from) {
            config.insert(to.to_owned(), spec);
        }
        value["config"] = Value::Object(config);
        self.client.send(&Method::PUT, &path, &value, got.etag.as_deref(), OPERATION)?;
        Ok(())
    }
}

/// Whether the server was refused space.
fn full(failure: &Failure, why: &str) -> bool {
    std::iter::once(&failure.message).chain(&failure.causes).any(|text| text.to_lowercase().contains(why))
}

//! Creates, changes and removes an instance.

use super::client::{OPERATION, Refused};
use super::entrypoint::Entrypoint;
use super::marks::{RECIPES, SPEC};
use super::pool::UNAVAILABLE;
use super::request::{self, HostValues, seed};
use super::{Lxd, ServerInstance, network};
use crate::accounts::{Account, Accounts, Alone};
use crate::model::{Instance, engine_name};
use crate::oci::disk;
use common::stack::Driver;
use common::{Failure, Kind};
use nix::fcntl::FlockArg;
use serde_json::{Map, Value, json};
use std::time::Duration;
use ureq::http::Method;

/// How often to retry if an image or a pool is removed before it is used.
const TRIES: usize = 3;

impl Lxd {
    pub(super) fn make(&self, stack: &str, wanted: &Instance, hosts: &str) -> Result<(), Failure> {
        let engine = engine_name(stack, &wanted.name);
        match self.held(&engine)? {
            Some(held) if !held.is(stack, &wanted.name) => return Err(self.stranger(&held)),
            Some(held) => match held.found().and_then(|found| found.instance) {
                Some(made) if same(&made, wanted) => return Ok(()),
                Some(_) => return Err(changed(&engine)),
                None => self.unmake(stack, &wanted.name)?, // left by a killed run
            },
            None => {}
        }
        for volume in &wanted.volumes {
            disk::volume(stack, &volume.name)?;
        }
        let mut values = self.values(stack, wanted)?;
        values.first.check(&wanted.name)?;
        self.post(stack, wanted, &mut values)?;
        self.has_ids(&engine, wanted)?;
        let accounts = self.accounts(&engine)?;
        self.identity(&engine, wanted, hosts)?;
        self.put_all(&engine, wanted, &[], &accounts)?;
        if wanted.proxy.is_some() {
            self.put_proxy(&engine, wanted.proxy.as_ref())?;
        }
        if !wanted.volumes.is_empty() {
            self.fill(stack, wanted, &self.owned(stack, &wanted.name)?, &accounts)?;
        }
        values.first.ids = self.ids(&accounts, wanted, &values.first)?;
        let mut config = request::config(stack, wanted, &values);
        config.insert(SPEC.to_owned(), spec(wanted)?);
        let path = format!("/1.0/instances/{engine}");
        self.client.send(&Method::PATCH, &path, &json!({"config": config}), None, OPERATION)?;
        Ok(())
    }

    /// The request; an image or pool that was removed meanwhile is added again. A missing image is not reported as 404: the
    /// operation starts and fails.
    fn post(&self, stack: &str, wanted: &Instance, values: &mut HostValues) -> Result<(), Failure> {
        let mut last = None;
        for _ in 0..TRIES {
            let Err(refused) = self.posted(stack, wanted, values)? else { return Ok(()) };
            if refused.says(UNAVAILABLE) {
                self.renew_pool()?;
            } else if !went(&refused) {
                return Err(refused.into());
            }
            last = Some(refused);
        }
        Err(last.map_or_else(|| changed(&wanted.name), Failure::from))
    }

    fn posted(
        &self,
        stack: &str,
        wanted: &Instance,
        values: &mut HostValues,
    ) -> Result<Result<(), Refused>, Failure> {
        let _shared = self.hold(FlockArg::LockShared)?;
        values.pool = self.pool(&wanted.profiles)?;
        let fingerprint = self.image(&wanted.image)?;
        self.bring_init()?;
        let order = request::create(stack, wanted, values, &fingerprint);
        Ok(self.client.send(&Method::POST, "/1.0/instances", &order, None, OPERATION).map(drop))
    }

    /// Values of this host for an instance.
    fn values(&self, stack: &str, wanted: &Instance) -> Result<HostValues, Failure> {
        let mut values = HostValues {
            bridges: network::bridges(stack, wanted)?,
            shift: self.can_shift(),
            first: self.first(wanted)?,
            init: self.own_init(),
            ..HostValues::default()
        };
        if self.client.driver == Driver::Lxd {
            for file in &wanted.files {
                let Some(key) = seed(&file.path) else { continue };
                let text = String::from_utf8(self.supply.blob(&file.digest)?).map_err(|e| {
                    Failure::new(
                        Kind::Data,
                        "ct.lxd.seed",
                        format!("{} of {} is not text: {e}", file.path, wanted.name),
                    )
                })?;
                values.seeds.insert(key, text);
            }
        }
        Ok(values)
    }

    /// Whether the server has given it as many ids as the document wants.
    fn has_ids(&self, engine: &str, wanted: &Instance) -> Result<(), Failure> {
        let Some(size) = wanted.ids else { return Ok(()) };
        let short = self.held(engine)?.and_then(|held| held.ids()).filter(|ids| ids.size < size);
        short.map_or(Ok(()), |ids| {
            let (called, has) = (self.client.called(), ids.size);
            let message = format!("{} needs {size} user and group ids, but {called} gives it {has}", wanted.name);
            Err(Failure::new(Kind::Failed, "ct.lxd.ids", message).hint(format!(
                "increase the ranges of root in /etc/subuid and /etc/subgid and restart {called}, or write a smaller number as ids:"
            )))
        })
    }

    /// User of the first program, by number; none if it is root.
    fn ids(
        &self,
        accounts: &Accounts,
        wanted: &Instance,
        first: &Entrypoint,
    ) -> Result<Option<Account>, Failure> {
        (!first.user.is_empty())
            .then(|| self.account(accounts, &wanted.name, (&first.user, Alone::Root)))
            .transpose()
    }

    /// Changes files first and settings last, because the settings record the new state.
    pub(super) fn change(
        &self,
        stack: &str,
        before: &Instance,
        after: &Instance,
        hosts: &str,
    ) -> Result<bool, Failure> {
        let mut values = self.values(stack, after)?;
        values.first.check(&after.name)?;
        self.bring_init()?;
        let held = self.owned(stack, &after.name)?;
        for volume in &after.volumes {
            disk::volume(stack, &volume.name)?;
        }
        let accounts = self.accounts(&held.name)?;
        let identity = |i: &Instance| (i.hosts.clone(), i.hostname.clone(), i.nics.clone());
        if identity(before) != identity(after) {
            self.identity(&held.name, after, hosts)?;
        }
        self.put_all(&held.name, after, &before.files, &accounts)?;
        if before.proxy.is_some() || after.proxy.is_some() {
            self.put_proxy(&held.name, after.proxy.as_ref())?;
        }
        self.fill(stack, after, &held, &accounts)?;
        values.first.ids = self.ids(&accounts, after, &values.first)?;
        values.pool = self.pool(&after.profiles)?;
        let path = format!("/1.0/instances/{}", held.name);
        let Some(got) = self.client.get(&path)? else { return Err(self.none(stack, &after.name)) };
        let mut value = got.value;
        let mut config = request::config(stack, after, &values);
        config.insert(SPEC.to_owned(), spec(after)?);
        config.extend(value["config"].get(RECIPES).map(|done| (RECIPES.to_owned(), done.clone())));
        let mut devices = request::devices(stack, after, &values);
        if let (Some(pool), Some(root)) = (value["devices"]["root"].get("pool"), devices.get_mut("root")) {
            root["pool"] = pool.clone(); // a disk stays in its pool
        }
        self.keep_shift(&value["devices"], &mut devices);
        value["config"] = merged(&value["config"], config);
        value["devices"] = Value::Object(devices);
        value["profiles"] = json!(after.profiles);
        self.client.send(&Method::PUT, &path, &value, got.etag.as_deref(), OPERATION)?;
        self.has_ids(&held.name, after)?;
        Ok(held.runs() && before.needs_restart(after))
    }

    /// A volume that could not be mapped when the instance started is not mapped now either.
    fn keep_shift(&self, old: &Value, devices: &mut Map<String, Value>) {
        for (name, device) in devices.iter_mut().filter(|(name, _)| name.starts_with("volume-")) {
            let plain = old.get(name.as_str()).is_some_and(|old| old["shift"] != "true");
            if let (true, Some(device)) = (plain, device.as_object_mut()) {
                device.shift_remove("shift");
            }
        }
    }

    pub(super) fn unmake(&self, stack: &str, name: &str) -> Result<(), Failure> {
        let engine = engine_name(stack, name);
        crate::supervise::waiting::end(stack, name)?;
        match self.held(&engine)? {
            Some(held) if !held.is(stack, name) => return Err(self.stranger(&held)),
            Some(held) => {
                if held.runs() {
                    self.halt(stack, name, Duration::ZERO)?;
                }
                self.delete(&engine)?;
            }
            None => {}
        }
        super::secret::forget(stack, name)?;
        self.tidy()
    }

    /// An existing instance of lsx.
    pub(super) fn owned(&self, stack: &str, name: &str) -> Result<ServerInstance, Failure> {
        let engine = engine_name(stack, name);
        match self.held(&engine)? {
            None => Err(self.none(stack, name)),
            Some(held) if held.is(stack, name) => Ok(held),
            Some(held) => Err(self.stranger(&held)),
        }
    }

    /// A running one.
    pub(super) fn running(&self, stack: &str, name: &str) -> Result<ServerInstance, Failure> {
        let held = self.owned(stack, name)?;
        if held.runs() {
            return Ok(held);
        }
        Err(Failure::new(Kind::Failed, "ct.lxd.stopped", format!("{name} of stack {stack} does not run"))
            .hint("start it: lsx-ct up STACK"))
    }

    fn none(&self, stack: &str, name: &str) -> Failure {
        let message = format!("{} has no instance {name} of stack {stack}", self.client.called());
        Failure::new(Kind::Failed, "ct.lxd.none", message).hint("create it: lsx-ct up STACK")
    }

    fn stranger(&self, held: &ServerInstance) -> Failure {
        let (called, engine, client) = (self.client.called(), &held.name, self.client.program());
        let failure = |message| Failure::new(Kind::Failed, "ct.lxd.stranger", message);
        match held.mark() {
            Some((stack, name)) => failure(format!(
                "{called} already has an instance {engine}, which is {name} of stack {stack}"
            ))
            .hint("rename this instance"),
            None => {
                failure(format!("{called} already has an instance {engine}, which was not created by lsx"))
                    .hint(format!("rename or remove it: {client} rename {engine} NAME"))
            }
        }
    }

    /// Sends the devices of an instance without id-mapped folders.
    pub(super) fn unshift(&self, engine: &str) -> Result<(), Refused> {
        let path = format!("/1.0/instances/{engine}");
        let Some(got) = self.client.get(&path)? else { return Ok(()) };
        let mut value = got.value;
        for device in value["devices"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            if let Some(device) = device.as_object_mut() {
                device.shift_remove("shift");
            }
        }
        self.client.send(&Method::PUT, &path, &value, got.etag.as_deref(), OPERATION).map(|_| ())
    }
}

/// Whether something that the request needs was removed meanwhile. A missing image is not reported as 404: the operation
/// starts anyway.
fn went(refused: &Refused) -> bool {
    let words = ["Image not provided", "Image not available", "Failed creating instance from image: open "];
    refused.missing() || words.iter().any(|words| refused.says(words))
}

/// Whether it is the same except for whether it runs, which is not stored in the engine.
fn same(made: &Instance, wanted: &Instance) -> bool {
    *made == Instance { running: made.running, ..wanted.clone() }
}

fn changed(engine: &str) -> Failure {
    Failure::new(Kind::Again, "ct.lxd.changed", format!("{engine} has changed since the plan was made"))
        .hint("make a new plan and apply it")
}

fn spec(instance: &Instance) -> Result<Value, Failure> {
    let text =
        serde_json::to_string(instance).map_err(|e| Failure::new(Kind::Bug, "ct.lxd.spec", e.to_string()))?;
    Ok(Value::String(text))
}

/// Replaces lsx's settings and keeps all others.
fn merged(old: &Value, ours: Map<String, Value>) -> Value {
    let old = old.as_object().into_iter().flatten();
    let kept = old.filter(|(key, _)| !request::ours(key)).map(|(k, v)| (k.clone(), v.clone()));
    Value::Object(kept.chain(ours).collect())
}

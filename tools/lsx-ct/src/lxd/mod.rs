//! LXD and Incus, handled as one engine: by their unix socket, with marks on instances.

mod aside;
mod client;
mod create;
pub(crate) mod ended;
mod entrypoint;
mod exec;
mod files;
mod forkfile;
mod image;
mod line;
mod marked;
mod marks;
mod network;
mod pool;
mod ready;
mod request;
mod secret;
mod server_instance;
mod state;
mod volume;

use crate::driver::{self, Caller, Exec, Found, Ran};
use crate::model::{self, Condition, Engine, Instance, State, Usage};
use crate::supervise::waiting;
use client::{Client, FIRST};
use common::host::{Program, file};
use common::stack::Driver;
use common::{Failure, Kind};
use entrypoint::Entrypoint;
pub(crate) use marked::kill_beside;
use oci_spec::image::ImageConfiguration;
use serde_json::Value;
use server_instance::{Now, ServerInstance};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

/// The sockets of the servers, the usual path first.
const INCUS: [&str; 2] = ["/run/incus/unix.socket", "/var/lib/incus/unix.socket"];
const LXD: [&str; 2] = ["/var/lib/lxd/unix.socket", "/var/snap/lxd/common/lxd/unix.socket"];

/// What a server needs of this host: images, the contents of files, and the state of other instances.
pub trait Supply: Send + Sync {
    /// Writes an image in the import format of LXD and Incus: one tarball with `metadata.yaml` and `rootfs/`. `out` exists
    /// and is empty; it is written in place, because it has no name.
    ///
    /// # Errors
    /// If there is no such image, or no space.
    fn tarball(&self, manifest_digest: &str, out: &Path) -> Result<(), Failure>;

    /// The configuration of an image.
    ///
    /// # Errors
    /// If there is no such image.
    fn config(&self, manifest_digest: &str) -> Result<ImageConfiguration, Failure>;

    /// The content of a file or recipe of an instance.
    ///
    /// # Errors
    /// If it is missing on this host.
    fn blob(&self, digest: &str) -> Result<Vec<u8>, Failure>;

    /// The state of an instance of this host, which may be another engine's.
    ///
    /// # Errors
    /// If its engine cannot be queried.
    fn condition(&self, stack: &str, name: &str) -> Result<Condition, Failure>;

    /// Starts the process that keeps the reserve of the host's disk while an instance runs, if there is none.
    ///
    /// # Errors
    /// If it could not be started.
    fn attend(&self, server: &dyn driver::Driver, stack: &str, instance: &Instance) -> Result<(), Failure>;
}

/// A server of this host.
#[derive(Debug)]
pub struct Lxd {
    client: Client,
    supply: Box<dyn Supply>,
    /// What it reports about itself and this host.
    environment: Value,
}

impl Lxd {
    /// The server of a driver, if it is on this host.
    ///
    /// # Errors
    /// If it exists but does not answer, or access is denied.
    pub fn open(driver: Driver, supply: Box<dyn Supply>) -> Result<Option<Lxd>, Failure> {
        let sockets = if driver == Driver::Incus { INCUS } else { LXD };
        match sockets.iter().map(Path::new).find(|socket| socket.exists()) {
            Some(socket) => Lxd::at(socket, driver, supply),
            None => Ok(None),
        }
    }

    /// The same at a given socket; `None` if it is the other server.
    ///
    /// # Errors
    /// As [`Lxd::open`].
    pub fn at(socket: &Path, driver: Driver, supply: Box<dyn Supply>) -> Result<Option<Lxd>, Failure> {
        let client = Client::new(socket, driver);
        let mut about = client.get_within("/1.0", FIRST)?.map(|got| got.value).unwrap_or_default();
        if about["auth"] != "trusted" {
            let message = format!("{} does not trust this user", client.called());
            return Err(Failure::new(Kind::Denied, "ct.lxd.denied", message).hint("run this as root"));
        }
        let environment = about["environment"].take();
        let called = environment["server"].as_str().unwrap_or_default();
        if !called.eq_ignore_ascii_case(client.called()) {
            return Ok(None);
        }
        Ok(Some(Lxd { client, supply, environment }))
    }

    /// Whether this kernel supports id-mapped mounts.
    fn can_shift(&self) -> bool {
        let features = &self.environment["kernel_features"];
        ["idmapped_mounts", "shiftfs"].iter().any(|f| features[f] == "true")
    }
}

impl driver::Driver for Lxd {
    fn engine(&self) -> Result<Engine, Failure> {
        let version = self.environment["server_version"].as_str().unwrap_or_default();
        let storage = self.environment["storage"].as_str().unwrap_or_default();
        let mut can: Vec<String> = self.can_shift().then(|| "idmap".to_owned()).into_iter().collect();
        let mut cannot = vec!["restart: an instance that ended stays stopped until the next up".to_owned()];
        match storage.split('|').any(|kind| !["", "dir"].contains(&kind.trim())) {
            true => can.push(model::DISK_SIZES.to_owned()),
            false => cannot.push(format!(
                "{}: limits.disk needs a pool with the driver btrfs, zfs or lvm, or project quotas",
                model::DISK_SIZES
            )),
        }
        match storage.split_whitespace().next() {
            Some("dir") => cannot.push("clone: a dir pool unpacks the image for every instance".to_owned()),
            Some(_) => can.push("clone".to_owned()),
            None => {}
        }
        Ok(Engine {
            driver: self.client.driver,
            name: format!("{} {version}", self.client.called()),
            can,
            cannot,
            profiles: Some(self.profiles()?),
            works: true,
        })
    }

    fn list(&self, stack: Option<&str>) -> Result<Vec<Found>, Failure> {
        let all = self.everything()?.into_iter().filter_map(|held| Some((held.found()?, held)));
        let of = all.filter(|(found, _)| stack.is_none_or(|stack| found.stack == stack));
        let told = |(found, held): (Found, ServerInstance)| match found.condition.state {
            State::Stopped => {
                let waits = waiting::said(&found.stack, &found.name);
                let ended = || self.exited(&held, found.instance.as_ref(), found.condition.clone());
                Found { condition: waits.unwrap_or_else(ended), ..found }
            }
            _ if held.frozen() && waiting::frozen(&found.stack, &found.name).is_some() => {
                let why = waiting::frozen(&found.stack, &found.name);
                let condition = Condition { state: State::Waiting, why, ..found.condition.clone() };
                Found { condition, ..found }
            }
            _ => {
                let lost = found.instance.as_ref().and_then(|i| secret::lost(&found.stack, i));
                let starts =
                    waiting::unready(&found.stack, &found.name) && found.condition.state == State::Running;
                let state = if starts { State::Starting } else { found.condition.state };
                let condition = lost.unwrap_or_else(|| Condition { state, ..found.condition.clone() });
                Found { condition, ..found }
            }
        };
        Ok(of.map(told).collect())
    }

    fn strangers(&self, stack: Option<&str>) -> Result<Vec<String>, Failure> {
        let all = self.everything()?.into_iter();
        Ok(all.filter(|held| held.stranger(stack)).map(|held| held.name).collect())
    }

    fn create(&self, stack: &str, wanted: &Instance, hosts: &str) -> Result<(), Failure> {
        self.make(stack, wanted, hosts)
    }

    fn update(&self, stack: &str, before: &Instance, after: &Instance, hosts: &str) -> Result<bool, Failure> {
        self.change(stack, before, after, hosts)
    }

    fn start(&self, stack: &str, instance: &Instance, patient: bool) -> Result<(), Failure> {
        self.begin(stack, instance, patient)
    }

    fn wait_and_start(
        &self,
        stack: &str,
        instance: &Instance,
        waiting: &mut dyn FnMut(&str),
        started: &dyn Fn(),
    ) -> Result<(), Failure> {
        self.begin_now(stack, instance, Some(waiting), started)
    }

    fn served(&self, stack: &str, name: &str) -> Result<Option<(Instance, u32)>, Failure> {
        let Some(held) = self.held(&model::engine_name(stack, name))? else { return Ok(None) };
        let instance = Some(&held).filter(|held| held.is(stack, name) && held.runs());
        let Some(instance) = instance.and_then(ServerInstance::found).and_then(|found| found.instance) else {
            return Ok(None);
        };
        Ok(self.pid(&held.name)?.map(|pid| (instance, pid)))
    }

    fn freeze(&self, stack: &str, name: &str, frozen: bool) -> Result<(), Failure> {
        self.set_frozen(stack, name, frozen)
    }

    fn stop(&self, stack: &str, name: &str, grace: Duration) -> Result<(), Failure> {
        self.halt(stack, name, grace)
    }

    fn remove(&self, stack: &str, name: &str) -> Result<(), Failure> {
        self.unmake(stack, name)
    }

    fn put_aside(&self, stack: &str, name: &str) -> Result<Option<String>, Failure> {
        self.set_aside(stack, name)
    }

    fn bring_back(&self, stack: &str, aside: &str, name: &str) -> Result<(), Failure> {
        self.set_back(stack, aside, name)
    }

    fn exec(&self, stack: &str, name: &str, exec: &Exec, caller: Caller<'_>) -> Result<Ran, Failure> {
        self.run_caller(stack, name, exec, caller)
    }

    fn shell(&self, stack: &str, name: &str, exec: &Exec) -> Result<Program, Failure> {
        let argv = self.terminal(stack, name, exec)?;
        Ok(Program::new(&argv[0]).args(&argv[1..]))
    }

    fn logs(&self, stack: &str, name: &str, lines: usize) -> Result<Vec<String>, Failure> {
        let engine = self.owned(stack, name)?.name;
        self.console(&engine, lines)
    }

    fn usage(&self, found: &Found) -> Result<Usage, Failure> {
        let path = format!("/1.0/instances/{}/state", model::engine_name(&found.stack, &found.name));
        let now = self.client.get(&path)?.and_then(|got| serde_json::from_value::<Now>(got.value).ok());
        Ok(now.unwrap_or_default().usage())
    }
}

/// Creates a folder and its parents; others may enter it, as the first user of an instance must.
fn folder(path: &Path) -> Result<(), Failure> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(|e| file::failure(path, "make", &e))
}

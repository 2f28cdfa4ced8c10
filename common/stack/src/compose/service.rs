//! Converts a service to an instance, key by key.

use super::limits::Deploy;
use super::volumes::Given;
use super::{At, Import, WHOLE, each, image, text, texts};
use crate::value::label;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Keys that have no effect, or are converted elsewhere.
const SILENT: [&str; 20] = [
    "annotations",
    "attach",
    "configs",
    "container_name",
    "deploy",
    "develop",
    "env_file",
    "environment",
    "expose",
    "image",
    "init",
    "network_mode",
    "networks",
    "ports",
    "profiles",
    "pull_policy",
    "scale",
    "stdin_open",
    "tty",
    "volumes",
];

/// Keys that are not converted, each with what to do instead.
const LOST: [(&str, &str); 22] = [
    ("cap_add", "instances have Docker's default capabilities"),
    ("cap_drop", "instances have Docker's default capabilities"),
    ("cgroup_parent", ""),
    ("cpu_shares", "write cpus: NUMBER"),
    ("cpuset", "write cpus: NUMBER"),
    ("devices", "instances have no access to devices of their host"),
    ("domainname", "use `domain` of the stack or of networks"),
    ("extra_hosts", "instances of the stack have names"),
    ("gpus", "instances have no access to devices of their host"),
    ("ipc", ""),
    ("labels", "configure the programs that use them in another way"),
    ("logging", "use `lsx-ct logs`"),
    ("memswap_limit", ""),
    ("mem_reservation", ""),
    ("pid", "instances cannot see processes of others"),
    ("platform", ""),
    ("privileged", "instances are never privileged; an instance with its own init has system: true"),
    ("read_only", ""),
    ("runtime", "use `lsx-ct --runtime`"),
    ("security_opt", ""),
    ("sysctls", ""),
    ("userns_mode", "every instance has its own user ids"),
];

/// Services with a readiness check in the file.
pub(super) fn checked(services: At<'_, '_>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    each(services, |key, at| {
        if at.child("healthcheck").is_some_and(|at| at.child("test").is_some()) {
            all.insert(key.to_owned());
        }
    });
    all
}

impl Import<'_> {
    /// Its name and the instance; `None` if it is left out.
    pub(super) fn service(
        &mut self,
        key: &str,
        at: At<'_, '_>,
        used: &mut BTreeSet<String>,
    ) -> Option<(String, Value)> {
        let name = self.services.get(key)?.to_owned();
        if at.node.entries().is_none() {
            at.key_mistake("compose.service", format!("service `{key}` is not a map"), String::new());
            return None;
        }
        let profiles = at.child("profiles").map(texts).unwrap_or_default();
        if !profiles.is_empty() && !profiles.iter().any(|profile| self.options.profiles.contains(profile)) {
            let hint = format!("use --profile {} to include it", profiles[0]);
            self.lose(at, format!("service `{key}` belongs to a profile that is not active"), &hint);
            return None;
        }
        let (mut limits, mut given) = (Map::new(), Given::default());
        let deploy = at.child("deploy").map(|at| self.deploy(at, &mut limits)).unwrap_or_default();
        let replicas =
            at.child("scale").and_then(text).and_then(|text| text.parse().ok()).or(deploy.replicas);
        if replicas == Some(0) {
            self.lose(at, format!("service `{key}` is left out, since it has no replicas"), "");
            return None;
        }
        let mut instance = Map::new();
        instance.insert("image".to_owned(), json!(self.image(at, &name)));
        self.place(&mut instance, replicas);
        instance.insert("networks".to_owned(), self.joined(at, used));
        if let Some(ports) = at.child("ports").and_then(|at| self.ports(at, replicas.unwrap_or(1))) {
            instance.insert("ports".to_owned(), ports);
        }
        if let Some(env) = self.env(at) {
            instance.insert("env".to_owned(), env);
        }
        if let Some(at) = at.child("volumes") {
            self.volumes(at, &name, &mut given);
        }
        if let Some(at) = at.child("configs") {
            self.configs(at, &mut given);
        }
        each(at, |key, at| self.key(key, at, &name, &mut instance, &mut limits, &mut given));
        instance.insert("restart".to_owned(), json!(restart(at, &deploy)));
        for (key, map) in
            [("limits", limits), ("volumes", given.volumes), ("files", given.files), ("tmpfs", given.tmpfs)]
        {
            if !map.is_empty() {
                instance.insert(key.to_owned(), Value::Object(map));
            }
        }
        if instance.get("restart") == Some(&json!("always")) {
            instance.shift_remove("restart"); // the default
        }
        Some((name, Value::Object(instance)))
    }

    fn image(&self, service: At<'_, '_>, name: &str) -> String {
        let written = service.child("image").and_then(text);
        if let Some(at) = service.child("build") {
            let hint = format!(
                "run docker compose build, then docker save -o images/{name}.tar IMAGE, and write image: tar:images/{name}.tar"
            );
            self.lose(at, "lsx does not build images".to_owned(), &hint);
        } else if service.child("image").is_none() && service.child("extends").is_none() {
            service.key_mistake(
                "compose.image",
                "the service has neither `image` nor `build`".to_owned(),
                String::new(),
            );
        }
        // An image that is built locally is not in a registry.
        match written.filter(|_| service.child("build").is_none()) {
            Some(reference) => image::reference(&reference),
            None => format!("tar:images/{name}.tar"),
        }
    }

    /// Number and hosts: replicas are distributed over the hosts in turn.
    fn place(&self, instance: &mut Map<String, Value>, replicas: Option<usize>) {
        let Some(replicas) = replicas.filter(|&n| n != 1) else { return };
        if self.options.hosts.len() > 1 {
            let hosts: Vec<&str> = self.options.hosts.iter().map(|(name, _)| name.as_str()).collect();
            instance.insert("hosts".to_owned(), json!(hosts));
        }
        instance.insert("count".to_owned(), json!(replicas));
    }

    fn key(
        &mut self,
        key: &str,
        at: At<'_, '_>,
        name: &str,
        instance: &mut Map<String, Value>,
        limits: &mut Map<String, Value>,
        given: &mut Given,
    ) {
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                instance.insert(key.to_owned(), value);
            }
        };
        match key {
            "command" => put("args", self.words(at)),
            "entrypoint" => put("command", self.words(at)),
            "depends_on" => put("needs", self.needs(at)),
            "healthcheck" => put("ready", self.ready(at)),
            "secrets" => put("secrets", self.secrets(at)),
            "user" => put("user", text(at).map(|text| json!(text))),
            "working_dir" => put("workdir", text(at).map(|text| json!(text))),
            "dns" => put("resolver", Some(json!(texts(at)))),
            "shm_size" => {
                put("shm_size", text(at).and_then(|text| super::limits::size(&text)).map(|size| json!(size)))
            }
            "stop_signal" => put("stop_signal", self.signal(at)),
            "stop_grace_period" => put("stop_grace", self.grace(at)),
            "hostname" => put("hostname", self.hostname(at, name)),
            "cpus" | "mem_limit" | "pids_limit" => self.resource(key, at, limits),
            "ulimits" => self.ulimits(at, limits),
            "tmpfs" => self.memory(at, given),
            "restart" => {}
            "build" => {}
            "links" => self.differs(
                at,
                "links are not needed: services of a network can reach each other by name".to_owned(),
                "",
            ),
            "extends" => {
                at.key_mistake("compose.extends", "it extends another service".to_owned(), WHOLE.to_owned())
            }
            _ if key.starts_with("x-") || SILENT.contains(&key) => {}
            _ => {
                let hint = LOST.iter().find(|(lost, _)| *lost == key).map_or("", |(_, hint)| hint);
                self.lose(at, format!("`{key}` is not converted"), hint);
            }
        }
    }

    fn hostname(&self, at: At<'_, '_>, name: &str) -> Option<Value> {
        let wanted = text(at)?.to_ascii_lowercase();
        if label(&wanted).is_err() {
            self.lose(
                at,
                "the hostname is not a DNS label".to_owned(),
                "write one without dots, of at most 57 bytes",
            );
            return None;
        }
        Some(json!(wanted)).filter(|_| wanted != name)
    }
}

/// Compose does not restart by default, lsx does: so it is always written.
fn restart(at: At<'_, '_>, deploy: &Deploy) -> &'static str {
    let own = at.child("restart").and_then(text);
    match own.as_deref() {
        Some("always" | "unless-stopped") => "always",
        Some(text) if text.starts_with("on-failure") => "on-failure",
        Some(_) => "no",
        None => deploy.restart.unwrap_or("no"),
    }
}

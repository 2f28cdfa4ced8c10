//! Keys of other programs and the keys of lsx for them, as hints for users of Compose, Docker or Kubernetes.

use std::collections::HashSet;

/// A foreign key, a key that shows which map this is, and what to write.
const KEYS: [(&str, &str, &str); 34] = [
    ("kind", "type", "write `type`"),
    ("environment", "env", "write `env`, a map: env: { NAME: value }"),
    ("env_file", "env", "write `env`, a map; secrets go under `secrets`"),
    ("depends_on", "needs", "write `needs`, a list of instances; `ready` defines when each is ready"),
    ("links", "needs", "write `needs`; on a common network instances find each other by name"),
    ("healthcheck", "ready", "write `ready`, like ready: { tcp: 5432 } or ready: { command: [pg_isready] }"),
    ("entrypoint", "command", "write `command`, the program with its arguments"),
    ("cmd", "command", "write `command`, a list"),
    ("working_dir", "workdir", "write `workdir`"),
    ("container_name", "hostname", "leave it out: the key is the name; `hostname` is its name in DNS"),
    ("replicas", "count", "write `count`, with `hosts` for several hosts"),
    ("scale", "count", "write `count`"),
    ("deploy", "count", "write `count` for replicas and `limits` for resources"),
    ("resources", "limits", "write `limits`, like limits: { memory: 512M, cpus: 1 }"),
    ("mem_limit", "limits", "write limits: { memory: 512M }"),
    ("memory", "limits", "write limits: { memory: 512M }"),
    ("cpus", "limits", "write limits: { cpus: 0.5 }"),
    ("pids_limit", "limits", "write limits: { processes: 500 }"),
    ("mounts", "volumes", "write `volumes`, a map: volumes: { data: /data }"),
    ("configs", "files", "write `files`, a map: files: { /etc/app.conf: app.conf }"),
    ("dns", "resolver", "write `resolver`, the addresses of name servers"),
    (
        "expose",
        "ports",
        "leave it out: instances on a network reach each other; `ports` publishes on the host",
    ),
    ("publish", "ports", "write `ports`"),
    ("network", "networks", "write `networks`, a list"),
    ("network_mode", "networks", "write `networks`, a list; there is no other mode"),
    ("privileged", "command", "leave it out: no instance is privileged"),
    ("cap_add", "command", "leave it out: instances have the capabilities that Docker gives"),
    ("build", "image", "write `image`: lsx does not build images, podman and docker do"),
    ("services", "instances", "write `instances`, a map by name; `lsx-ct import` converts a Compose file"),
    ("containers", "instances", "write `instances`, a map by name"),
    ("version", "stack", "leave it out; `stack` names the stack"),
    ("name", "stack", "write `stack`"),
    ("volumes", "instances", "leave it out: an instance names its `volumes`, like { data: /data }"),
    ("subnet", "cidr", "write `cidr`"),
];

/// What to write for a key of another program, in the map that it belongs to.
pub(super) fn foreign(key: &str, known: &HashSet<&str>) -> Option<String> {
    let (_, _, hint) = KEYS.iter().find(|(foreign, own, _)| *foreign == key && known.contains(own))?;
    Some((*hint).to_owned())
}

/// Whether a foreign key stands for one of ours, which is then not reported as missing.
pub(super) fn stands_for(key: &str, own: &str) -> bool {
    KEYS.iter().any(|(foreign, meant, _)| *foreign == key && *meant == own)
}

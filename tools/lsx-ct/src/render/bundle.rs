//! An instance as an OCI bundle: the config.json for any OCI runtime (runtime-spec 1.1).

use super::limits::{PERIOD_US, quota_us};
use super::mounts::mounts;
pub(crate) use super::stop::{HALT, HALT_SYSTEMD, Stop};
use super::syscalls;
use super::values::{HostValues, INIT};
use crate::model::{Instance, Limits, Rlimit};
use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::Spec;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Docker's default capabilities.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// What an init needs in addition; only with a user namespace, where it concerns only the instance.
const INIT_CAPABILITIES: [&str; 8] = [
    "CAP_DAC_READ_SEARCH",
    "CAP_IPC_OWNER",
    "CAP_NET_ADMIN",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_PTRACE",
    "CAP_SYS_TTY_CONFIG",
];

/// Docker's masked paths.
const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/firmware",
];

/// Docker's read-only paths.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The inits of whole systems, at their usual paths; a program of that name elsewhere is an application.
const SYSTEMD: [&str; 2] = ["/lib/systemd/systemd", "/usr/lib/systemd/systemd"];
const SYSTEMS: [&str; 2] = ["/sbin/init", "/usr/sbin/init"];

/// The label that marks an image as a whole system: `true` or `false`.
pub(crate) const SYSTEM: &str = "lsx.system";

/// The command line: the instance's own command, else the image's entrypoint, with the instance's arguments, else the
/// image's.
pub(crate) fn command(instance: &Instance, image: &ImageConfiguration) -> Vec<String> {
    let config = image.config().as_ref();
    let list = |l: Option<&Vec<String>>| l.cloned().unwrap_or_default();
    let (mut argv, args) = match instance.command.is_empty() {
        false => (instance.command.clone(), Vec::new()),
        true => {
            (list(config.and_then(|c| c.entrypoint().as_ref())), list(config.and_then(|c| c.cmd().as_ref())))
        }
    };
    argv.extend(if instance.args.is_empty() { args } else { instance.args.clone() });
    argv
}

/// Whether it is a whole system, whose first process is an init: by the instance, the image's label, or its program.
pub(crate) fn is_system(instance: &Instance, image: &ImageConfiguration) -> bool {
    let labels = image.config().as_ref().and_then(|c| c.labels().as_ref());
    let label = || labels.and_then(|labels| labels.get(SYSTEM)).map(|said| said == "true");
    let at = |program: &String| SYSTEMD.iter().chain(&SYSTEMS).any(|init| init == program);
    instance.system.or_else(label).unwrap_or_else(|| command(instance, image).first().is_some_and(at))
}

/// The user of the instance or the image; empty is root.
pub(crate) fn user(instance: &Instance, image: &ImageConfiguration) -> String {
    let of_image = || image.config().as_ref().and_then(|c| c.user().clone());
    instance.user.clone().or_else(of_image).unwrap_or_default()
}

/// The working directory of the instance or the image.
pub(crate) fn workdir(instance: &Instance, image: &ImageConfiguration) -> String {
    let of_image = || image.config().as_ref()?.working_dir().clone();
    instance.workdir.clone().or_else(of_image).filter(|w| !w.is_empty()).unwrap_or_else(|| "/".to_owned())
}

/// The environment of the instance, in addition to that of the image.
pub(crate) fn environment(instance: &Instance, image: &ImageConfiguration) -> BTreeMap<String, String> {
    let of_image = image.config().as_ref().and_then(|c| c.env().clone()).unwrap_or_default();
    let mut all = BTreeMap::from([("HOSTNAME".to_owned(), instance.hostname.clone())]);
    all.extend(of_image.iter().filter_map(|e| e.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())));
    all.extend(instance.env.clone());
    all
}

/// The stop signal: the instance's or the image's, else the one that its first process understands. `None` for an init by
/// another path than systemd's, which may be any.
pub(crate) fn stop_signal(instance: &Instance, image: &ImageConfiguration) -> Option<Stop> {
    let of_image = image.config().as_ref().and_then(|c| c.stop_signal().clone());
    let mut named = [instance.stop_signal.clone(), of_image].into_iter().flatten();
    let argv = command(instance, image);
    let program = argv.first().map_or("", String::as_str);
    named.find_map(|text| Stop::parse(&text)).or(
        match (SYSTEMD.contains(&program), is_system(instance, image)) {
            (true, _) => Some(HALT_SYSTEMD),
            (_, true) => None,
            _ => Some(Stop(15)), // SIGTERM
        },
    )
}

/// The bundle's config.json.
///
/// # Errors
/// If the parts do not form a valid specification; the message is the parser's.
pub(crate) fn config(
    instance: &Instance,
    image: &ImageConfiguration,
    values: &HostValues,
) -> Result<Spec, String> {
    let argv = command(instance, image);
    let system = is_system(instance, image);
    let capabilities: Vec<&str> = match system && values.ids.is_some() {
        true => CAPABILITIES.into_iter().chain(INIT_CAPABILITIES).collect(),
        false => CAPABILITIES.to_vec(),
    };
    // noNewPrivileges is false when absent: youki 0.7 treats any value as true, and then may fail to load a filter.
    let spec = json!({
        "ociVersion": "1.0.2",
        "hostname": instance.hostname,
        "root": {"path": values.rootfs, "readonly": false},
        "process": {
            "terminal": false,
            "user": {"uid": values.user.0, "gid": values.user.1, "additionalGids": values.user.2},
            "args": if system { argv } else { with_init(&argv, values) },
            "env": variables(instance, image, system),
            "cwd": workdir(instance, image),
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": rlimits(instance),
        },
        "mounts": mounts(instance, values, system),
        "linux": linux(instance, values, (system, &capabilities)),
    });
    serde_json::from_value(spec).map_err(|e| e.to_string())
}

/// An application is started by lsx's init.
fn with_init(argv: &[String], values: &HostValues) -> Vec<String> {
    let init = values.init.iter().flat_map(|_| [INIT, "init", "--"]).map(str::to_owned);
    init.chain(argv.iter().cloned()).collect()
}

fn linux(instance: &Instance, values: &HostValues, (system, capabilities): (bool, &[&str])) -> Value {
    let kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
    let mut namespaces: Vec<Value> = kinds.iter().map(|kind| json!({"type": kind})).collect();
    let mut linux = json!({
        "cgroupsPath": values.cgroup,
        "resources": resources(&instance.limits, values.swap),
        "seccomp": syscalls::profile(system && values.ids.is_some(), capabilities, &values.architecture),
        "maskedPaths": MASKED,
        "readonlyPaths": if system && values.ids.is_some() { &[] } else { READ_ONLY.as_slice() },
    });
    if let Some(ids) = values.ids {
        namespaces.push(json!({"type": "user"}));
        let mapping = json!([{"containerID": 0, "hostID": ids.first, "size": ids.size}]);
        linux["uidMappings"] = mapping.clone();
        linux["gidMappings"] = mapping;
    }
    linux["namespaces"] = json!(namespaces);
    linux
}

/// Limits in the format of the specification.
pub(crate) fn resources(limits: &Limits, swap: bool) -> Value {
    let mut resources = json!({"devices": [{"allow": false, "access": "rwm"}]});
    if let Some(bytes) = limits.memory_bytes {
        resources["memory"] =
            if swap { json!({"limit": bytes, "swap": bytes}) } else { json!({"limit": bytes}) };
    }
    if let Some(milli) = limits.cpus_milli {
        resources["cpu"] = json!({"quota": quota_us(milli), "period": PERIOD_US});
    }
    if let Some(processes) = limits.processes {
        resources["pids"] = json!({"limit": processes});
    }
    resources
}

/// Limits of setrlimit(2) in the format of the specification.
fn rlimits(instance: &Instance) -> Vec<Value> {
    let limit = |limit: &Rlimit| {
        let kind = format!("RLIMIT_{}", limit.name.to_uppercase());
        json!({"type": kind, "soft": limit.soft.unwrap_or(u64::MAX), "hard": limit.hard.unwrap_or(u64::MAX)})
    };
    instance.rlimits.iter().map(limit).collect()
}

fn variables(instance: &Instance, image: &ImageConfiguration, system: bool) -> Vec<String> {
    let mut all = environment(instance, image);
    let path = || "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
    all.entry("PATH".to_owned()).or_insert_with(path);
    if system && !instance.env.contains_key("container") {
        all.insert("container".to_owned(), "lsx".to_owned()); // required by systemd's container interface
    }
    all.into_iter().map(|(k, v)| format!("{k}={v}")).collect()
}

#[cfg(test)]
mod tests;

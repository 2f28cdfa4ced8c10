//! The request for an instance of LXD or Incus: pure.

use super::entrypoint::{self, Entrypoint};
use super::marks::{NAME, STACK};
use crate::model::{Instance, engine_name};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The path of cloud-init's seed in an image, and LXD's settings that replace it.
const SEED: &str = "/var/lib/cloud/seed/nocloud";
const SEEDS: [&str; 3] = ["user-data", "vendor-data", "network-config"];

/// The setting that LXD appends to the identity that it gives to cloud-init.
const META: &str = "user.meta-data";

/// Values of the host.
#[derive(Clone, Debug, Default)]
pub(super) struct HostValues {
    /// The storage pool of the root disk; none if a profile defines one.
    pub(super) pool: Option<String>,
    /// The bridge of each network.
    pub(super) bridges: BTreeMap<String, String>,
    /// Texts for cloud-init, by setting.
    pub(super) seeds: BTreeMap<String, String>,
    /// Whether folders of the host can be id-mapped.
    pub(super) shift: bool,
    /// The first program.
    pub(super) first: Entrypoint,
    /// This program on the host, as the first process.
    pub(super) init: String,
}

/// The setting that replaces a file of the stack, if it belongs to cloud-init's seed.
pub(super) fn seed(path: &str) -> Option<String> {
    let name = path.strip_prefix(SEED)?.trim_start_matches("-net").strip_prefix('/')?;
    SEEDS.contains(&name).then(|| format!("cloud-init.{name}"))
}

/// The request that creates an instance. It has lsx's mark from the start, but no definition until it is complete.
pub(super) fn create(stack: &str, instance: &Instance, values: &HostValues, fingerprint: &str) -> Value {
    json!({
        "name": engine_name(stack, &instance.name),
        "type": "container",
        "source": {"type": "image", "fingerprint": fingerprint},
        "profiles": instance.profiles,
        "config": config(stack, instance, values),
        "devices": devices(stack, instance, values),
    })
}

/// lsx's settings, without the definition.
pub(super) fn config(stack: &str, instance: &Instance, values: &HostValues) -> Map<String, Value> {
    let mut config = Map::new();
    let mut set = |key: &str, value: String| config.insert(key.to_owned(), Value::String(value));
    set(STACK, stack.to_owned());
    set(NAME, instance.name.clone());
    set("boot.autostart", "false".to_owned());
    if let Some(bytes) = instance.limits.memory_bytes {
        set("limits.memory", bytes.to_string());
    }
    if let Some(milli) = instance.limits.cpus_milli {
        match milli % 1000 {
            0 => set("limits.cpu", (milli / 1000).to_string()),
            _ => set("limits.cpu.allowance", format!("{}ms/100ms", milli.div_ceil(10))),
        };
    }
    if let Some(processes) = instance.limits.processes {
        set("limits.processes", processes.to_string());
    }
    // Only used for a range of its own, which a profile may ask for; otherwise it has all ids that the server has.
    if let Some(ids) = instance.ids {
        set("security.idmap.size", ids.to_string());
    }
    // liblxc sets no HOME for an application, and files in ~ would be written to /.
    let home = values.first.ids.as_ref().map(|account| account.home.clone()).filter(|home| !home.is_empty());
    if let Some(home) = home.filter(|_| !values.first.env.contains_key("HOME")) {
        set("environment.HOME", home);
    }
    for limit in &instance.rlimits {
        let one = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |n| n.to_string());
        set(&format!("limits.kernel.{}", limit.name), format!("{}:{}", one(limit.soft), one(limit.hard)));
    }
    for (key, value) in &values.first.env {
        set(&format!("environment.{key}"), value.clone());
    }
    for (key, text) in &values.seeds {
        set(key, text.clone());
    }
    if !values.seeds.is_empty() {
        // cloud-init sets the name in its first stage, before it reads that lsx sets it; the server would give its own.
        set(META, format!("local-hostname: {}\n", instance.hostname));
    }
    set("raw.lxc", raw(stack, instance, values));
    config
}

/// Whether a setting belongs to lsx: settings added by others are kept.
pub(super) fn ours(key: &str) -> bool {
    const KEYS: [&str; 8] = [
        META,
        "boot.autostart",
        "limits.memory",
        "limits.cpu",
        "limits.cpu.allowance",
        "limits.processes",
        "raw.lxc",
        "security.idmap.size",
    ];
    ["user.lsx.", "environment.", "cloud-init.", "limits.kernel."].iter().any(|start| key.starts_with(start))
        || KEYS.contains(&key)
}

/// Settings only liblxc supports: addresses, which are then set whenever the instance is started by anybody; the first
/// program; and secrets in memory. /run is mounted for them here: an init that mounts its own /run (systemd does, unless it
/// is mounted) would hide them.
fn raw(stack: &str, instance: &Instance, values: &HostValues) -> String {
    let mut lines = vec![format!("lxc.uts.name = {}", instance.hostname)];
    for (i, nic) in instance.nics.iter().enumerate().filter(|(_, n)| !n.address.addr().is_unspecified()) {
        // Otherwise liblxc uses the address itself as the network's broadcast address.
        let broadcast = nic.address.broadcast();
        lines.push(format!("lxc.net.{i}.ipv4.address = {} {broadcast}", nic.address));
        lines.extend(nic.gateway.map(|gateway| format!("lxc.net.{i}.ipv4.gateway = {gateway}")));
    }
    lines.extend(values.first.lines());
    for folder in &instance.tmpfs {
        lines.push(memory(&folder.path, folder.size_bytes, folder.mode.unwrap_or(0o1777)));
    }
    lines.extend(instance.shm_bytes.map(|bytes| memory("/dev/shm", Some(bytes), 0o1777)));
    if !instance.secrets.is_empty() {
        let folder = crate::paths::secrets(stack, &instance.name);
        lines.push("lxc.mount.entry = tmpfs run tmpfs nosuid,nodev,mode=755,create=dir 0 0".to_owned());
        let bind = "none bind,ro,nosuid,nodev,create=dir 0 0";
        lines.push(format!("lxc.mount.entry = {} run/secrets {bind}", folder.display()));
    }
    lines.join("\n")
}

/// A tmpfs, as a line of liblxc.
fn memory(path: &str, bytes: Option<u64>, mode: u32) -> String {
    let size = bytes.map(|bytes| format!(",size={}k", bytes.div_ceil(1024))).unwrap_or_default();
    let path = path.trim_start_matches('/');
    format!("lxc.mount.entry = tmpfs {path} tmpfs nosuid,nodev,mode={mode:o}{size},create=dir 0 0")
}

/// Disks and interfaces. Their keys sort in the order of the interfaces, because liblxc numbers them so.
pub(super) fn devices(stack: &str, instance: &Instance, values: &HostValues) -> Map<String, Value> {
    let mut devices = Map::new();
    if let Some(pool) = &values.pool {
        let mut root = json!({"type": "disk", "path": "/", "pool": pool});
        if let Some(bytes) = instance.disk_bytes {
            root["size"] = bytes.to_string().into();
        }
        devices.insert("root".to_owned(), root);
    }
    for (i, nic) in instance.nics.iter().enumerate() {
        let device = json!({
            "type": "nic",
            "nictype": "bridged",
            "parent": values.bridges.get(&nic.network).map_or("", String::as_str),
            "name": nic.name,
            "hwaddr": nic.mac,
            "host_name": nic.link,
            "mtu": nic.mtu.to_string(),
        });
        devices.insert(format!("nic{i:02}"), device);
    }
    devices.insert("init".to_owned(), entrypoint::device(&values.init));
    for volume in &instance.volumes {
        let source = crate::paths::volume(stack, &volume.name);
        let mut device = json!({"type": "disk", "source": source, "path": volume.path});
        if volume.read_only {
            device["readonly"] = "true".into();
        }
        if values.shift {
            device["shift"] = "true".into();
        }
        devices.insert(format!("volume-{}", volume.name), device);
    }
    devices
}

#[cfg(test)]
mod tests {
    use super::super::marks::SPEC;
    use super::*;
    use oci_spec::image::ImageConfiguration;

    fn instance(more: Value) -> Instance {
        let mut value = json!({
            "name": "web-1", "of": "web", "driver": "lxd", "image": {"name": "i", "digest": "sha256:0"},
            "hostname": "web", "nics": [], "restart": "always", "hosts": "x", "running": true,
        });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    fn setting(more: Value, key: &str) -> Value {
        let instance = instance(more);
        let first = Entrypoint::new(&instance, &ImageConfiguration::default());
        let values = HostValues { first, ..HostValues::default() };
        config("office", &instance, &values).get(key).cloned().unwrap_or_default()
    }

    #[test]
    fn a_request_carries_the_mark_and_no_spec() {
        let values = HostValues { pool: Some("lsx".to_owned()), ..HostValues::default() };
        let made = create("office", &instance(json!({"profiles": ["p", "q"]})), &values, "f00");
        assert_eq!(made["name"], "office-web-1");
        assert_eq!(made["source"], json!({"type": "image", "fingerprint": "f00"}));
        assert_eq!(made["profiles"], json!(["p", "q"]));
        assert_eq!((&made["config"][STACK], &made["config"][NAME]), (&json!("office"), &json!("web-1")));
        assert_eq!(made["config"][SPEC], Value::Null);
        assert_eq!(
            made["devices"],
            json!({"root": {"type": "disk", "path": "/", "pool": "lsx"}, "init": entrypoint::device("")})
        );
    }

    #[test]
    fn whole_processors_are_counted_and_parts_are_time() {
        let cpus = |milli: u32| {
            let of = |key| setting(json!({"limits": {"cpus_milli": milli}}), key);
            (of("limits.cpu"), of("limits.cpu.allowance"))
        };
        assert_eq!(cpus(2000), (json!("2"), Value::Null));
        assert_eq!(cpus(1500), (Value::Null, json!("150ms/100ms")));
        assert_eq!(cpus(1), (Value::Null, json!("1ms/100ms")));
    }

    #[test]
    fn a_larger_range_of_ids_is_told_to_the_server() {
        assert_eq!(setting(json!({"ids": 1_000_000}), "security.idmap.size"), json!("1000000"));
        assert_eq!(setting(json!({}), "security.idmap.size"), Value::Null);
    }

    #[test]
    fn addresses_are_numbered_as_liblxc_numbers_interfaces() {
        let nic = |i: u8, address: &str, gateway: Value| {
            json!({"name": format!("eth{i}"), "network": "lan", "address": address, "gateway": gateway,
                   "mac": "02:00:00:00:00:01", "mtu": 1450, "link": format!("li{i}")})
        };
        let nics = json!([nic(0, "0.0.0.0/0", Value::Null), nic(1, "10.0.0.2/24", json!("10.0.0.1"))]);
        let wanted = instance(json!({ "nics": nics }));
        let bridges = [("lan".to_owned(), "lb1".to_owned())].into();
        let values = HostValues { bridges, ..HostValues::default() };
        let lines = [
            "lxc.uts.name = web",
            "lxc.net.1.ipv4.address = 10.0.0.2/24 10.0.0.255",
            "lxc.net.1.ipv4.gateway = 10.0.0.1",
        ];
        assert_eq!(config("office", &wanted, &values)["raw.lxc"], lines.join("\n"));
        let devices = devices("office", &wanted, &values);
        assert_eq!(devices.keys().collect::<Vec<_>>(), ["nic00", "nic01", "init"]);
        let nic = &devices["nic01"];
        assert_eq!(
            (&nic["parent"], &nic["host_name"], &nic["mtu"]),
            (&json!("lb1"), &json!("li1"), &json!("1450"))
        );
    }

    #[test]
    fn secrets_need_a_run_of_their_own() {
        let raw = setting(json!({"secrets": [{"name": "k", "digest": "d"}]}), "raw.lxc");
        let lines: Vec<&str> = raw.as_str().unwrap().lines().skip(1).collect();
        assert!(lines[0].starts_with("lxc.mount.entry = tmpfs run tmpfs"), "{lines:?}");
        let from = "lxc.mount.entry = /run/lsx/ct/office/web-1/secrets run/secrets ";
        assert!(lines[1].starts_with(from), "{lines:?}");
    }

    #[test]
    fn a_seed_is_told_by_its_path() {
        let of = |name: &str| seed(&format!("/var/lib/cloud/seed/{name}"));
        assert_eq!(of("nocloud/user-data").as_deref(), Some("cloud-init.user-data"));
        assert_eq!(of("nocloud-net/network-config").as_deref(), Some("cloud-init.network-config"));
        assert_eq!(
            (of("nocloud/meta-data"), of("other/user-data"), seed("/etc/user-data")),
            (None, None, None)
        );
    }

    #[test]
    fn what_others_set_is_not_ours() {
        for key in [SPEC, "environment.A", "limits.cpu", "raw.lxc", "security.idmap.size"] {
            assert!(ours(key), "{key}");
        }
        for key in ["user.theirs", "limits.disk.priority", "volatile.uuid", "security.nesting"] {
            assert!(!ours(key), "{key}");
        }
    }
}

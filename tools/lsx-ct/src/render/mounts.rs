//! The mounts of an instance.

use super::values::{HostValues, INIT};
use crate::model::Instance;
use serde_json::{Value, json};

/// Default mode of a tmpfs, as of /tmp.
pub(crate) const MEMORY: u32 = 0o1777;

/// Default size of /dev/shm in bytes, as in Docker.
const SHM: u64 = 64 << 20;

/// In the order in which the runtime mounts them.
pub(super) fn mounts(instance: &Instance, values: &HostValues, system: bool) -> Vec<Value> {
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": kind, "options": options});
    let bind = |destination: &str, source: &str, options: &[&str]| json!({"destination": destination, "type": "bind", "source": source, "options": options});
    let groups = if system { "rw" } else { "ro" };
    let shm = instance.shm_bytes.unwrap_or(SHM).div_ceil(1024);
    let mut mounts = vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", &format!("size={shm}k")]),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", groups]),
    ];
    if system {
        mounts.push(mount("/run", "tmpfs", &["nosuid", "nodev", "mode=755"]));
        mounts.push(mount("/run/lock", "tmpfs", &["nosuid", "nodev", "noexec", "mode=1777"]));
        mounts.push(mount("/tmp", "tmpfs", &["nosuid", "nodev", "mode=1777"]));
    }
    for folder in &instance.tmpfs {
        let mode = format!("mode={:o}", folder.mode.unwrap_or(MEMORY));
        let size = folder.size_bytes.map(|bytes| format!("size={}k", bytes.div_ceil(1024)));
        let options: Vec<&str> = ["nosuid", "nodev", &mode].into_iter().chain(size.as_deref()).collect();
        // A mount that an init would have by default is as the document says.
        mounts.retain(|mount| mount["destination"] != folder.path);
        mounts.push(mount(&folder.path, "tmpfs", &options));
    }
    for volume in &instance.volumes {
        let Some(source) = values.volumes.get(&volume.name) else { continue };
        // The bind-mounted source decides whether it can be written: repeating that would need another mount(2), which a
        // user namespace is refused if the host's own mount has flags that it would lose (nodev on /var).
        mounts.push(bind(&volume.path, source, &["rbind", "rprivate"]));
    }
    // After the volumes, since one of them may be /etc.
    for name in ["hosts", "hostname", "resolv.conf"] {
        let source = format!("{}/{name}", values.files);
        mounts.push(bind(&format!("/etc/{name}"), &source, &["bind", "rprivate"]));
    }
    if let Some(init) = &values.init {
        mounts.push(bind(INIT, init, &["bind", "rprivate", "ro", "nosuid", "nodev"]));
    }
    if let Some(secrets) = &values.secrets {
        mounts.push(bind("/run/secrets", secrets, &["bind", "rprivate", "ro", "nosuid", "nodev", "noexec"]));
    }
    mounts
}

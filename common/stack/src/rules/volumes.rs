//! Volumes: on the host of their instances, with one writer unless they are shared.

use super::check::Check;
use crate::decode::near::hint;
use crate::model::Instance;
use crate::resolve::{Replica, hosts};
use std::collections::BTreeMap;

impl<'s> Check<'s> {
    pub(super) fn volumes(&mut self, name: &str, instance: &'s Instance) {
        let known = self.stack.store.as_ref().map(|store| &store.volumes).filter(|all| !all.is_empty());
        for volume in instance.volumes.keys() {
            let path = || format!("instances.{name}.volumes.{volume}");
            if let Some(known) = known.filter(|known| !known.contains_key(volume)) {
                let hint = hint(volume, known.keys().map(String::as_str));
                self.tell(
                    "stack.volume.unknown",
                    path(),
                    format!("there is no volume `{volume}` in store.volumes"),
                    hint,
                );
            }
            let Some(home) = self.stack.volume_host(volume) else { continue };
            if let Some(host) = hosts(self.stack, instance).into_iter().find(|host| *host != home) {
                let message = format!("the volume is on {home}, but the instance is on {host}");
                let hint = format!("write host: {home} for the instance, or move the volume");
                self.tell("stack.volume.host", path(), message, hint);
            }
        }
    }

    /// Instances that write to the same volume of a host must each have `shared: true`.
    pub(super) fn shared(&mut self) {
        let mut writers: BTreeMap<(&str, &str), Vec<&Replica<'_>>> = BTreeMap::new();
        for replica in &self.replicas {
            for (volume, _) in replica.instance.volumes.iter().filter(|(_, mount)| !mount.read_only) {
                writers.entry((replica.host, volume)).or_default().push(replica);
            }
        }
        let mut clashes: BTreeMap<String, (String, String)> = BTreeMap::new();
        for ((host, volume), all) in writers {
            for replica in &all {
                let mount = &replica.instance.volumes[volume];
                let Some(other) = all.iter().find(|other| other.name != replica.name) else { continue };
                if !mount.shared {
                    let path = format!("instances.{}.volumes.{volume}", replica.of);
                    let message =
                        format!("instances.{} writes to volume {volume} of {host}, too", other.name);
                    let hint = format!(
                        "if this is intended, write {{ path: {}, shared: true }} for each",
                        mount.path
                    );
                    clashes.entry(path).or_insert((message, hint));
                }
            }
        }
        for (path, (message, hint)) in clashes {
            self.tell("stack.volume.shared", path, message, hint);
        }
    }
}

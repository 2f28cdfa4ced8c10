//! Rules for volumes and disks: hosts exist, and sources match the driver.

use super::{Borrower, Disk, Pool, Store, StoreDriver};
use crate::rules::Check;

impl<'s> Check<'s> {
    /// The section `store`.
    pub(crate) fn store(&mut self) {
        let Some(store) = &self.stack.store else { return };
        for (host, pool) in &store.pools {
            self.host(host, || format!("store.pools.{host}"));
            self.pool(host, pool, store.driver);
        }
        for (name, volume) in &store.volumes {
            if let Some(host) = &volume.host {
                self.host(host, || format!("store.volumes.{name}.host"));
            }
        }
        for (name, disk) in &store.disks {
            self.disk(name, disk);
        }
        self.objects(store);
        self.registry(store);
    }

    /// The source of volumes matches its driver.
    fn pool(&mut self, host: &str, pool: &Pool, usual: StoreDriver) {
        let path = format!("store.pools.{host}");
        if self.unread(&format!("{path}.from")) || self.unread(&format!("{path}.driver")) {
            return;
        }
        let folder = pool.from.as_deref().map(|from| from.starts_with('/'));
        let parts = pool.from.as_deref().unwrap_or_default().split('/').count();
        let (message, hint) = match (pool.driver.unwrap_or(usual), folder) {
            (StoreDriver::Lvm, None) => ("lvm needs a volume group and a thin pool", "write from: vg0/thin"),
            (StoreDriver::Zfs, None) => ("zfs needs a data set", "write from: tank/lsx"),
            (StoreDriver::Lvm, Some(_)) if folder == Some(true) || parts != 2 => {
                ("not a volume group with a thin pool", "write it like vg0/thin")
            }
            (StoreDriver::Zfs, Some(true)) => ("a data set must not begin with /", "write it like tank/lsx"),
            (StoreDriver::Btrfs | StoreDriver::Xfs | StoreDriver::Directory, Some(false)) => {
                ("not a folder of the host", "write an absolute path, like /data")
            }
            _ => return,
        };
        let path = if pool.from.is_some() { format!("{path}.from") } else { path };
        self.tell("stack.store.pool", path, message.to_owned(), hint);
    }

    fn disk(&mut self, name: &str, disk: &'s Disk) {
        let path = |key: &str| format!("store.disks.{name}.{key}");
        if !disk.host.is_empty() {
            self.host(&disk.host, || path("host"));
        }
        if !disk.network.is_empty() {
            self.network(&disk.network, || path("network"));
        }
        match &disk.to {
            Borrower::Instance(to) => {
                let Some(instance) = self.instance(to, || path("to")) else { return };
                let on = instance.networks.iter().any(|nic| nic.name == disk.network);
                if !on && !disk.network.is_empty() && !self.unread(&format!("instances.{to}.networks")) {
                    let message = format!("instances.{to} is not on the network `{}`", disk.network);
                    self.tell("stack.store.disk", path("to"), message, "attach it to that network");
                }
            }
            Borrower::Host(to) if !to.is_empty() => drop(self.host(to, || path("to"))),
            Borrower::Host(_) => {}
        }
    }

    /// A registry must use the volume that is cleaned up.
    fn registry(&mut self, store: &'s Store) {
        let Some(registry) = &store.registry else { return };
        let path = |key: &str| format!("store.registry.{key}");
        if registry.instance.is_empty() || registry.volume.is_empty() {
            return; // already reported by the decoder
        }
        self.volume(&registry.volume, || path("volume"));
        let Some(instance) = self.instance(&registry.instance, || path("instance")) else { return };
        if !instance.volumes.contains_key(&registry.volume) {
            let message = format!("instances.{} does not use `{}`", registry.instance, registry.volume);
            self.tell("stack.store.registry", path("volume"), message, "write a volume of that instance");
        }
    }
}

//! What the metadata service of a host tells, and to whom. Pure.

use super::names::name_on;
use crate::model::{Interface, Key, Machine, Meta};
use common::document;
use common::stack::resolved::{InstanceAt, NicAt, Resolved};
use common::stack::{Stack, Tokens};
use std::collections::BTreeMap;
use std::net::SocketAddrV4;

/// The number of digits of a digest in an identity, as lsx-ct writes it.
const DIGITS: usize = 16;
const VENDOR: &str = "meta.vendor_data";
/// Digits of a path's digest in the name of its secret. No secret of a document has a dot in its name.
const NAMED: usize = 16;

/// A file that instances are told.
pub(crate) struct File {
    /// The name of its secret, the same for all that have this file.
    pub(crate) name: String,
    /// Where the document names it.
    pub(crate) at: String,
    /// Its path there.
    pub(crate) path: String,
    /// The instance whose user data it is a part of.
    pub(crate) user_of: Option<String>,
}

/// The files that instances are told, those of one after the other in order.
pub(crate) fn files(stack: &Stack) -> Vec<File> {
    let Some(meta) = &stack.meta else { return Vec::new() };
    let vendor = meta.vendor_data.as_slice();
    let mut all: Vec<File> = of_paths(vendor).map(|file| File { at: VENDOR.to_owned(), ..file }).collect();
    for (key, instance) in &stack.instances {
        let place = |field: &str| format!("instances.{key}.{field}");
        let user = of_paths(instance.cloud_init.as_slice());
        all.extend(user.map(|file| File { at: place("cloud_init"), user_of: Some(key.clone()), ..file }));
        let keys = of_paths(stack.ssh_keys(instance));
        all.extend(keys.map(|file| File { at: place("ssh_keys"), ..file }));
    }
    all
}

/// A path of the document may be several, one a line.
fn of_paths(paths: &[String]) -> impl Iterator<Item = File> {
    paths.iter().flat_map(|path| path.lines()).map(|path| {
        let digits: String = document::digest(path.as_bytes()).chars().take(NAMED).collect();
        let (name, path) = (format!("file.{digits}"), path.to_owned());
        File { name, at: String::new(), path, user_of: None }
    })
}

fn names(paths: &[String]) -> Vec<String> {
    of_paths(paths).map(|file| file.name).collect()
}

/// The name of all user data of an instance together, of which only the digest counts.
pub(crate) fn whole(key: &str) -> String {
    format!("user-data.{key}")
}

/// The service of a host; none if no network has it there.
pub(crate) fn of(stack: &Stack, resolved: &Resolved, host: &str) -> Option<Meta> {
    let meta = stack.meta.as_ref()?;
    let mut services = resolved.services.iter();
    let service =
        services.find(|at| at.host == host && (at.tool.as_str(), at.name.as_str()) == ("dns", "meta"))?;
    let inner = service.inner?;
    let networks = resolved.networks.iter().filter(|at| service.networks.contains(&at.name));
    let listen = networks.filter_map(|at| Some(SocketAddrV4::new(at.gateway_address?, inner)));
    let here = |at: &&InstanceAt| at.nics.iter().any(|nic| service.networks.contains(&nic.network));
    Some(Meta {
        stack: stack.name.clone(),
        listen: listen.collect(),
        tokens: meta.tokens == Tokens::Required,
        vendor_data: names(meta.vendor_data.as_slice()),
        instances: resolved.instances.iter().filter(here).map(|at| machine(stack, resolved, at)).collect(),
    })
}

fn machine(stack: &Stack, resolved: &Resolved, at: &InstanceAt) -> Machine {
    let written = stack.instances.get(&at.of);
    let hostname = written.and_then(|written| written.hostname.clone());
    let user = written.map(|written| names(written.cloud_init.as_slice()));
    let keys = written.map(|written| names(stack.ssh_keys(written)));
    let driver = written.map(|written| stack.driver(written)).unwrap_or_default();
    let interface = |nic: &NicAt| {
        Some(Interface {
            name: nic.name.clone(),
            network: nic.network.clone(),
            mac: nic.mac.to_lowercase(),
            address: Some(nic.address).filter(|address| !address.addr().is_unspecified())?,
            fqdn: name_on(stack, resolved, at, nic)?,
            mtu: nic.mtu,
            gateway: nic.gateway,
            resolver: nic.resolver.clone(),
            search: nic.search.clone(),
        })
    };
    Machine {
        name: at.name.clone(),
        of: at.of.clone(),
        id: format!("lsx-{}-{}", stack.name, at.name),
        hostname: hostname.unwrap_or_else(|| at.name.clone()),
        host: at.host.clone(),
        driver,
        image: written.and_then(|written| written.image.clone()),
        interfaces: at.nics.iter().filter_map(interface).collect(),
        user_data: user.unwrap_or_default(),
        keys: keys.unwrap_or_default(),
    }
}

/// With the identities that follow from user data.
pub(crate) fn identified(mut meta: Meta, gathered: &BTreeMap<String, Key>) -> Meta {
    for machine in &mut meta.instances {
        if let Some(data) = gathered.get(&whole(&machine.of)) {
            let digits = data.digest.trim_start_matches("sha256:").chars().take(DIGITS);
            machine.id.push('-');
            machine.id.extend(digits);
        }
    }
    meta
}

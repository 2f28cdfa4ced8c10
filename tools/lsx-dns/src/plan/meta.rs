//! What the metadata service of a host tells, and to whom. Pure.

use super::names::name_on;
use crate::model::{Interface, Key, Machine, Meta};
use common::stack::resolved::{InstanceAt, NicAt, Resolved};
use common::stack::{Stack, Tokens};
use std::collections::BTreeMap;
use std::net::SocketAddrV4;

/// The number of digits of a digest in an identity, as lsx-ct writes it.
const DIGITS: usize = 16;
/// Kinds of files of the operator.
const USER: &str = "user-data";
const VENDOR: &str = "vendor-data";
const KEYS: &str = "ssh-keys";

/// The files that instances are told, by the names of their secrets: place in the document, and path. A path of the document may be several, one
/// a line. No secret of a document has a dot in its name.
pub(crate) fn files(stack: &Stack) -> Vec<(String, String, String)> {
    let Some(meta) = &stack.meta else { return Vec::new() };
    let mut all = Vec::new();
    let mut add = |kind: String, at: String, paths: &[String]| {
        let lines = paths.iter().flat_map(|path| path.lines()).enumerate();
        all.extend(lines.map(|(i, path)| (format!("{kind}.{i}"), at.clone(), path.to_owned())));
    };
    add(VENDOR.to_owned(), "meta.vendor_data".to_owned(), meta.vendor_data.as_slice());
    for (key, instance) in &stack.instances {
        let place = |field: &str| format!("instances.{key}.{field}");
        add(whole(key), place("cloud_init"), instance.cloud_init.as_slice());
        add(format!("{KEYS}.{key}"), place("ssh_keys"), stack.ssh_keys(instance));
    }
    all
}

/// The name of all user data of an instance together.
pub(crate) fn whole(key: &str) -> String {
    format!("{USER}.{key}")
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
    let files = files(stack);
    let own = |kind: &str| -> Vec<String> {
        let names = files.iter().map(|(name, _, _)| name);
        let mut names: Vec<&String> = names.filter(|name| part_of(name, kind)).collect();
        names.sort_by_key(|name| (name.len(), *name));
        names.into_iter().cloned().collect()
    };
    let machine = |at: &InstanceAt| Machine {
        user_data: own(&whole(&at.of)),
        keys: own(&format!("{KEYS}.{}", at.of)),
        ..machine(stack, resolved, at)
    };
    Some(Meta {
        stack: stack.name.clone(),
        listen: listen.collect(),
        tokens: meta.tokens == Tokens::Required,
        vendor_data: own(VENDOR),
        instances: resolved.instances.iter().filter(here).map(machine).collect(),
    })
}

fn part_of(name: &str, kind: &str) -> bool {
    let number = name.strip_prefix(kind).and_then(|rest| rest.strip_prefix('.'));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn machine(stack: &Stack, resolved: &Resolved, at: &InstanceAt) -> Machine {
    let written = stack.instances.get(&at.of);
    let hostname = written.and_then(|written| written.hostname.clone());
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
        ..Machine::default()
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

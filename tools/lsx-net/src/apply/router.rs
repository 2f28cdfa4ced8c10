//! The router's namespace.

use super::ask::ask;
use crate::model::RulesAt;
use crate::netlink::link::{self, Change};
use crate::netlink::{Device, Socket, dump, namespace, sysctl};
use crate::observe::ways::{FORWARD, forwarding};
use crate::observe::{failure, io_failure};
use crate::paths::Paths;
use common::Failure;
use common::host::file;
use std::io::ErrorKind;
use std::os::fd::AsFd;

/// Creates the router: no IPv6, reverse path filtering, and forwarding enabled last.
pub(super) fn make_router(name: &str) -> Result<(), Failure> {
    match namespace::create(name) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => {
            return Err(io_failure(&format!("create the namespace {name}"), &e));
        }
        _ => {}
    }
    let enter = |e: &std::io::Error| io_failure(&format!("enter the namespace {name}"), e);
    let space = namespace::open(namespace::NamespaceRef::Name(name)).map_err(|e| enter(&e))?;
    let mut socket = Socket::open_in(space.as_fd()).map_err(|e| enter(&e))?;
    ask(&mut socket, &link::change(Device::Name("lo"), &Change { up: Some(true), ..Change::default() }))?;
    let quiet = sysctl::write(
        space.as_fd(),
        &[("ipv6/conf/all/disable_ipv6", "1"), ("ipv6/conf/default/disable_ipv6", "1")],
    );
    match quiet {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            return Err(io_failure("disable IPv6 in the router", &e));
        }
        _ => {}
    }
    // It sends instances no redirects; it accepts none itself, since a forwarding kernel does not (RFC 1812, 5.2.7.2).
    let route = [
        ("ipv4/conf/all/send_redirects", "0"),
        ("ipv4/conf/default/send_redirects", "0"),
        ("ipv4/conf/all/rp_filter", "1"),
        ("ipv4/conf/default/rp_filter", "1"),
        (FORWARD, "1"),
    ];
    sysctl::write(space.as_fd(), &route).map_err(|e| io_failure("enable forwarding in the router", &e))?;
    // Writing ip_forward again has no effect; a link with forwarding disabled is therefore reported separately.
    let links = dump::links(&mut socket).map_err(failure)?;
    let names = links.iter().map(|l| forwarding(&l.name)).chain([forwarding("default")]);
    let settings: Vec<String> = names.collect();
    let settings: Vec<(&str, &str)> = settings.iter().map(|key| (key.as_str(), "1")).collect();
    sysctl::write(space.as_fd(), &settings).map_err(|e| io_failure("enable forwarding in the router", &e))
}

/// Removes the router with everything in it, including its rules. The record of the rules is removed before: the next run
/// would not notice a leftover record.
pub(super) fn remove_router(stack: &str, name: &str) -> Result<(), Failure> {
    let paths = Paths::new(stack);
    file::remove(&paths.rules(RulesAt::Router))?;
    file::remove_empty(&paths.run());
    match namespace::delete(name) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(io_failure(&format!("remove the namespace {name}"), &e))
        }
        _ => Ok(()),
    }
}

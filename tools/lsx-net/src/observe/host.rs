//! State of the host itself: routes, addresses, listeners, other tunnels.

use super::intent::kept_intent;
use super::ways::{self, default};
use super::{failure, have, io_failure, kernel};
use crate::model::{Facts, GROUP, Intent, Listener, Object, Route, Tunnels, unmark};
use crate::netlink::dump::Link;
use crate::netlink::{Socket, addr, namespace, route};
use crate::paths::Paths;
use crate::plan::prefixes;
use common::Failure;
use common::host::Program;
use common::plan::Have;
use common::stack::resolved::Protocol;
use std::collections::BTreeSet;
use std::os::fd::AsFd;

/// What exists in addition to lsx's objects.
pub(super) fn seen(socket: &mut Socket, links: &[Link], stack: Option<&str>) -> Result<Facts, Failure> {
    let name =
        |index: u32| links.iter().find(|l| l.index == index).map(|l| l.name.clone()).unwrap_or_default();
    let addresses = addr::list(socket).map_err(failure)?;
    let routes = route::followed(socket).map_err(failure)?;
    let strict = ways::strict(links)?;
    Ok(Facts {
        routes: foreign_routes(&routes),
        paths: if strict.is_empty() { Vec::new() } else { paths(&routes, name) },
        strict,
        outward: outward(&routes, name),
        tunnels: links.iter().filter_map(|l| tunnel(l, stack)).collect(),
        listeners: super::listeners::all().into_iter().chain(published(stack)).collect(),
        strangers: strangers(links),
        addresses: addresses.iter().map(|a| (a.address.addr(), name(a.device))).collect(),
        lacks: lacks(links)?,
        haproxy: Program::new("haproxy").there().is_ok(),
        program: common::fleet::installed_path(&[crate::PROGRAM]),
        ssh_port: ssh_port(),
        ..Facts::default()
    })
}

fn foreign_routes(all: &[route::Entry]) -> Vec<ipnet::Ipv4Net> {
    let mut routes: Vec<_> = all
        .iter()
        .filter(|r| r.protocol != route::LSX_PROTOCOL && !default(r))
        .map(|r| r.route.destination)
        .filter(|r| !r.addr().is_link_local() && !r.addr().is_loopback())
        .collect();
    routes.sort();
    routes.dedup();
    routes
}

/// The addresses of this host itself: not those of loopback or of lsx's links.
pub(crate) fn own_addresses() -> Result<Vec<ipnet::Ipv4Net>, Failure> {
    let mut socket = Socket::open().map_err(|e| io_failure("open a netlink socket", &e))?;
    let links = crate::netlink::dump::links(&mut socket).map_err(failure)?;
    let addresses = addr::list(&mut socket).map_err(failure)?;
    let ours = |index: u32| {
        let link = links.iter().find(|l| l.index == index);
        link.is_some_and(|l| l.group == GROUP || l.altnames.iter().any(|a| unmark(a).is_some()))
    };
    let own =
        addresses.into_iter().filter(|a| a.global && !a.address.addr().is_loopback() && !ours(a.device));
    Ok(own.map(|a| a.address).collect())
}

/// The outgoing interface of each route.
fn paths(all: &[route::Entry], name: impl Fn(u32) -> String) -> Vec<(ipnet::Ipv4Net, String)> {
    let main = all.iter().filter(|r| r.table == u32::from(nix::libc::RT_TABLE_MAIN));
    main.filter_map(|r| Some((r.route.destination, name(r.route.device?)))).collect()
}

/// All default routes, not only the best: another one is used when it fails.
fn outward(all: &[route::Entry], name: impl Fn(u32) -> String) -> Vec<String> {
    let default = all.iter().filter(|r| default(r));
    let names: BTreeSet<String> = default.filter_map(|r| r.route.device.map(&name)).collect();
    names.into_iter().filter(|n| !n.is_empty()).collect()
}

/// A VXLAN device that does not belong to this stack, complete or not; two with the same VNI and port cannot be in one
/// namespace.
fn tunnel(link: &Link, stack: Option<&str>) -> Option<Tunnels> {
    let vxlan = link.vxlan.as_ref()?;
    let remnant = |s| link.group == GROUP && prefixes(s).iter().any(|p| link.name.starts_with(p.as_str()));
    let owner =
        link.altnames.iter().filter_map(|a| unmark(a)).map(|(s, ..)| s.to_owned()).next().unwrap_or_default();
    let own = stack == Some(owner.as_str()) || owner.is_empty() && stack.is_some_and(remnant);
    (!own).then(|| Tunnels { link: link.name.clone(), stack: owner, vni: vxlan.vni, port: vxlan.port })
}

/// Unmarked links outside lsx's group whose name has the form of lsx's names.
fn strangers(links: &[Link]) -> Vec<String> {
    let shape = |l: &&Link| {
        let mut letters = l.name.chars();
        letters.next() == Some('l')
            && letters.next().is_some_and(|c| "btgwi".contains(c))
            && l.name.len() >= 6
            && letters.take(4).all(|c| c.is_ascii_hexdigit())
    };
    let unmarked =
        |l: &&Link| l.group != crate::model::GROUP && !l.altnames.iter().any(|a| a.starts_with("lsx:"));
    links.iter().filter(shape).filter(unmarked).map(|l| l.name.clone()).collect()
}

/// Ports that other stacks publish here.
fn published(stack: Option<&str>) -> Vec<Listener> {
    let others = Paths::stacks().into_iter().filter(|s| stack != Some(s.as_str()));
    let kept = others.filter_map(|s| kept_intent(&s));
    let mut all = Vec::new();
    for Intent { stack, desired, .. } in kept {
        let ports = desired.ports.into_iter().map(|p| (p.protocol, p.listen, p.address));
        let balanced = desired
            .balance
            .into_iter()
            .flat_map(|b| b.listen.into_iter().map(move |port| (Protocol::Tcp, port, b.address)));
        let listener = |(protocol, port, address)| Listener { protocol, port, address, stack: stack.clone() };
        all.extend(ports.chain(balanced).map(listener));
    }
    all
}

/// Tested in a temporary namespace, and only if no existing device shows that it works.
fn lacks(links: &[Link]) -> Result<Vec<String>, Failure> {
    if links.iter().any(|l| l.vxlan.is_some()) && links.iter().any(|l| l.bridge.is_some()) {
        return Ok(Vec::new());
    }
    let space = match namespace::nameless() {
        Ok(space) => space,
        Err(e) => return Err(io_failure("create a network namespace", &e)),
    };
    kernel::refused(space.as_fd())
}

fn ssh_port() -> Option<u16> {
    #[expect(clippy::disallowed_methods, reason = "sshd only gives the port of this session there (sshd(8))")]
    let connection = std::env::var("SSH_CONNECTION").ok()?;
    connection.split(' ').nth(3)?.parse().ok()
}

/// Routes into networks through the stack's world link.
pub(super) fn routes(stack: &str, links: &[Link], socket: &mut Socket) -> Result<Vec<Have<Object>>, Failure> {
    let world = links.iter().find(|l| {
        l.altnames.iter().filter_map(|a| unmark(a)).any(|(s, _, role)| s == stack && role == "world")
    });
    let Some(world) = world else { return Ok(Vec::new()) };
    let ours = route::ours(socket).map_err(failure)?;
    let object = |entry: &route::Entry| {
        let via = entry.route.gateway?;
        let route = Route { to: entry.route.destination, via, link: world.name.clone() };
        (entry.route.device == Some(world.index))
            .then(|| have(&format!("route:{}", route.to), Object::Route(route), &["world:host"]))
    };
    Ok(ours.iter().filter_map(object).collect())
}

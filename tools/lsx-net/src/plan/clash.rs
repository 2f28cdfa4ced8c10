//! Conflicts on a host: names, numbers, routes and ports in use; and changes that must not happen by accident.

use super::PlanInput;
use crate::Net;
use crate::model::{Desired, Facts, Intent, Network};
use crate::render::NOWHERE;
use common::plan::Warning;
use common::stack::resolved::{HostAt, PortAt, Protocol, Resolved, Selector};
use common::tool::{ObservedOf, Risk};
use common::{Failure, Kind};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// All conflicts on a host.
pub(super) fn clashes(desired: &Desired, seen: &ObservedOf<Net>) -> Vec<Failure> {
    let seen = &seen.seen;
    let mut failures: Vec<Failure> = seen.lacks.iter().map(|lack| lacking(lack)).collect();
    failures.extend(names(desired, seen));
    failures.extend(numbers(desired, seen));
    failures.extend(ports(desired, seen));
    failures.extend(loopback(desired));
    failures.extend(nowhere(desired));
    failures.extend(overlaps(desired));
    failures.into_iter().map(|f| f.on(&desired.host)).collect()
}

fn lacking(lack: &str) -> Failure {
    Failure::new(Kind::Failed, "net.plan.lacks", format!("this host lacks what the stack needs: {lack}"))
        .hint("load the module or install the package on the host; nothing was changed")
}

fn names<'a>(desired: &'a Desired, seen: &'a Facts) -> impl Iterator<Item = Failure> + 'a {
    let legs = desired.networks.iter().filter_map(|n| n.leg.as_ref()).map(|l| &l.link);
    let links =
        desired.networks.iter().flat_map(|n| [&n.bridge, &n.tunnel]).chain(legs).chain([&desired.world_link]);
    links.filter(|link| seen.strangers.contains(link)).map(|link| {
        Failure::new(
            Kind::Failed,
            "net.plan.stranger",
            format!("the interface {link} exists, but was not created by lsx"),
        )
        .hint(format!("see `ip -d link show {link}`; rename or remove it"))
    })
}

fn whose(stack: &str, link: &str) -> String {
    match stack {
        "" => format!("the interface {link}"),
        stack => format!("stack {stack}"),
    }
}

/// A VNI and UDP port can exist only once on a host (a rule of the kernel), and filters of one stack must not match
/// another's tunnels.
fn numbers<'a>(desired: &'a Desired, seen: &'a Facts) -> impl Iterator<Item = Failure> + 'a {
    let port = seen.tunnels.iter().find(|t| t.port == desired.tunnel_port && !t.stack.is_empty()).map(|t| {
        let message = format!("UDP port {} carries the tunnels of {}", t.port, whose(&t.stack, &t.link));
        Failure::new(Kind::Data, "net.plan.tunnel_port", message)
            .at("tunnel_port")
            .hint("set tunnel_port to another port")
    });
    // A published port is translated before a tunnel receives it: an instance would get the packets.
    let tunnels = desired.networks.iter().any(|n| !n.tunnel.is_empty());
    let taken = seen.listeners.iter().filter(move |l| {
        tunnels && !l.stack.is_empty() && (l.protocol, l.port) == (Protocol::Udp, desired.tunnel_port)
    });
    let published = taken.map(|l| {
        let message = format!("UDP port {} of the tunnels is published by stack {}", l.port, l.stack);
        Failure::new(Kind::Data, "net.plan.tunnel_port", message)
            .at("tunnel_port")
            .hint("set tunnel_port to another port")
    });
    let vnis = desired.networks.iter().filter(|n| !n.tunnel.is_empty()).filter_map(move |network| {
        let other = seen.tunnels.iter().find(|t| t.vni == network.vni && t.port == desired.tunnel_port)?;
        let message = format!("VNI {} is used by {}", network.vni, whose(&other.stack, &other.link));
        let failure =
            Failure::new(Kind::Data, "net.plan.vni", message).at(format!("networks.{}.vni", network.name));
        Some(failure.hint("write another vni for the network"))
    });
    port.into_iter().chain(published).chain(vnis)
}

/// Two networks of one host that conflict. Those of the document cannot, so one of them is kept although the document does
/// not name it: usually a renamed network.
fn overlaps(desired: &Desired) -> Vec<Failure> {
    let meet = |a: &Network, b: &Network, what: String| {
        let message = format!("networks {} and {} have the same {what}", a.name, b.name);
        let hint = "one of them is kept although the document does not name it; --prune removes it";
        Failure::new(Kind::Data, "net.plan.kept", message).hint(hint)
    };
    let mut failures = Vec::new();
    let mut sorted: Vec<&Network> = desired.networks.iter().filter(|n| n.cidr.prefix_len() > 0).collect();
    sorted.sort_by_key(|n| (n.cidr.network(), n.cidr.prefix_len()));
    let near = sorted.windows(2).filter(|two| two[0].cidr.contains(&two[1].cidr));
    failures.extend(near.map(|two| meet(two[0], two[1], format!("addresses: {}", two[1].cidr))));
    sorted.retain(|n| !n.tunnel.is_empty());
    sorted.sort_by_key(|n| n.vni);
    let near = sorted.windows(2).filter(|two| two[0].vni == two[1].vni);
    failures.extend(near.map(|two| meet(two[0], two[1], format!("VNI: {}", two[1].vni))));
    failures
}

/// Publishing a port that a program listens on would hide the program, for example sshd. A port that is already published
/// has been checked before.
fn ports<'a>(desired: &'a Desired, seen: &'a Facts) -> impl Iterator<Item = Failure> + 'a {
    let published = |port: &&PortAt| seen.intent.as_ref().is_none_or(|i| !i.desired.ports.contains(port));
    desired.ports.iter().filter(published).filter_map(|port| {
        let taken = seen.listeners.iter().find(|l| {
            l.protocol == port.protocol
                && l.port == port.listen
                && l.address.is_none_or(|a| a == desired.address && port.address.is_none_or(|p| p == a))
        })?;
        let who = match taken.stack.as_str() {
            "" => "a program of the host".to_owned(),
            stack => format!("stack {stack}"),
        };
        let word = match port.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        let message = format!("port {}/{word} is used by {who}", port.listen);
        let failure = Failure::new(Kind::Data, "net.plan.port", message)
            .at(format!("instances.{}.ports", port.instance));
        Some(failure.hint("publish another port"))
    })
}

/// The host would have to route 127/8, which no kernel does by default.
fn loopback(desired: &Desired) -> impl Iterator<Item = Failure> + '_ {
    let inner = |p: &&PortAt| p.address.is_some_and(|a| a.is_loopback());
    desired.ports.iter().filter(inner).map(|port| {
        let message = format!("port {} cannot be published on a loopback address", port.listen);
        let failure = Failure::new(Kind::Data, "net.plan.loopback", message)
            .at(format!("instances.{}.ports", port.instance));
        failure.hint("to give access only to the host, write `allow: { from: host/HOST, to: instance/NAME, ports: [...] }` and use the instance's address")
    })
}

/// Addresses that a router never forwards, whatever a permission says.
fn nowhere(desired: &Desired) -> impl Iterator<Item = Failure> + '_ {
    let inside = |net: &Ipv4Net| NOWHERE.iter().any(|n| n.parse().is_ok_and(|n: Ipv4Net| n.contains(net)));
    let nets = |s: &Selector| match s {
        Selector::Addresses(nets) => nets.clone(),
        _ => Vec::new(),
    };
    let ends = desired.allow.iter().flat_map(move |a| [nets(&a.from), nets(&a.to)]).flatten();
    ends.filter(move |net| inside(net)).map(|net| {
        let message = format!("{net} is never forwarded, so it cannot be allowed");
        Failure::new(Kind::Data, "net.plan.nowhere", message).at("allow").hint(
            "link-local (cloud metadata), loopback, multicast and reserved addresses are always blocked",
        )
    })
}

/// Addresses for published ports that the host does not have.
pub(super) fn missing(desired: &Desired, seen: &Facts) -> Vec<Warning> {
    let has = |address: Ipv4Addr| seen.addresses.iter().any(|(a, _)| *a == address);
    let one = |port: &PortAt| {
        let address = port.address.filter(|a| !has(*a) && !a.is_loopback())?;
        let (host, instance, listen) = (&desired.host, &port.instance, port.listen);
        let message = format!(
            "{host} does not have the address {address}: port {listen} of {instance} cannot be reached until it has"
        );
        Some(Warning { code: "net.ports.address".to_owned(), message })
    };
    desired.ports.iter().filter_map(one).collect()
}

/// Hosts whose tunnels cross the public internet: VXLAN neither encrypts nor authenticates (RFC 7348, section 7).
pub(super) fn exposed(resolved: &Resolved) -> Option<Warning> {
    let far = |h: &&HostAt| {
        !private(h.address)
            && resolved.networks.iter().any(|n| n.hosts.len() > 1 && n.hosts.contains(&h.name))
    };
    let hosts: Vec<String> =
        resolved.hosts.iter().filter(far).map(|h| format!("{} ({})", h.name, h.address)).collect();
    (!hosts.is_empty()).then(|| Warning {
        code: "net.underlay.public".to_owned(),
        message: format!(
            "the tunnels are not encrypted and use public addresses: {}; connect the hosts by a private network or WireGuard and write those addresses",
            hosts.join(", ")
        ),
    })
}

/// Address ranges that are not routed on the internet: RFC 1918, 6598 (carriers), 3927 (link local), 2544 (benchmarks),
/// 5737 (documentation).
fn private(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || (a == 100 && b & 0xc0 == 64)
        || (a == 198 && b & 0xfe == 18)
}

/// Interfaces of instances on bridges that are about to be removed.
pub(super) fn still_attached(host: &str, seen: &Facts, goes: impl Fn(&str) -> bool) -> Option<Failure> {
    let names: Vec<&str> =
        seen.attached.iter().filter(|a| goes(&a.bridge)).map(|a| a.name.as_str()).collect();
    let first = names.first()?;
    let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
    let message = format!("still attached to the stack's networks: {first}{more}");
    let failure = Failure::new(Kind::Failed, "net.plan.attached", message).on(host);
    Some(failure.hint("remove the instances first (`lsx-ct down`), or detach them with `lsx-net detach`"))
}

/// Instances that run on one host and that the document has on another: without its network on the old host such an
/// instance would be disconnected before it is moved.
pub(super) fn moved(
    input: &PlanInput,
    resolved: &Resolved,
    observed: &BTreeMap<String, ObservedOf<Net>>,
) -> Vec<Failure> {
    if input.accepts(Risk::Move) {
        return Vec::new();
    }
    let named = |name: &str| {
        let instance = resolved.instances.iter().find(|i| i.name == name);
        instance.filter(|i| input.only.instance(&i.of, &i.name))
    };
    let mut failures = BTreeMap::new();
    for (host, seen) in observed {
        for there in seen.seen.attached.iter().filter(|a| a.stack == input.stack) {
            let Some((name, _)) = there.name.rsplit_once('.') else { continue };
            let Some(instance) = named(name).filter(|i| i.host != *host) else { continue };
            let message = format!("{name} runs on {host} and would move to {}", instance.host);
            let failure = Failure::new(Kind::Data, "net.plan.move", message).on(host);
            let failure = failure.at(format!("instances.{}", instance.of));
            let hint = "nothing was changed; --allow-move allows it, in lsx-net and in lsx-ct";
            failures.insert(name, failure.hint(hint));
        }
    }
    failures.into_values().collect()
}

/// Processes in a router that is about to be removed: they would keep it, without a name and without links.
pub(super) fn inhabited(host: &str, seen: &ObservedOf<Net>, stays: bool) -> Option<Failure> {
    let there = seen.objects.iter().any(|have| have.key == "router:host");
    let inside = &seen.seen.inhabitants;
    if stays || !there || inside.is_empty() {
        return None;
    }
    let pids: Vec<&str> = inside.iter().filter_map(|one| one.split(' ').next()).collect();
    let message = format!("processes are running in the stack's router: {}", inside.join(", "));
    let failure = Failure::new(Kind::Failed, "net.plan.inhabited", message).on(host);
    let served = inside.iter().find_map(|one| one.split_once("(lsx-")?.1.strip_suffix(')'));
    Some(failure.hint(match served {
        Some(tool) => format!("they serve the stack: run `lsx-{tool} down` first"),
        None => format!("end them first: kill {}", pids.join(" ")),
    }))
}

/// Addresses of existing interfaces that would change.
pub(super) fn renumbered(input: &PlanInput, intent: &Intent, desired: &Desired) -> Vec<Failure> {
    if input.accepts(Risk::Renumber) {
        return Vec::new();
    }
    let old: BTreeMap<_, _> =
        intent.desired.nics.iter().map(|n| ((&n.instance, &n.network, &n.name), n.address)).collect();
    let changed = desired.nics.iter().filter_map(|nic| {
        let before = old.get(&(&nic.instance, &nic.network, &nic.name)).filter(|a| **a != nic.address)?;
        let message = format!("{}.{} would change from {before} to {}", nic.instance, nic.name, nic.address);
        let failure =
            Failure::new(Kind::Data, "net.plan.renumber", message).at(format!("instances.{}", nic.instance));
        Some(failure.on(&desired.host).hint("--renumber allows it; or write the old address in the document"))
    });
    changed.collect()
}

/// A document that is incomplete by mistake must not clear the hosts.
pub(super) fn too_much(input: &PlanInput, host: &str, intent: &Intent, desired: &Desired) -> Vec<Failure> {
    if input.yes {
        return Vec::new();
    }
    let networks = |d: &Desired| d.networks.iter().map(|n| n.name.clone()).collect::<BTreeSet<_>>();
    let instances = |d: &Desired| d.nics.iter().map(|n| n.instance.clone()).collect::<BTreeSet<_>>();
    let kinds = [
        ("networks", networks(&intent.desired), networks(desired)),
        ("instances", instances(&intent.desired), instances(desired)),
    ];
    let half = kinds.into_iter().filter_map(|(kind, old, new)| {
        let gone = old.difference(&new).count();
        (gone * 2 > old.len()).then(|| {
            let message = format!("--prune would remove {gone} of {} {kind}", old.len());
            Failure::new(Kind::Data, "net.plan.prune", message).on(host).hint("--yes confirms it")
        })
    });
    half.collect()
}

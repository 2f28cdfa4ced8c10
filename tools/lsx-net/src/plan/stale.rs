//! Connections that the kernel still forwards although the document no longer allows them. Rules decide about the first
//! packet of a connection only; so connections of removed permissions, removed ports and moved targets are found and ended.
//! Pure.

use crate::model::{Desired, Flow, Tuple};
use common::stack::resolved::{AllowAt, PortAt, Protocol, Selector};
use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// What is no longer valid.
#[derive(Debug)]
pub struct Stale<'a> {
    old: &'a Desired,
    new: Option<&'a Desired>,
    /// Ports that were published and are not, or the reverse: an existing client would continue to reach the host itself.
    ports: Vec<PortAt>,
    /// Addresses of removed instances.
    addresses: BTreeSet<Ipv4Addr>,
    allow: Vec<&'a AllowAt>,
    /// Networks whose instances could reach the world and no longer may.
    egress: Vec<Ipv4Net>,
}

impl<'a> Stale<'a> {
    /// Compares the old with the new intent.
    pub fn between(old: &'a Desired, new: Option<&'a Desired>) -> Stale<'a> {
        let ports = |d: Option<&Desired>| -> Vec<PortAt> {
            let own = d.into_iter().flat_map(|d| d.ports.iter());
            own.chain(d.into_iter().flat_map(|d| d.elsewhere.iter().map(|e| &e.port))).cloned().collect()
        };
        let (was, is) = (ports(Some(old)), ports(new));
        let gone = was.iter().filter(|p| !is.contains(p));
        let came = is.iter().filter(|p| !was.contains(p));
        let addresses = |d: Option<&Desired>| {
            d.into_iter().flat_map(|d| &d.nics).map(|n| n.address).collect::<BTreeSet<_>>()
        };
        let opens = |d: &Desired, net: &Ipv4Net| d.networks.iter().any(|n| n.cidr == *net && n.egress);
        let shut = |net: &Ipv4Net| !new.is_some_and(|new| opens(new, net));
        Stale {
            old,
            new,
            ports: gone.chain(came).cloned().collect(),
            addresses: addresses(Some(old)).difference(&addresses(new)).copied().collect(),
            allow: old.allow.iter().filter(|a| !new.is_some_and(|new| new.allow.contains(a))).collect(),
            egress: old.networks.iter().filter(|n| n.egress).map(|n| n.cidr).filter(shut).collect(),
        }
    }

    /// Whether there is nothing to look for.
    pub fn nothing(&self) -> bool {
        self.ports.is_empty() && self.addresses.is_empty() && self.allow.is_empty() && self.egress.is_empty()
    }

    /// Whether to end a connection of the host; `local` are the host's addresses. Connections with a zone are not lsx's.
    pub fn on_host(&self, flow: &Flow, local: &BTreeSet<Ipv4Addr>) -> bool {
        let begun = &flow.original;
        let handed_on = flow.reply.source == self.old.leg.broadcast();
        let own = local.contains(&begun.target) && flow.reply.source == begun.target;
        flow.zone == 0
            && (handed_on || own)
            && self.ports.iter().any(|p| p.host == self.old.host && asks(p, p.listen, begun))
    }

    /// Whether to end a connection of the router.
    pub fn in_router(&self, flow: &Flow) -> bool {
        let (begun, answers) = (&flow.original, flow.reply.source);
        let ends = [begun.source, begun.target, answers];
        if ends.iter().any(|end| self.addresses.contains(end)) {
            return true;
        }
        if answers != begun.target {
            // Translated to an instance: by a published port, not by a permission.
            let to = |p: &PortAt| (p.to_address, p.to_port) == (answers, flow.reply.source_port);
            return self
                .ports
                .iter()
                .any(|p| kind(p) == begun.protocol && (to(p) || asks(p, p.listen, begun)));
        }
        let hosts = |p: &&PortAt| {
            p.address.is_some() || !outside(self.old, begun.target) && !within(self.old, begun.target)
        };
        if self.ports.iter().filter(hosts).any(|p| asks(p, p.listen, begun)) {
            return true;
        }
        let closed = self.allow.iter().any(|a| allows(self.old, a, begun));
        let shut =
            self.egress.iter().any(|net| net.contains(&begun.source)) && outside(self.old, begun.target);
        (closed || shut) && !self.new.is_some_and(|new| still(new, begun))
    }
}

/// Whether another permission, or egress, covers a connection.
fn still(new: &Desired, begun: &Tuple) -> bool {
    let leaves =
        |d: &Desired| d.networks.iter().any(|n| n.gateway && n.egress && n.cidr.contains(&begun.source));
    new.allow.iter().any(|a| allows(new, a, begun)) || outside(new, begun.target) && leaves(new)
}

fn within(d: &Desired, address: Ipv4Addr) -> bool {
    d.inside.iter().any(|net| net.contains(&address))
}

fn outside(d: &Desired, address: Ipv4Addr) -> bool {
    let hosts = || d.hosts.iter().chain(d.closed.values().flatten());
    !within(d, address) && !hosts().any(|host| *host == address) && !d.leg.contains(&address)
}

fn kind(port: &PortAt) -> u8 {
    number(port.protocol)
}

/// RFC 5237's registry.
fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    }
}

fn asks(port: &PortAt, listen: u16, begun: &Tuple) -> bool {
    (kind(port), listen) == (begun.protocol, begun.target_port)
        && port.address.is_none_or(|address| address == begun.target)
}

fn allows(d: &Desired, allow: &AllowAt, begun: &Tuple) -> bool {
    let named = |p: &common::stack::PortSpec| {
        number(p.protocol) == begun.protocol && (p.first..=p.last).contains(&begun.target_port)
    };
    let echo = begun.protocol == 1;
    is(d, &allow.from, begun.source)
        && is(d, &allow.to, begun.target)
        && (allow.ports.is_empty() || echo || allow.ports.iter().any(named))
}

fn is(d: &Desired, selector: &Selector, address: Ipv4Addr) -> bool {
    match selector {
        Selector::Network(name) => d.networks.iter().any(|n| n.name == *name && n.cidr.contains(&address)),
        Selector::Addresses(nets) => nets.iter().any(|net| net.contains(&address)),
        Selector::Host(name) => {
            let own = *name == d.host && (address == d.address || d.leg.contains(&address));
            own || d.closed.get(name).is_some_and(|further| further.contains(&address))
        }
        Selector::World => outside(d, address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::cut;
    use common::stack::{ReadOptions, read, resolve};

    const STACK: &str = "
stack: s
hosts: { h1: { address: 198.18.0.11, ssh: root@198.18.0.11 } }
networks: { a: { cidr: 10.1.0.0/24, gateway: h1 }, b: { cidr: 10.2.0.0/24, gateway: h1 } }
allow:
  - { from: a, to: b, ports: [53/udp] }
  - { from: a, to: instance/db }
instances:
  web: { image: none, host: h1, networks: [{ name: a, address: 10.1.0.10 }], ports: [\"53:53/udp\"] }
  db: { image: none, host: h1, networks: [{ name: b, address: 10.2.0.10 }] }
";

    fn desired(text: &str) -> Desired {
        let (stack, _) = read(text, "stack.yaml", &ReadOptions::default()).unwrap();
        cut(&resolve(&stack).unwrap()).remove("h1").unwrap()
    }

    /// `SOURCE TARGET:PORT`, answered by the target or, if translated, by another address.
    fn udp(source: &str, target: &str, answers: &str) -> Flow {
        let end = |text: &str| {
            let (address, port) = text.split_once(':').unwrap();
            (address.parse().unwrap(), port.parse().unwrap())
        };
        let ((source, source_port), (target, target_port), (by, by_port)) =
            (end(source), end(target), end(answers));
        let original = Tuple { source, target, protocol: 17, source_port, target_port };
        let reply = Tuple {
            source: by,
            target: source,
            protocol: 17,
            source_port: by_port,
            target_port: source_port,
        };
        Flow { original, reply, zone: 0, name: Vec::new() }
    }

    #[test]
    fn what_another_permission_still_allows_goes_on() {
        let old = desired(STACK);
        let less = STACK.replace("  - { from: a, to: b, ports: [53/udp] }\n", "");
        let none = less.replace("  - { from: a, to: instance/db }\n", "").replace("allow:\n", "");
        let flow = |target: &str| udp("10.1.0.10:4000", target, target);
        let (less, none) = (desired(&less), desired(&none));
        assert!(!Stale::between(&old, Some(&less)).in_router(&flow("10.2.0.10:53")), "db is still open");
        assert!(Stale::between(&old, Some(&less)).in_router(&flow("10.2.0.99:53")), "others are not");
        assert!(Stale::between(&old, Some(&none)).in_router(&flow("10.2.0.10:53")));
        assert!(!Stale::between(&old, Some(&none)).in_router(&flow("192.0.2.1:53")), "egress is");
        assert!(Stale::between(&old, Some(&old)).nothing());
    }

    #[test]
    fn a_port_of_the_host_is_not_one_of_another_machine() {
        let old = desired(STACK);
        let gone = desired(&STACK.replace(", ports: [\"53:53/udp\"]", ""));
        let local = BTreeSet::from(["198.18.0.11".parse().unwrap()]);
        let router = old.leg.broadcast();
        for stale in [Stale::between(&old, Some(&gone)), Stale::between(&gone, Some(&old))] {
            let client = "198.18.0.99:4000";
            assert!(stale.on_host(&udp(client, "198.18.0.11:53", &format!("{router}:53")), &local));
            assert!(
                stale.on_host(&udp(client, "198.18.0.11:53", "198.18.0.11:53"), &local),
                "who asked in vain"
            );
            assert!(
                !stale.on_host(&udp("198.18.0.11:4000", "192.0.2.1:53", "192.0.2.1:53"), &local),
                "its resolver"
            );
            assert!(
                !stale.on_host(&udp(client, "198.18.0.11:53", "172.17.0.2:53"), &local),
                "somebody else's"
            );
            let zoned = Flow { zone: 7, ..udp(client, "198.18.0.11:53", "198.18.0.11:53") };
            assert!(!stale.on_host(&zoned, &local));
        }
    }
}

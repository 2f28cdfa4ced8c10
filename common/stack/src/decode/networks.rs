//! Networks and permissions.

use super::at::{At, string, truth};
use super::hosts::device;
use crate::model::{Allow, Network};
use crate::value::NetworkKind;
use crate::value::{Switch, Tunnel};
use crate::value::{Wrong, address, cidr, domain, port_spec, range, select};

const KINDS: [(&str, NetworkKind); 3] =
    [("overlay", NetworkKind::Overlay), ("macvlan", NetworkKind::Macvlan), ("vlan", NetworkKind::Vlan)];
const TUNNELS: [(&str, Tunnel); 2] = [("vxlan", Tunnel::Vxlan), ("gre", Tunnel::Gre)];
const SWITCHES: [(&str, Switch); 2] = [("bridge", Switch::Bridge), ("ovs", Switch::Ovs)];

/// A network: its CIDR alone, or a map.
pub(super) fn network(at: At<'_, '_>) -> Option<Network> {
    if at.node.text().is_some() {
        return Some(Network { cidr: at.parse(cidr), ..overlay() });
    }
    let Some(table) = at.table() else { return Some(overlay()) };
    let kind = table.get("type", |at| at.word(&KINDS)).unwrap_or(NetworkKind::Overlay);
    let network = Network {
        kind,
        cidr: match kind {
            NetworkKind::Overlay => table.need("cidr", |at| at.parse(cidr)),
            _ => table.get("cidr", |at| at.parse(cidr)),
        },
        gateway: table.get("gateway", string),
        gateway_address: table.get("gateway_address", |at| at.parse(address)),
        egress: table.get("egress", truth).unwrap_or(true),
        dhcp_range: table.get("dhcp_range", |at| at.parse(range)),
        range: table.get("range", |at| at.parse(range)),
        domain: table.get("domain", |at| at.parse(domain)),
        tunnel: table.get("tunnel", |at| at.word(&TUNNELS)).unwrap_or_default(),
        switch: table.get("switch", |at| at.word(&SWITCHES)).unwrap_or_default(),
        vni: table.get("vni", |at| at.number(1, 16_777_215)),
        parent: match kind {
            NetworkKind::Overlay => table.get("parent", |at| at.parse(device)),
            _ => table.need("parent", |at| at.parse(device)),
        },
        id: match kind {
            NetworkKind::Vlan => table.need("id", |at| at.number(1, 4094)),
            _ => table.get("id", |at| at.number(1, 4094)),
        }
        .and_then(|id| u16::try_from(id).ok()),
        flood: table.get("flood", truth).unwrap_or_default(),
    };
    table.get("cidr6", |at| {
        at.wrong(Wrong::new("`cidr6` is reserved for a later version", "stacks are IPv4 in this version"));
        Some(())
    });
    table.finish();
    Some(network)
}

/// An overlay network with default values.
pub(crate) fn overlay() -> Network {
    Network {
        kind: NetworkKind::Overlay,
        cidr: None,
        gateway: None,
        gateway_address: None,
        egress: true,
        dhcp_range: None,
        range: None,
        domain: None,
        tunnel: Tunnel::Vxlan,
        switch: Switch::Bridge,
        vni: None,
        parent: None,
        id: None,
        flood: false,
    }
}

/// A permission.
pub(super) fn allow(at: At<'_, '_>) -> Option<Allow> {
    let table = at.table()?;
    let allow = Allow {
        from: table.need("from", |at| at.many(|at| at.parse(select))).unwrap_or_default(),
        to: table.need("to", |at| at.many(|at| at.parse(select))).unwrap_or_default(),
        ports: table.get("ports", |at| at.many(|at| at.parse(port_spec))).unwrap_or_default(),
    };
    table.finish();
    Some(allow)
}

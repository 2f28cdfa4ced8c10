//! Routes of a host itself: those that overlap a network, and those used to answer a peer.

use super::PlanInput;
use crate::model::{Desired, Facts, Network};
use common::plan::Warning;
use common::tool::{Goal, Risk};
use common::{Failure, Kind};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// Failures and warnings.
pub(super) fn routes(input: &PlanInput, desired: &Desired, seen: &Facts) -> (Vec<Failure>, Vec<Warning>) {
    let (mut refused, mut warned) = (Vec::new(), strict(desired, seen));
    let meets = |a: &Ipv4Net, b: &Ipv4Net| a.contains(b) || b.contains(a);
    for network in &desired.networks {
        let Some(route) = seen.routes.iter().find(|r| meets(&network.cidr, r)) else { continue };
        let place = format!("networks.{}.cidr", network.name);
        let message = format!("{} overlaps the route {route} of the host", network.cidr);
        if goes_on(input, network, seen) {
            let then = "the network stays up, but cannot reach the destinations of that route";
            let message = format!("{}: {place}: {message}; {then}", desired.host);
            warned.push(Warning { code: "net.route".to_owned(), message });
            continue;
        }
        let failure = Failure::new(Kind::Data, "net.plan.route", message).at(place).on(&desired.host);
        refused.push(failure.hint(
            "choose addresses that no host routes elsewhere (`ip route show table all` on the host shows them), or use --allow-overlap",
        ));
    }
    (refused, warned)
}

/// A running network is not removed because a VPN was connected, also not at boot.
fn goes_on(input: &PlanInput, network: &Network, seen: &Facts) -> bool {
    let kept = seen.intent.iter().flat_map(|i| &i.desired.networks);
    let runs = |n: &Network| n.name == network.name && n.cidr == network.cidr;
    input.accepts(Risk::Overlap) || matches!(input.goal, Goal::Boot(_)) || kept.into_iter().any(runs)
}

/// Peers whose tunnel packets the kernel would drop, because replies to them use another interface.
fn strict(desired: &Desired, seen: &Facts) -> Vec<Warning> {
    let mesh = desired.networks.iter().any(|n| !n.tunnel.is_empty());
    let own = seen.addresses.iter().find(|(address, _)| *address == desired.address).map(|(_, link)| link);
    let Some(own) = own.filter(|own| mesh && seen.strict.contains(own)) else { return Vec::new() };
    let way = |to: Ipv4Addr| {
        let routes = seen.paths.iter().filter(|(net, _)| net.contains(&to));
        routes.max_by_key(|(net, _)| net.prefix_len()).map(|(_, link)| link)
    };
    let others = desired.hosts.iter().filter(|h| **h != desired.address);
    let away = others.filter_map(|peer| Some((peer, way(*peer).filter(|link| *link != own)?)));
    let tell = |(peer, link): (&Ipv4Addr, &String)| Warning {
        code: "net.rp_filter".to_owned(),
        message: format!(
            "{}: tunnel packets of {peer} received on {own} are dropped, since the route back uses {link} and rp_filter is strict: \
             sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{own}.rp_filter=2, or add a route to {peer} through {own}",
            desired.host
        ),
    };
    away.map(tell).collect()
}

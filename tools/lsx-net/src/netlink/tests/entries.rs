//! Addresses, routes, neighbours and forwarding rows against `ip` and `bridge`.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use serde_json::Value;

use super::{Host, bridge, mac, text, vxlan};
use crate::netlink::link::Vxlan;
use crate::netlink::neigh::{self, Forward, Scope};
use crate::netlink::route::{self, LSX_PROTOCOL, Route};
use crate::netlink::{Device, addr, link};

fn net(text: &str) -> Ipv4Net {
    text.parse().expect("a network")
}

/// A bridge (50) with a tunnel port (51).
fn host() -> Option<Host> {
    let mut host = Host::new()?;
    host.send_all(&[bridge("lsx0", 50).create(), Vxlan { master: Some(50), ..vxlan("vx0", 51, 5) }.create()]);
    Some(host)
}

fn find<'a>(list: &'a Value, key: &str, value: &str) -> Vec<&'a Value> {
    list.as_array().expect("a list").iter().filter(|row| row[key] == value).collect()
}

#[test]
fn addresses() {
    let Some(mut host) = host() else { return };
    let first = net("10.1.2.3/24");
    host.send_all(&[first, first, net("10.9.9.9/32")].map(|address| addr::replace(50, address)));
    let shown = host.json("ip -j -4 addr show dev lsx0")[0]["addr_info"].clone();
    let row = find(&shown, "local", "10.1.2.3")[0];
    assert_eq!(
        (&row["prefixlen"], &row["broadcast"], &row["scope"]),
        (&24.into(), &"10.1.2.255".into(), &"global".into())
    );
    assert!(find(&shown, "local", "10.9.9.9")[0].get("broadcast").is_none());
    let listed = addr::list(&mut host.socket).expect("addresses");
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&addr::Address { device: 50, address: first, global: true }));
}

#[test]
fn routes() {
    let Some(mut host) = host() else { return };
    assert_eq!(route::list(&mut host.socket), Ok(Vec::new()), "a new namespace has no main table");
    host.send(&addr::replace(50, net("10.1.2.3/24")));
    let gateway = Some(Ipv4Addr::new(10, 1, 2, 1));
    let far = Route { destination: net("10.8.0.0/16"), gateway, device: None };
    let near = Route { destination: net("10.7.0.0/16"), gateway: None, device: Some(50) };
    let default = Route { destination: net("0.0.0.0/0"), gateway, device: Some(50) };
    host.send_all(&[far.replace(), near.replace(), default.replace()]);

    let shown = host.json("ip -j -N route show table main");
    let row = find(&shown, "dst", "10.8.0.0/16")[0];
    assert_eq!((&row["gateway"], &row["dev"]), (&"10.1.2.1".into(), &"lsx0".into()));
    assert_eq!(row["protocol"], LSX_PROTOCOL.to_string());
    assert_eq!(find(&host.json("ip -j route"), "dst", "10.7.0.0/16")[0]["scope"], "link");
    assert_eq!(find(&shown, "dst", "default")[0]["gateway"], "10.1.2.1");

    host.run("ip route add 10.6.0.0/16 via 10.1.2.9 metric 5");
    let ours = route::ours(&mut host.socket).expect("routes");
    assert_eq!(ours.len(), 3);
    assert!(ours.iter().all(|entry| entry.protocol == LSX_PROTOCOL && entry.route.device == Some(50)));
    let all = route::list(&mut host.socket).expect("routes");
    assert_eq!(all.len(), 5);
    assert!(all.iter().any(|entry| entry.metric == 5 && entry.protocol == 3));

    let elsewhere = Route { gateway: Some(Ipv4Addr::new(10, 1, 2, 2)), ..far.clone() };
    host.send(&elsewhere.replace());
    assert_eq!(find(&host.json("ip -j route"), "dst", "10.8.0.0/16")[0]["gateway"], "10.1.2.2");
    host.send(&elsewhere.delete());
    assert!(host.socket.request(&elsewhere.delete()).expect_err("gone").missing());
    let foreign = Route { destination: net("10.6.0.0/16"), gateway: None, device: None };
    assert!(host.socket.request(&foreign.delete()).expect_err("not ours").missing());
    assert_eq!(route::list(&mut host.socket).expect("routes").len(), 4);
}

#[test]
fn neighbours() {
    let Some(mut host) = host() else { return };
    let address = Ipv4Addr::new(10, 1, 2, 4);
    host.send(&neigh::replace(50, address, mac(4, 4)));
    host.send(&neigh::replace(50, address, mac(4, 5)));
    let shown = host.json("ip -j neigh show dev lsx0");
    let row = find(&shown, "dst", "10.1.2.4")[0];
    assert_eq!((&row["lladdr"], &row["state"]), (&text(mac(4, 5)).into(), &serde_json::json!(["PERMANENT"])));
    let wanted = neigh::Neighbour { device: 50, address, mac: Some(mac(4, 5)), permanent: true };
    assert_eq!(neigh::list(&mut host.socket, Some(50)).as_deref(), Ok([wanted.clone()].as_slice()));
    assert_eq!(neigh::list(&mut host.socket, Some(51)), Ok(Vec::new()));
    assert!(neigh::list(&mut host.socket, None).expect("neighbours").contains(&wanted));
    host.send(&neigh::delete(50, address));
    assert!(host.socket.request(&neigh::delete(50, address)).expect_err("gone").missing());
}

#[test]
fn one_message_puts_an_address_in_both_tables() {
    let Some(mut host) = host() else { return };
    let (there, other) = (IpAddr::from([192, 0, 2, 9]), IpAddr::from([192, 0, 2, 10]));
    let far = mac(4, 7);
    host.send_all(&[neigh::forward(51, far, there), neigh::forward(51, far, there)]);
    let shown = host.json("bridge -j fdb show dev vx0");
    let rows = find(&shown, "mac", &text(far));
    assert_eq!(rows.len(), 2, "{rows:?}");
    let own = rows.iter().find(|row| row["dst"] == "192.0.2.9").expect("the tunnel's row");
    assert_eq!(own["flags"], serde_json::json!(["self"]));
    let table = rows.iter().find(|row| row["master"] == "lsx0").expect("the bridge's row");
    assert_eq!(table["state"], "static");

    host.send(&neigh::forward(51, far, other));
    let rows = |host: &mut Host, scope| {
        let mut rows = neigh::forwards(&mut host.socket, scope).expect("rows");
        rows.retain(|row| row.mac == far);
        rows
    };
    let row = Forward { device: 51, mac: far, remote: None, bridge: Some(50), fixed: true, own: false };
    let tunnel = Forward { remote: Some(other), bridge: None, ..row.clone() };
    for scope in [Scope::All, Scope::Device(51)] {
        assert_eq!(rows(&mut host, scope), [row.clone(), tunnel.clone()], "{scope:?}");
    }
    // Half removed, as after a crash: the other half is still removed.
    host.run(&format!("bridge fdb del {} dev vx0 master", text(far)));
    let verdicts = host.socket.batch(&neigh::delete_forward(51, far, other));
    assert!(verdicts[0].as_ref().is_err_and(super::super::NetlinkError::missing));
    assert_eq!(verdicts[1], Ok(()));
    assert_eq!(rows(&mut host, Scope::All), []);
}

#[test]
fn the_flood_list() {
    let Some(mut host) = host() else { return };
    let ends = [IpAddr::from([192, 0, 2, 9]), IpAddr::from([192, 0, 2, 10])];
    host.send_all(&ends.map(|end| neigh::flood_to(51, end)));
    host.send(&neigh::flood_to(51, ends[0]));
    let shown = host.json("bridge -j fdb show dev vx0");
    assert_eq!(find(&shown, "mac", "00:00:00:00:00:00").len(), 2);
    host.send(&neigh::delete_flood_to(51, ends[0]));
    let rows = neigh::forwards(&mut host.socket, Scope::Device(51)).expect("rows");
    let flood: Vec<_> = rows.iter().filter(|row| row.mac == [0; 6]).collect();
    assert_eq!(flood.iter().map(|row| row.remote).collect::<Vec<_>>(), [Some(ends[1])]);
    assert!(rows.iter().any(|row| row.own && row.mac == mac(2, 51)), "the port's own address");
}

#[test]
fn a_tunnel_end_may_be_ipv6() {
    let Some(mut host) = Host::new() else { return };
    let local = std::net::Ipv6Addr::LOCALHOST.into();
    host.send_all(&[
        bridge("lsx0", 50).create(),
        Vxlan { master: Some(50), local, ..vxlan("vx0", 51, 5) }.create(),
        neigh::forward(51, mac(4, 7), "2001:db8::9".parse().expect("an address")),
    ]);
    let rows = neigh::forwards(&mut host.socket, Scope::Device(51)).expect("rows");
    assert!(rows.iter().any(|row| row.remote == "2001:db8::9".parse().ok()));
    host.send(&link::delete(Device::Index(51)));
}

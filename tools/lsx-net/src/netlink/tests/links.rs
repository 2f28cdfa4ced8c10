//! Links: what is created is what `ip` and `bridge` show, and what the dump returns.

use std::num::NonZeroU32;

use super::{Host, bridge, mac, text, veth, vxlan};
use crate::netlink::link::{self, Change, PortFlags, Vxlan};
use crate::netlink::{Device, dump};

#[test]
fn a_bridge_is_made_as_asked() {
    let Some(mut host) = Host::new() else { return };
    host.send(&bridge("lsx0", 42).create());
    let shown = host.shown("lsx0");
    let data = &shown["linkinfo"]["info_data"];
    assert_eq!(shown["ifindex"], 42);
    assert_eq!(shown["address"], text(mac(1, 42)));
    assert_eq!(shown["mtu"], 1450);
    assert_eq!(shown["group"], "7");
    assert!(shown["flags"].as_array().expect("flags").iter().any(|flag| flag == "UP"));
    assert_eq!(data["forward_delay"], 0);
    assert_eq!(data["stp_state"], 0);
    assert_eq!(data["ageing_time"], 30_000);
    assert_eq!(data["mcast_snooping"], 0);

    let seen = dump::link(&mut host.socket, Device::Index(42)).expect("a look").expect("a link");
    assert_eq!((seen.name.as_str(), seen.kind.as_str(), seen.mtu, seen.group), ("lsx0", "bridge", 1450, 7));
    assert_eq!((seen.up, seen.mac, seen.master), (true, Some(mac(1, 42)), None));
    let state = seen.bridge.expect("a bridge");
    assert_eq!(
        (state.ageing, state.forward_delay, state.stp, state.multicast_snooping),
        (300, 0, false, false)
    );
}

#[test]
fn a_vxlan_is_made_in_its_bridge_by_one_message() {
    let Some(mut host) = Host::new() else { return };
    let tunnel = Vxlan { master: Some(50), ..vxlan("vx0", 51, 0x00ab_cdef) };
    host.send_all(&[bridge("lsx0", 50).create(), tunnel.create()]);
    let shown = host.shown("vx0");
    let data = &shown["linkinfo"]["info_data"];
    assert_eq!(shown["master"], "lsx0");
    assert_eq!(shown["mtu"], 1450);
    assert_eq!(shown["address"], text(mac(2, 51)));
    assert_eq!(data["id"], 0x00ab_cdef);
    assert_eq!(data["port"], 14_789);
    assert_eq!(data["local"], "192.0.2.1");
    assert_eq!(data["learning"], false);
    assert_eq!(data["ttl"], 64);
    assert!(shown["flags"].as_array().expect("flags").iter().any(|flag| flag == "UP"));
    assert_eq!(host.shown("lsx0")["mtu"], 1450);

    let seen = dump::link(&mut host.socket, Device::Name("vx0")).expect("a look").expect("a link");
    let state = seen.vxlan.expect("a vxlan");
    assert_eq!((seen.master, seen.lower), (Some(50), None));
    assert_eq!((state.vni, state.port, state.learning, state.ttl), (0x00ab_cdef, 14_789, false, 64));
    assert_eq!(state.local, Some([192, 0, 2, 1].into()));
}

#[test]
fn a_vxlan_knows_its_underlay_and_its_ipv6_source() {
    let Some(mut host) = Host::new() else { return };
    let local = std::net::Ipv6Addr::LOCALHOST.into();
    let tunnel = Vxlan { underlay: Some(50), local, ..vxlan("vx0", 51, 9) };
    host.send_all(&[bridge("under", 50).create(), tunnel.create()]);
    let data = host.shown("vx0")["linkinfo"]["info_data"].clone();
    assert_eq!(data["link"], "under");
    assert_eq!(data["local6"], "::1");
    let seen = dump::link(&mut host.socket, Device::Name("vx0")).expect("a look").expect("a link");
    let state = seen.vxlan.expect("a vxlan");
    assert_eq!((state.underlay, state.local), (Some(50), Some(local)));
}

#[test]
fn a_veth_has_its_far_end_in_the_other_namespace() {
    let (Some(mut host), Some(mut guest)) = (Host::new(), Host::new()) else { return };
    host.send(&bridge("lsx0", 50).create());
    let pair = link::Veth { master: Some(50), ..veth("v0", 1, "eth0", &guest.namespace) };
    host.send(&pair.create());
    let (near, far) = (host.shown("v0"), guest.shown("eth0"));
    assert_eq!((&near["master"], &near["mtu"]), (&"lsx0".into(), &1450.into()));
    assert_eq!((&near["address"], &far["address"]), (&text(mac(3, 1)).into(), &text(mac(4, 1)).into()));
    assert_eq!(far["mtu"], 1450);
    assert!(!far["flags"].as_array().expect("flags").iter().any(|flag| flag == "UP"));
    guest.up("eth0");
    assert!(guest.shown("eth0")["flags"].as_array().expect("flags").iter().any(|flag| flag == "UP"));

    let seen = dump::link(&mut host.socket, Device::Name("v0")).expect("a look").expect("a link");
    assert_eq!(seen.lower, Some(guest.index("eth0")));
    assert!(seen.peer_namespace.is_some());
    assert!(seen.port.is_some());
}

#[test]
fn marks_and_changes_are_what_ip_shows() {
    let Some(mut host) = Host::new() else { return };
    let long = format!("lsx:stack:{}", "x".repeat(117));
    host.send_all(&[
        bridge("lsx0", 50).create(),
        link::add_altname(Device::Index(50), "lsx:stack:net:bridge"),
        link::add_altname(Device::Name("lsx0"), &long),
        link::change(
            Device::Altname("lsx:stack:net:bridge"),
            &Change { alias: Some("for people"), ..Change::default() },
        ),
    ]);
    let shown = host.shown("lsx0");
    assert_eq!(shown["altnames"], serde_json::json!(["lsx:stack:net:bridge", long]));
    assert_eq!(shown["ifalias"], "for people");
    let seen = dump::link(&mut host.socket, Device::Altname(&long)).expect("a look").expect("a link");
    assert_eq!(
        (seen.altnames, seen.alias),
        (vec!["lsx:stack:net:bridge".to_owned(), long.clone()], "for people".to_owned())
    );

    let all = Change {
        up: Some(false),
        mtu: Some(1400),
        mac: Some(mac(9, 9)),
        alias: Some(""),
        group: Some(8),
        ..Change::default()
    };
    host.send_all(&[link::change(Device::Name("lsx0"), &all), link::rename(50, "lsx1")]);
    let shown = host.shown("lsx1");
    assert_eq!((&shown["mtu"], &shown["address"]), (&1400.into(), &text(mac(9, 9)).into()));
    assert_eq!((&shown["group"], &shown["operstate"]), (&"8".into(), &"DOWN".into()));
    assert!(shown.get("ifalias").is_none());
}

#[test]
fn a_port_joins_leaves_and_takes_flags() {
    let Some(mut host) = Host::new() else { return };
    host.send_all(&[bridge("lsx0", 50).create(), vxlan("vx0", 51, 5).create()]);
    let refused = host.socket.request(&PortFlags::ZERO_FLOOD.set(Device::Index(51))).expect_err("not a port");
    assert!(refused.unsupported(), "{refused}");

    let rest =
        PortFlags { isolated: Some(true), locked: Some(true), hairpin: Some(true), ..PortFlags::default() };
    host.send_all(&[
        link::change(Device::Name("vx0"), &Change { master: Some(50), ..Change::default() }),
        PortFlags::ZERO_FLOOD.set(Device::Name("vx0")),
        rest.set(Device::Index(51)),
    ]);
    let shown = host.json("bridge -j -d link show dev vx0")[0].clone();
    for (key, value) in [
        ("learning", false),
        ("flood", false),
        ("mcast_flood", false),
        ("bcast_flood", false),
        ("neigh_suppress", true),
        ("isolated", true),
        ("locked", true),
        ("hairpin", true),
    ] {
        assert_eq!(shown[key], value, "{key} in {shown}");
    }
    let seen = dump::link(&mut host.socket, Device::Name("vx0")).expect("a look").expect("a link");
    let wanted =
        PortFlags { isolated: Some(true), locked: Some(true), hairpin: Some(true), ..PortFlags::ZERO_FLOOD };
    assert_eq!(seen.port, Some(wanted));

    host.send(&link::change(Device::Name("vx0"), &Change { master: Some(0), ..Change::default() }));
    assert!(host.shown("vx0").get("master").is_none());
}

#[test]
fn links_go_one_by_one_and_by_group() {
    let (Some(mut host), Some(mut guest)) = (Host::new(), Host::new()) else { return };
    let foreign = link::Veth { group: 0, ..veth("other", 3, "eth9", &guest.namespace) };
    host.send_all(&[
        bridge("lsx0", 50).create(),
        bridge("lsx1", 51).create(),
        link::add_altname(Device::Index(51), "lsx:stack:net:bridge"),
        bridge("lsx2", 52).create(),
        veth("v0", 1, "eth0", &guest.namespace).create(),
        foreign.create(),
    ]);
    host.send_all(&[
        link::delete(Device::Name("lsx0")),
        link::delete(Device::Altname("lsx:stack:net:bridge")),
    ]);
    let group = NonZeroU32::new(7).expect("not zero");
    host.send(&link::delete_group(group));
    let names = |host: &mut Host| {
        dump::links(&mut host.socket).expect("links").into_iter().map(|link| link.name).collect::<Vec<_>>()
    };
    assert!(!names(&mut host).iter().any(|name| name.starts_with("lsx") || name == "v0"));
    assert!(names(&mut host).contains(&"other".to_owned()));
    assert!(!names(&mut guest).contains(&"eth0".to_owned()));
    assert!(host.socket.request(&link::delete_group(group)).expect_err("empty").missing());
}

#[test]
fn the_dump_shows_what_ip_shows() {
    let (Some(mut host), Some(guest)) = (Host::new(), Host::new()) else { return };
    host.send_all(&[
        bridge("lsx0", 50).create(),
        Vxlan { master: Some(50), ..vxlan("vx0", 51, 5) }.create(),
        veth("v0", 1, "eth0", &guest.namespace).create(),
    ]);
    let links = dump::links(&mut host.socket).expect("links");
    let shown = host.json("ip -j -d link");
    let shown = shown.as_array().expect("a list");
    assert_eq!(links.len(), shown.len());
    for (link, shown) in links.iter().zip(shown) {
        assert_eq!(shown["ifindex"], link.index);
        assert_eq!(shown["ifname"], link.name.as_str());
        assert_eq!(shown["mtu"], link.mtu);
        assert_eq!(shown["linkinfo"]["info_kind"].as_str().unwrap_or_default(), link.kind);
    }
}

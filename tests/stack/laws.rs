//! Properties of all stacks.

use crate::fixtures::cases;
use crate::{good, load, printed};
use common::stack::{ReadOptions, Resolved, Stack, read, resolve};
use lsx_tests::Dice;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// All good cases, read and resolved.
fn all() -> Vec<(String, Stack, Resolved)> {
    let cases = cases().into_iter().filter(|case| !case.name.starts_with("no-"));
    cases
        .map(|case| {
            let (stack, _, resolved) = load(&case.text, &case.options).unwrap();
            (case.name, stack, resolved)
        })
        .collect()
}

/// Instances in a network of a size; `skip` leaves one out.
fn many(prefix: u8, count: usize, skip: Option<usize>) -> String {
    let mut text = format!(
        "stack: t\nhosts: {{ h: 192.0.2.1 }}\nnetworks: {{ n: {{ cidr: 10.0.0.0/{prefix}, gateway: h }} }}\ninstances:\n"
    );
    for i in (0..count).filter(|i| Some(*i) != skip) {
        writeln!(text, "  i{i}: {{ networks: n }}").unwrap();
    }
    text
}

fn addresses(resolved: &Resolved) -> BTreeMap<String, String> {
    let nics =
        resolved.instances.iter().flat_map(|instance| instance.nics.iter().map(move |nic| (instance, nic)));
    nics.map(|(instance, nic)| (format!("{}.{}", instance.name, nic.network), nic.address.to_string()))
        .collect()
}

#[test]
fn the_same_twice() {
    for (name, stack, resolved) in all() {
        assert_eq!(resolve(&stack).unwrap(), resolved, "{name}");
    }
}

#[test]
fn what_is_written_reads_back_the_same() {
    for (name, stack, resolved) in all() {
        let text = serde_json::to_string(&stack).unwrap();
        let (again, warnings) =
            read(&text, &name, &ReadOptions::default()).unwrap_or_else(|f| panic!("{name}: {f}\n{text}"));
        assert_eq!(again, stack, "{name}");
        // Warnings about unsupported parts are repeated by every reader.
        assert!(warnings.iter().all(|w| w.code == "stack.unbuilt"), "{name}: {warnings:?}");
        // The printed document carries its lock, and the lock gives the same values.
        let (locked, kept) = good(&printed(&stack, &resolved));
        assert_eq!(kept, resolved, "{name}");
        assert_eq!(printed(&locked, &kept), printed(&stack, &resolved), "{name}");
        assert!(text.starts_with(r#"{"schema":"lsx.stack/1","stack":"#), "{name}: {text}");
        assert!(!text.contains(":null"), "{name}: {text}");
    }
}

#[test]
fn json_is_the_same_by_the_quick_way_and_as_yaml() {
    for (name, stack, resolved) in all() {
        let json = printed(&stack, &resolved);
        // A comment is no JSON, so the second text takes the parser of YAML.
        assert_eq!(good(&json), good(&format!("# as YAML\n{json}")), "{name}");
    }
}

#[test]
fn the_order_of_maps_means_nothing() {
    let mut dice = Dice(7);
    for (name, stack, resolved) in all() {
        let value = serde_json::to_value(&stack).unwrap();
        for _ in 0..8 {
            let (again, same) = good(&dice.reordered(&value).to_string());
            assert_eq!(printed(&again, &same), printed(&stack, &resolved), "{name}");
            assert_eq!((again, same), (stack.clone(), resolved.clone()), "{name}");
        }
    }
}

#[test]
fn a_new_entry_moves_no_other_where_there_is_room() {
    let (_, with) = good(&many(16, 300, None));
    let with = addresses(&with);
    for skip in (0..300).step_by(7) {
        let (_, without) = good(&many(16, 300, Some(skip)));
        for (name, address) in addresses(&without) {
            assert_eq!(with[&name], address, "{name} moved when i{skip} came");
        }
    }
}

/// In a crowded network the hashes of two collide: then at most a few change, and with a lock none.
#[test]
fn a_new_entry_moves_few_where_it_is_crowded_and_none_under_lock() {
    let (_, with) = good(&many(24, 200, None));
    let with = addresses(&with);
    let mut worst = 0;
    for skip in (0..200).step_by(11) {
        let (stack, without) = good(&many(24, 200, Some(skip)));
        let before = addresses(&without);
        worst = worst.max(before.iter().filter(|(name, address)| with[*name] != **address).count());
        let mut value = serde_json::to_value(&stack).unwrap();
        value["instances"][format!("i{skip}")] = serde_json::json!({ "networks": "n" });
        value["resolved"] = serde_json::to_value(&without).unwrap();
        let (_, locked) = good(&value.to_string());
        let locked = addresses(&locked);
        assert!(before.iter().all(|(name, address)| locked[name] == *address), "i{skip}");
        assert_eq!(locked.values().collect::<BTreeSet<_>>().len(), 200);
    }
    assert!(worst <= 40, "{worst} of 199 moved");
}

#[test]
fn another_name_makes_a_second_cloud() {
    for (name, stack, resolved) in all() {
        let mut value: Value = serde_json::from_str(&printed(&stack, &resolved)).unwrap();
        value["stack"] = "other".into();
        let (_, warnings, other) = load(&value.to_string(), &ReadOptions::default()).unwrap();
        assert_eq!(warnings[0].code, "stack.resolved.foreign", "{name}");
        let links = |r: &Resolved| -> BTreeSet<String> {
            let networks = r.networks.iter().flat_map(|n| {
                [n.bridge.clone(), n.tunnel.clone()]
                    .into_iter()
                    .chain(n.legs.iter().map(|leg| leg.link.clone()))
            });
            let nics = r.instances.iter().flat_map(|i| i.nics.iter().map(|nic| nic.link.clone()));
            let worlds = r.hosts.iter().map(|host| host.world_link.clone());
            networks.chain(nics).chain(worlds).filter(|link| !link.is_empty()).collect()
        };
        assert!(links(&resolved).is_disjoint(&links(&other)), "{name}");
        let vnis = |r: &Resolved| -> BTreeSet<u32> { r.networks.iter().map(|n| n.vni).collect() };
        let written: BTreeSet<u32> = stack.networks.values().filter_map(|n| n.vni).collect();
        assert!(vnis(&resolved).intersection(&vnis(&other)).all(|vni| written.contains(vni)), "{name}");
        assert!(stack.tunnel_port.is_some() || resolved.tunnel_port != other.tunnel_port, "{name}");
        assert_ne!(resolved.leg, other.leg, "{name}");
    }
}

#[test]
fn everything_fits_where_it_goes() {
    for (name, stack, resolved) in all() {
        let mut links = BTreeSet::new();
        for instance in &resolved.instances {
            for nic in &instance.nics {
                assert!(nic.link.len() <= 15 && links.insert(&nic.link), "{name}: {}", nic.link);
                assert!(nic.link.starts_with(&common::stack::link_prefix(
                    &stack.name,
                    common::stack::LinkKind::Instance
                )));
            }
        }
        for network in &resolved.networks {
            assert!((1..1 << 24).contains(&network.vni) && network.bridge.len() <= 15, "{name}");
            let here =
                resolved.instances.iter().flat_map(|i| &i.nics).filter(|nic| nic.network == network.name);
            let legs = network.legs.iter().map(|leg| (leg.address, leg.mac.clone()));
            let all: Vec<_> = here.map(|nic| (nic.address.addr(), nic.mac.clone())).chain(legs).collect();
            let macs: BTreeSet<_> = all.iter().map(|(_, mac)| mac).collect();
            assert_eq!(macs.len(), all.len(), "{name}");
            if let Some(cidr) = network.cidr {
                let addresses: BTreeSet<_> = all.iter().map(|(address, _)| address).collect();
                assert_eq!(addresses.len(), all.len(), "{name}");
                assert!(addresses.iter().all(|address| cidr.contains(*address)), "{name}");
            }
        }
        assert!(
            resolved.instances.iter().all(|i| i.nics.iter().filter(|nic| nic.gateway.is_some()).count() <= 1)
        );
    }
}

//! What holds for every document with the section `dns`.

use crate::{config, resolved};
use common::stack::{ReadOptions, read};
use domain::base::Name;
use domain::base::iana::{Rcode, Rtype};
use lsx_dns::zone::{Outcome, Tables};
use lsx_tests::entries;
use std::net::Ipv4Addr;

/// Stacks that serve names.
pub(crate) fn stacks() -> Vec<(String, String)> {
    let own = entries("tests/fixtures/stack").into_iter().map(|folder| folder.join("stack.yaml"));
    let golden = entries("tests/fixtures/dns").into_iter().map(|folder| folder.join("stack.yaml"));
    let shipped = entries("scripts/stacks").into_iter();
    let text =
        |path: std::path::PathBuf| Some((path.display().to_string(), std::fs::read_to_string(&path).ok()?));
    let all = own.chain(golden).chain(shipped).filter_map(text);
    let served = |text: &str| {
        let stack = read(text, "stack.yaml", &ReadOptions::default()).ok().map(|(stack, _)| stack);
        stack.is_some_and(|stack| stack.dns.is_some() && stack.networks.values().any(|n| n.gateway.is_some()))
    };
    let good: Vec<_> = all.filter(|(_, text)| served(text)).collect();
    assert!(good.len() >= 3, "{}", good.len());
    good
}

fn served(text: &str) -> Vec<String> {
    let (_, resolved) = resolved(text);
    let served = resolved.services.iter().filter(|at| at.tool == "dns" && at.port == 53);
    served.map(|at| at.host.clone()).collect()
}

/// An instance gets the address of a name exactly if the name's address is on one of its networks, or an `allow` leads there.
#[test]
fn every_instance_gets_its_own_names_from_every_server() {
    for (file, text) in stacks() {
        let (_, resolved) = resolved(&text);
        for host in served(&text) {
            let tables = Tables::new(&config(&text, &host), 1).unwrap();
            for at in &resolved.instances {
                for nic in at.nics.iter().filter(|nic| !nic.address.addr().is_unspecified()) {
                    let own = |address: Ipv4Addr| {
                        at.nics
                            .iter()
                            .any(|nic| nic.address.prefix_len() > 0 && nic.address.contains(&address))
                    };
                    for name in resolved.names.iter().filter(|name| own(name.address)) {
                        let asked = Name::vec_from_str(&name.name).unwrap();
                        let outcome = tables.answer(nic.address.addr(), &asked, Rtype::A, true);
                        let Outcome::Answer(answer) = outcome else {
                            panic!("{file}: {} is forwarded", name.name)
                        };
                        let has =
                            answer.records.iter().any(|r| r.data().to_string() == name.address.to_string());
                        assert!(
                            has && answer.own,
                            "{file}: {} asks {} for {}: {answer:?}",
                            at.name,
                            host,
                            name.name
                        );
                    }
                }
            }
        }
    }
}

/// A name that nobody may see is as absent as one that does not exist: the same code, the same SOA.
#[test]
fn hidden_names_look_like_missing_ones() {
    for (file, text) in stacks() {
        let (_, resolved) = resolved(&text);
        for host in served(&text) {
            let config = config(&text, &host);
            let tables = Tables::new(&config, 1).unwrap();
            for view in &config.views {
                let source = view.from[0].hosts().next().unwrap();
                for name in &resolved.names {
                    if view.reach.iter().any(|net| net.contains(&name.address)) {
                        continue;
                    }
                    let (first, rest) = name.name.split_once('.').unwrap();
                    let ask = |name: &str| {
                        tables.answer(source, &Name::vec_from_str(name).unwrap(), Rtype::A, true)
                    };
                    let Outcome::Answer(hidden) = ask(&name.name) else { panic!("{file}: {}", name.name) };
                    let seen = resolved.names.iter().any(|other| {
                        other.name == name.name && view.reach.iter().any(|net| net.contains(&other.address))
                    });
                    if !seen && hidden.code == Rcode::NXDOMAIN {
                        assert_eq!(
                            ask(&format!("{first}-x.{rest}")),
                            Outcome::Answer(hidden),
                            "{file}: {}",
                            name.name
                        );
                    }
                }
            }
        }
    }
}

//! LStacker's own example: the names and addresses the original wrote for it.

use crate::load;
use common::stack::ReadOptions;
use lsx_tests::top;

#[test]
fn names_and_addresses_are_the_originals() {
    let text = std::fs::read_to_string(top("tests/fixtures/stack/lstacker/stack.yaml")).unwrap();
    let (stack, warnings, resolved) = load(&text, &ReadOptions::default()).unwrap();
    let mut came: Vec<(String, String)> =
        resolved.names.iter().map(|name| (name.address.to_string(), name.name.clone())).collect();
    came.sort();
    assert_eq!(came, lsx_tests::lstackers_hosts());
    // The only mistake of the example is in its monitoring.
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].code, "lstacker.monitoring");
    let jump = &stack.instances["jump-box"];
    assert_eq!(jump.profiles, ["docker", "default"]);
    assert_eq!(jump.recipes, ["ubuntu-update", "haproxy"]);
    assert_eq!(stack.images[jump.image.as_ref().unwrap()].lxd.as_deref(), Some("ubuntu-daily:16.04"));
    assert_eq!(stack.defaults.env["http_proxy"], "http://172.0.0.84:3128/");
    assert!(stack.hosts["lxd1"].local && stack.hosts["lxd4"].ssh.as_deref() == Some("ubuntu@172.0.0.84"));
    assert!(resolved.networks.iter().all(|n| n.gateway.as_deref() == Some("lxd1")));
}

//! How many user and group ids an instance has.

use crate::host::Host;
use serde_json::json;

pub(crate) const CASES: &[crate::Case] =
    &[("an_instance_has_the_ids_it_asks_for", an_instance_has_the_ids_it_asks_for)];

fn an_instance_has_the_ids_it_asks_for(host: &Host) {
    host.script("$CLI profile create apart; $CLI profile set apart security.idmap.isolated true");
    let mut wanted = host.instance("wide");
    wanted["volumes"] =
        json!([{"name": "wide", "path": "/data", "read_only": false, "owner": "200000:70000"}]);
    let map = || {
        let pid = host.ok(&json!({"verb": "list"}))[0]["condition"]["pid"].as_u64().unwrap();
        let text = host.script(&format!("cat /proc/{pid}/uid_map"));
        text.split_whitespace().map(|n| n.parse::<u64>().unwrap()).collect::<Vec<_>>()
    };
    wanted["ids"] = json!(200_001);
    host.run(&wanted);
    let whose = ["stat", "-c", "%u %g", "/srv/far", "/data"];
    assert_eq!(host.exec("wide", &whose), "200000 70000\n200000 70000");
    assert!(map()[0] == 0 && map()[2] > 200_000, "{:?}", map());
    host.exec("wide", &["touch", "/data/mine"]);
    host.ok(&json!({"verb": "stop", "name": "wide"}));
    host.ok(&json!({"verb": "start", "instance": wanted}));
    assert_eq!(host.exec("wide", &whose), "200000 70000\n200000 70000");
    assert_eq!(host.exec("wide", &["stat", "-c", "%u", "/data/mine"]), "0");
    // A range of its own has the size that the document says. A volume that the kernel cannot map has the numbers of the old one.
    let mut after = wanted.clone();
    after["profiles"] = json!(["default", "apart"]);
    after["ids"] = json!(300_000);
    after["volumes"] = json!([]);
    host.ok(&json!({"verb": "update", "before": wanted, "instance": after}));
    host.ok(&json!({"verb": "stop", "name": "wide"}));
    host.ok(&json!({"verb": "start", "instance": after}));
    assert_eq!(map()[2], 300_000);
    assert_eq!(host.exec("wide", &["stat", "-c", "%u %g", "/srv/far"]), "200000 70000");
    host.ok(&json!({"verb": "remove", "name": "wide"}));
    // More than the server has.
    let mut all = host.instance("all");
    all["ids"] = json!(1_000_000_000);
    let failure = host.fails(&json!({"verb": "create", "instance": all}), "ct.lxd.ids");
    assert!(failure["hint"].as_str().unwrap().contains("/etc/subuid"), "{failure}");
    host.script("$CLI profile delete apart; rm -r /var/lib/lsx/volumes/s");
    host.clean("all");
}

//! A server of others is beside the gateway that does not keep the names.

use crate::pair::{both, logs, up, updated};
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[("every_gateway_transfers_zones", every_gateway_transfers_zones)];

/// BIND in bob's place, whose gateway is not the one that keeps the names.
const START: &str = r#"
rm -rf /tmp/bind; mkdir -p /tmp/bind; umask 77
{ cat /tmp/transfer.key
  printf 'options { directory "/tmp/bind"; listen-on { BOB; }; listen-on-v6 { none; }; pid-file none; session-keyfile none; recursion no; dnssec-validation no; allow-transfer { none; }; };\n'
  printf 'controls { };\nzone "internal" { type secondary; file "internal"; masterfile-format text; primaries { 10.157.0.1 key transfer; }; };\n'
} >/tmp/bind/named.conf
ip netns exec pair.bob named -g -c /tmp/bind/named.conf >/tmp/bind/log 2>&1 </dev/null & echo $! >/tmp/bind/pid
"#;

/// Knot there, after BIND.
const KNOT: &str = r#"
rm -rf /tmp/knot; mkdir -p /tmp/knot/db; umask 77
secret=$(sed -n 's/.*secret "\(.*\)".*/\1/p' /tmp/transfer.key)
cat >/tmp/knot/knot.conf <<END
server:
    rundir: /tmp/knot
    listen: BOB@53
database:
    storage: /tmp/knot/db
key:
  - id: transfer
    algorithm: hmac-sha256
    secret: "$secret"
remote:
  - id: lsx
    address: 10.157.0.1@53
    key: transfer
acl:
  - id: told
    address: 10.157.0.1
    key: transfer
    action: notify
zone:
  - domain: internal
    storage: /tmp/knot
    file: internal.zone
    master: lsx
    acl: told
END
ip netns exec pair.bob knotd -c /tmp/knot/knot.conf >/tmp/knot/log 2>&1 </dev/null & echo $! >/tmp/knot/pid
"#;

fn every_gateway_transfers_zones(lab: &Lab) {
    let pair = up(lab);
    let bob = lab.script(
        "h2",
        "ip -n pair.bob -j -4 address | jq -r '[.[].addr_info[] | select(.scope == \"global\")][0].local'",
    );
    let bob = bob.ok().stdout.trim().to_owned();
    let text = include_str!("pair.yaml")
        .replace("update:", &format!("transfer: {{ to: {bob}, key: tsig_transfer }}\n  update:"));
    let file = lab.file(
        "pair.yaml",
        &text.replace("tsig_desk: derive }", "tsig_desk: derive, tsig_transfer: derive }"),
    );
    pair.dns(&["up", &file]).ok();
    let key = pair.dns(&["key", "transfer", "--stack", &file]).ok().stdout;
    lab.exec_with("h2", &["bash", "-c", "umask 77; cat >/tmp/transfer.key"], key.as_bytes()).ok();
    updated(&pair, "ann", "update add first.internal 60 A 192.0.2.1");
    both(&pair, "first.internal", &["192.0.2.1"]);
    lab.exec("h2", &["bash", "-c", &START.replace("BOB", &bob)]).ok();
    let asked = |name: &str| format!("ip netns exec pair.bob dig @{bob} +tries=1 +time=2 +short {name}");
    let says = |name: &str, wanted: &str| {
        let there = until(60, || lab.script("h2", &asked(name)).stdout.trim() == wanted);
        let said = lab.script("h2", "tail -n 30 /tmp/bind/log /tmp/knot/log").stdout;
        assert!(there, "{name}: {said}\n{}", logs(&pair));
    };
    says("first.internal", "192.0.2.1");
    // It is told of a change that was made at the other gateway, long before it would ask.
    updated(&pair, "ann", "update add second.internal 60 A 192.0.2.2\nupdate delete first.internal");
    says("second.internal", "192.0.2.2");
    says("first.internal", "");
    let log = lab.script("h2", "cat /tmp/bind/log").stdout;
    assert!(log.contains("received notify for zone 'internal'"), "{log}");
    // What has changed since: the record of the zone four times, and the two names.
    assert!(log.contains("1 messages, 6 records"), "{log}");
    lab.script("h2", "kill $(cat /tmp/bind/pid)").ok();
    assert!(until(60, || lab.script("h2", "kill -0 $(cat /tmp/bind/pid)").code != 0));
    lab.exec("h2", &["bash", "-c", &KNOT.replace("BOB", &bob)]).ok();
    says("second.internal", "192.0.2.2");
    updated(&pair, "bob", "update add third.internal 60 A 192.0.2.3\nupdate delete second.internal");
    says("third.internal", "192.0.2.3");
    says("second.internal", "");
    let log = lab.script("h2", "cat /tmp/knot/log").stdout;
    assert!(log.contains("notify, incoming") && log.contains("IXFR, incoming"), "{log}");
    lab.script("h2", "kill $(cat /tmp/knot/pid)").ok();
    assert!(until(60, || lab.script("h2", "kill -0 $(cat /tmp/knot/pid)").code != 0));
    pair.down();
}

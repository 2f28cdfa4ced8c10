//! BIND and Knot transfer the zones that clients change.

use crate::office::Office;
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[("other_servers_transfer_zones", other_servers_transfer_zones)];

/// BIND in web's place, Knot in far's place: each has its own address there.
const START: &str = r#"
rm -rf /tmp/bind /tmp/knot; mkdir -p /tmp/bind /tmp/knot/db; umask 77
{ cat /tmp/transfer.key
  printf 'options { directory "/tmp/bind"; listen-on { %s; }; listen-on-v6 { none; }; pid-file none; session-keyfile none; recursion no; dnssec-validation no; allow-transfer { none; }; };\n' $WEB
  printf 'controls { };\nzone "internal" { type secondary; file "internal"; masterfile-format text; primaries { 10.150.0.1 key transfer; }; };\n'
} >/tmp/bind/named.conf
secret=$(sed -n 's/.*secret "\(.*\)".*/\1/p' /tmp/transfer.key)
cat >/tmp/knot/knot.conf <<KNOT
server:
    rundir: /tmp/knot
    listen: $FAR@53
database:
    storage: /tmp/knot/db
key:
  - id: transfer
    algorithm: hmac-sha256
    secret: "$secret"
remote:
  - id: lsx
    address: 10.151.0.1@53
    key: transfer
acl:
  - id: told
    address: 10.151.0.1
    key: transfer
    action: notify
zone:
  - domain: internal
    storage: /tmp/knot
    file: internal.zone
    master: lsx
    acl: told
KNOT
ip netns exec office.web named -g -c /tmp/bind/named.conf >/tmp/bind/log 2>&1 </dev/null & echo $! >/tmp/bind/pid
ip netns exec office.far knotd -c /tmp/knot/knot.conf >/tmp/knot/log 2>&1 </dev/null & echo $! >/tmp/knot/pid
"#;

fn other_servers_transfer_zones(lab: &Lab) {
    let office = Office::up(lab);
    let address = |space: &str| {
        let of = format!(
            "ip -n office.{space} -j -4 address | jq -r '[.[].addr_info[] | select(.scope == \"global\")][0].local'"
        );
        lab.script("h1", &of).ok().stdout.trim().to_owned()
    };
    let (web, far) = (address("web"), address("far"));
    let more = format!("transfer: {{ to: [{web}, {far}], key: tsig_transfer }}\n  update:");
    let text = include_str!("office.yaml").replace("update:", &more);
    let text = text.replace("tsig_desk: derive }", "tsig_desk: derive, tsig_transfer: derive }");
    let file = lab.file("office.yaml", &text);
    office.dns(&["up", &file]).ok();
    let (desk, key) = (office.key("desk"), office.key("transfer"));
    // Strangers and unsigned questions get nothing.
    for (space, words) in
        [("ann", format!("-k {key}")), ("web", String::new()), ("web", format!("-k {desk}"))]
    {
        let asked =
            format!("ip netns exec office.{space} dig @10.150.0.1 +tries=1 +time=5 {words} internal AXFR");
        let told = lab.script("h1", &format!("{asked} || true")).ok().stdout;
        assert!(told.contains("Transfer failed") && !told.contains("printer"), "{space} {words}: {told}");
    }
    office.updated(&desk, "update add first.internal 60 A 192.0.2.1");
    let whole = lab
        .script("h1", &format!("ip netns exec office.web dig @10.150.0.1 +time=5 -k {key} internal AXFR"))
        .ok()
        .stdout;
    for name in ["printer.internal.", "first.internal.", "www.front.internal.", "far.back.internal."] {
        assert!(whole.contains(name), "{name}: {whole}");
    }
    assert!(!whole.contains("WARNING") && whole.matches("IN\tSOA").count() == 2, "{whole}");
    lab.exec("h1", &["bash", "-c", &format!("WEB={web} FAR={far}\n{START}")]).ok();
    let says = |space: &str, at: &str, name: &str| {
        let asked = format!("ip netns exec office.{space} dig @{at} +tries=1 +time=2 +short {name}");
        lab.script("h1", &asked).stdout.trim().to_owned()
    };
    let both = |name: &str, wanted: &str| {
        until(60, || says("web", &web, name) == wanted && says("far", &far, name) == wanted)
    };
    let logs = || lab.script("h1", "tail -n 30 /tmp/bind/log /tmp/knot/log").stdout;
    assert!(both("first.internal", "192.0.2.1"), "{}", logs());
    // They are told of a change, and get what has changed since.
    office.updated(&desk, "update add second.internal 60 A 192.0.2.2\nupdate delete first.internal");
    assert!(both("second.internal", "192.0.2.2"), "{}", logs());
    assert!(both("first.internal", ""), "{}", logs());
    let serial = office.serial().to_string();
    assert!(until(60, || says("web", &web, "internal SOA").contains(&serial)), "{}", logs());
    let log = lab.script("h1", "cat /tmp/bind/log /tmp/knot/log").stdout;
    assert!(log.contains("IXFR, incoming"), "{log}");
    // Another document, and a worker that was killed: nothing is missed.
    let worker = office.recorded("pid");
    lab.script("h1", &format!("kill -9 {worker}")).ok();
    assert!(until(60, || office.recorded("pid") != worker && !office.short("printer.internal").is_empty()));
    let other = lab.file("office.yaml", &text.replace("192.0.2.40", "192.0.2.44"));
    office.dns(&["up", &other]).ok();
    assert!(both("printer.internal", "192.0.2.44"), "{}", logs());
    lab.script("h1", "kill $(cat /tmp/bind/pid /tmp/knot/pid)").ok();
    let gone = || lab.script("h1", "kill -0 $(cat /tmp/bind/pid) || kill -0 $(cat /tmp/knot/pid)").code != 0;
    assert!(until(60, gone));
    office.down();
}

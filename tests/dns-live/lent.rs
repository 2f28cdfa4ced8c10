//! Names of clients of DHCP at other gateways, and in transfers.

use crate::dhcp::machine;
use crate::town::{HOSTS, Town};
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[
    (
        "names_of_leases_are_on_every_gateway_and_in_transfers",
        names_of_leases_are_on_every_gateway_and_in_transfers,
    ),
    (
        "with_a_seed_leases_alone_are_shared_between_gateways",
        with_a_seed_leases_alone_are_shared_between_gateways,
    ),
];

const STACK: &str = include_str!("lent.yaml");
const KEY: &str = "/run/desk.key";
const NAME: &str = "laptop.back.internal";

/// What servers have logged, for messages of these tests.
fn logs(town: &Town<'_>) -> String {
    let tail = |host| town.lab.script(host, "tail -n 20 /var/lib/lsx/dns/leases/log/names/log").stdout;
    HOSTS.map(tail).concat()
}

/// What an instance gets, as soon as it is this.
#[track_caller]
fn gets(town: &Town<'_>, who: &str, words: &str, wanted: &[&str]) {
    let mut last = Vec::new();
    let there = until(60, || {
        last = town.short(who, words);
        last == wanted
    });
    assert!(there, "{who} {words}: {last:?}, not {wanted:?}\n{}", logs(town));
}

/// Whether the zones that other servers get from either gateway have a record, as soon as it is so.
#[track_caller]
fn transferred(town: &Town<'_>, zone: &str, record: &str, has: bool) {
    for who in ["ann", "bob"] {
        let mut last = String::new();
        let there = until(60, || {
            last = town.dig(who, &format!("+noall +answer AXFR {zone}"));
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            last.contains("SOA") && last.lines().any(|line| words(line) == record) == has
        });
        assert!(there, "{who}: {record} should be there: {has}\n{last}\n{}", logs(town));
    }
}

/// A client of DHCP that has a name until it is ended; its address.
fn client(town: &Town<'_>) -> String {
    let lab = town.lab;
    let set = "#!/bin/sh\ncase $1 in bound | renew) ip address replace $ip/24 dev $interface; ip route replace default via $router ;; esac\n";
    lab.script("h2", &format!("cat > /run/set.sh <<'END'\n{set}END\nchmod 755 /run/set.sh")).ok();
    machine(lab, "h2", "laptop", "back", "02:00:5e:00:53:61");
    begin(town);
    let mut address = Vec::new();
    let there = until(60, || {
        address = town.short("bob", NAME);
        address.len() == 1
    });
    assert!(there, "{}{}", lab.script("h2", "cat /run/laptop.log").stdout, logs(town));
    address.remove(0)
}

fn begin(town: &Town<'_>) {
    let client = "ip netns exec leases.laptop busybox udhcpc -i eth0 -f -R -t 8 -T 1 -s /run/set.sh -x hostname:laptop </dev/null >/run/laptop.log 2>&1 & echo $! >/run/laptop.pid";
    town.lab.exec("h2", &["bash", "-c", client]).ok();
}

/// The client gives its address back, and ends.
fn end(town: &Town<'_>) {
    town.lab.script("h2", "kill $(cat /run/laptop.pid)").ok();
    assert!(until(60, || town.lab.script("h2", "kill -0 $(cat /run/laptop.pid)").code != 0));
}

#[track_caller]
fn updated(town: &Town<'_>, from: &str, lines: &str) {
    let text = format!("server {}\n{lines}\nsend\n", town.resolver(from));
    let command = format!("ip netns exec leases.{from} nsupdate -t 30 -k {KEY}");
    let ran = town.lab.exec_with(town.host_of(from), &["bash", "-c", &command], text.as_bytes()).ok();
    assert!(ran.stderr.is_empty(), "{from} {lines}: {}\n{}", ran.stderr, logs(town));
}

fn names_of_leases_are_on_every_gateway_and_in_transfers(lab: &Lab) {
    lab.file("seed", "0123456789abcdef0123456789abcdef\n");
    let town = Town::of(lab, "leases", STACK);
    let key = town.dns(&["key", "desk", "--stack", &town.file]).ok().stdout;
    for host in HOSTS {
        lab.exec_with(host, &["bash", "-c", &format!("umask 77; cat >{KEY}")], key.as_bytes()).ok();
    }
    let at = client(&town);
    let (a, back) = (format!("{NAME}. 60 IN A {at}"), format!("-x {at}"));
    let reverse = at.rsplit('.').collect::<Vec<_>>().join(".");
    let ptr = format!("{reverse}.in-addr.arpa. 60 IN PTR {NAME}.");
    let there = |town: &Town<'_>| {
        for who in ["ann", "bob"] {
            gets(town, who, NAME, &[&at]);
            gets(town, who, &back, &[&format!("{NAME}.")]);
        }
        transferred(town, "internal", &a, true);
        transferred(town, "0.151.10.in-addr.arpa", &ptr, true);
    };
    there(&town);
    // Not for those who may not reach it, at either gateway.
    assert_eq!((town.short("eve", NAME), town.short("eve", &back)), (vec![], vec![]));
    assert_eq!(town.changes(&town.file), 0);
    town.dns(&["check", &town.file]).ok();
    // For a client of the document the name is free, and it takes it everywhere until it gives it back.
    updated(&town, "ann", &format!("prereq nxdomain {NAME}\nupdate add {NAME} 60 A 192.0.2.9"));
    for who in ["ann", "bob"] {
        gets(&town, who, NAME, &["192.0.2.9"]);
        gets(&town, who, &back, &[]);
    }
    transferred(&town, "internal", &a, false);
    updated(&town, "bob", &format!("update delete {NAME}"));
    there(&town);
    // So it is for the document.
    let own = town.changed("forward: []", "forward: []\n  records: { laptop.back: 192.0.2.8 }");
    assert!(town.changes(&own) > 0);
    gets(&town, "ann", NAME, &["192.0.2.8"]);
    gets(&town, "bob", NAME, &["192.0.2.8"]);
    transferred(&town, "internal", &a, false);
    assert!(town.changes(&town.changed("forward: []", "forward: []")) > 0);
    there(&town);
    // The server that keeps the names is gone meanwhile: a lease ends where it is, and elsewhere when that server is back.
    let both = format!("kill -9 {} {}", town.recorded("h1", "supervisor"), town.recorded("h1", "pid"));
    lab.script("h1", &both).ok();
    end(&town);
    gets(&town, "bob", NAME, &[]);
    gets(&town, "bob", &back, &[]);
    assert!(town.changes(&town.file) > 0);
    gone(&town, (&back, &a, &ptr));
    // It comes again, survives a kill of all workers, and ends everywhere.
    begin(&town);
    there(&town);
    for host in HOSTS {
        let worker = town.recorded(host, "pid");
        lab.script(host, &format!("kill -9 {worker}")).ok();
        assert!(until(60, || ![worker.as_str(), "null", ""].contains(&town.recorded(host, "pid").as_str())));
    }
    there(&town);
    end(&town);
    gone(&town, (&back, &a, &ptr));
    town.down();
}

/// Nobody has the name any more, nor gets it by a transfer.
#[track_caller]
fn gone(town: &Town<'_>, (back, a, ptr): (&str, &str, &str)) {
    for who in ["ann", "bob"] {
        gets(town, who, NAME, &[]);
        gets(town, who, back, &[]);
    }
    transferred(town, "internal", a, false);
    transferred(town, "0.151.10.in-addr.arpa", ptr, false);
}

fn with_a_seed_leases_alone_are_shared_between_gateways(lab: &Lab) {
    lab.file("seed", "0123456789abcdef0123456789abcdef\n");
    let (alone, _) = STACK.split_once("  transfer:").unwrap();
    let town = Town::of(lab, "leases", alone);
    let at = client(&town);
    gets(&town, "ann", NAME, &[&at]);
    gets(&town, "ann", &format!("-x {at}"), &[&format!("{NAME}.")]);
    let refused = town.dig("ann", "AXFR internal");
    assert!(!refused.contains(&at), "{refused}");
    town.dns(&["check", &town.file]).ok();
    end(&town);
    gets(&town, "ann", NAME, &[]);
    gets(&town, "ann", &format!("-x {at}"), &[]);
    town.down();
}

//! Names that clients of DHCP tell, and many clients.

use crate::dhcp::{dnsmasq, leases, machine, udhcpc, up};
use crate::town::Town;
use lsx_tests::lab::{Lab, until};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

pub(crate) const CASES: &[crate::Case] = &[
    ("clients_have_the_names_that_they_tell", clients_have_the_names_that_they_tell),
    (
        "a_client_that_is_ended_gives_its_address_and_name_back",
        a_client_that_is_ended_gives_its_address_and_name_back,
    ),
    ("a_thousand_clients_have_leases_and_names", a_thousand_clients_have_leases_and_names),
];

/// What an instance gets for a client's name or address, as soon as it is this.
#[track_caller]
fn gets(town: &Town<'_>, who: &str, words: &str, wanted: &[&str]) {
    let mut last = Vec::new();
    let there = until(60, || {
        last = town.short(who, words);
        last == wanted
    });
    assert!(there, "{who} {words}: {last:?}, not {wanted:?}");
}

fn clients_have_the_names_that_they_tell(lab: &Lab) {
    let town = up(lab);
    let tells = |host: &str, number: u8, hostname: &str| {
        let space = format!("m{number}");
        machine(lab, host, &space, "front", &format!("02:00:5e:00:53:{number:02x}"));
        let mut told = Default::default();
        // A server that was just started may not listen yet.
        assert!(until(60, || {
            told = udhcpc(lab, host, &space, &format!("-x {hostname}"));
            told.contains_key("ip")
        }));
        told["ip"].clone()
    };
    let laptop = tells("h2", 16, "hostname:Laptop");
    gets(&town, "ann", "laptop.front.internal", &[&laptop]);
    gets(&town, "ann", &format!("-x {laptop}"), &["laptop.front.internal."]);
    let whole = town.dig("ann", "laptop.front.internal");
    assert!(whole.contains(" aa ") && whole.contains("\t60\tIN\tA"), "{whole}");
    // Not for those who may not reach it.
    assert_eq!(town.short("bob", "laptop.front.internal"), [""; 0]);
    assert_eq!(town.short("bob", &format!("-x {laptop}")), [""; 0]);
    // The document knows nothing of it, so `query` compares nothing.
    let asked = town.dns(&["query", "laptop.front.internal", "--from", "ann", "--stack", &town.file]);
    let asked = asked.ok().json();
    assert_eq!((&asked["answer"]["records"][0]["data"], &asked["same"]), (&laptop.into(), &().into()));
    // Names of others, and those that would be dangerous: `wpad`, `localhost`, and bytes that are no name.
    let (ann, printer) = (town.address("ann.front.internal"), "10.150.0.150");
    let odd = ["hostname:ann", "hostname:printer", "hostname:wpad", "0x0c:613b7265626f6f74", "hostname:git"];
    let others: Vec<String> = (32..).zip(odd).map(|(number, told)| tells("h1", number, told)).collect();
    let last = tells("h1", 64, "hostname:last");
    gets(&town, "ann", "last.front.internal", &[&last]);
    gets(&town, "ann", "ann.front.internal", &[&ann]);
    gets(&town, "ann", "printer.front.internal", &[printer]);
    for other in &others {
        assert_eq!(town.short("ann", &format!("-x {other}")), [""; 0], "{other}");
    }
    for missing in ["wpad.front.internal", "git.front.internal"] {
        assert_eq!(town.short("ann", missing), [""; 0]);
    }
    // Killed: the worker, its supervisor, dnsmasq.
    let worker = town.recorded("h1", "pid");
    lab.script("h1", &format!("kill -9 {worker}")).ok();
    assert!(until(60, || town.recorded("h1", "pid") != worker));
    gets(&town, "ann", "last.front.internal", &[&last]);
    lab.script("h1", &format!("kill -9 {}", town.recorded("h1", "supervisor"))).ok();
    let alone = tells("h1", 65, "hostname:alone");
    gets(&town, "ann", "alone.front.internal", &[&alone]);
    let before = dnsmasq(lab);
    lab.script("h1", &format!("kill -9 {before}")).ok();
    gets(&town, "ann", "last.front.internal", &[&last]);
    assert!(until(60, || !["", before.as_str()].contains(&dnsmasq(lab).as_str())));
    let later = tells("h2", 66, "hostname:later");
    gets(&town, "ann", "later.front.internal", &[&later]);
    // Another document: the next worker has them at once.
    let file = town.changed("forward: []", "forward: []\n  ttl: 50s");
    assert!(town.changes(&file) > 0);
    assert_eq!(town.short("ann", "later.front.internal"), [later.as_str()]);
    town.down();
}

/// busybox's client gives its address back when it is ended; with -q it ends before it counts as bound, and sends nothing, also with -R.
/// Its script sets the address, as those of systems do.
fn a_client_that_is_ended_gives_its_address_and_name_back(lab: &Lab) {
    let town = up(lab);
    let set = "#!/bin/sh\ncase $1 in bound | renew) ip address replace $ip/24 dev $interface; ip route replace default via $router ;; esac\n";
    for (host, mac) in [("h1", "02:00:5e:00:53:50"), ("h2", "02:00:5e:00:53:51")] {
        lab.script(host, &format!("cat > /run/set.sh <<'END'\n{set}END\nchmod 755 /run/set.sh")).ok();
        machine(lab, host, "brief", "front", mac);
        let client = format!(
            "ip netns exec leases.brief busybox udhcpc -i eth0 -f -R -t 8 -T 1 -s /run/set.sh -x hostname:brief-{host} </dev/null >/run/brief.log 2>&1 & echo $! >/run/brief.pid"
        );
        lab.exec(host, &["bash", "-c", &client]).ok();
        let name = format!("brief-{host}.front.internal");
        let mut address = Vec::new();
        assert!(until(60, || {
            address = town.short("ann", &name);
            address.len() == 1
        }));
        assert!(leases(&town).iter().any(|lease| lease["address"] == address[0].as_str()), "{host}");
        lab.script(host, "kill $(cat /run/brief.pid)").ok();
        gets(&town, "ann", &name, &[]);
        gets(&town, "ann", &format!("-x {}", address[0]), &[]);
        assert!(leases(&town).iter().all(|lease| lease["address"] != address[0].as_str()), "{host}");
    }
    town.down();
}

/// Two networks with DHCP, for many clients.
const CROWD: &str = "
stack: leases
hosts: { h1: 198.18.0.11, h2: 198.18.0.12 }
networks:
  front: { cidr: 10.150.0.0/20, gateway: h1, dhcp_range: 10.150.8.0-10.150.15.250 }
  back: { cidr: 10.151.0.0/24, gateway: h1, dhcp_range: 10.151.0.100-10.151.0.199 }
instances:
  ann: { host: h2, networks: front }
  bob: { host: h1, networks: back }
dns:
  forward: []
  rate: 1000000
  dhcp: { front: { lease: 1h }, back: { lease: 1h } }
";
const MANY: usize = 1000;

fn a_thousand_clients_have_leases_and_names(lab: &Lab) {
    let town = Town::of(lab, "leases", CROWD);
    machine(lab, "h1", "crowd", "front", "02:00:5e:00:53:10");
    machine(lab, "h1", "twin", "back", "02:00:5e:00:53:11");
    lab.script("h1", "ip -n leases.crowd address add 10.150.7.1/20 dev eth0; ip -n leases.crowd route add default dev eth0").ok();
    let own = std::env::current_exe().unwrap();
    let all = format!("ip netns exec leases.crowd {} crowd {MANY}", own.display());
    let told = lab.script("h1", &all).ok().stdout;
    let given: BTreeSet<&str> = told.lines().collect();
    assert_eq!(given.len(), MANY, "{told}");
    // A client of the other network takes no name from one of this.
    crate::dhcp::script(lab);
    let twin = udhcpc(lab, "h1", "twin", "-x hostname:n1")["ip"].clone();
    gets(&town, "bob", "n1.back.internal", &[&twin]);
    let whole = |what: &str| {
        let held: Vec<_> = leases(&town).into_iter().filter(|lease| lease["network"] == "front").collect();
        let held: BTreeSet<String> = held.iter().map(|l| l["address"].as_str().unwrap().to_owned()).collect();
        assert_eq!(held, given.iter().map(|at| (*at).to_owned()).collect(), "{what}");
        let names: String = (0..MANY).map(|number| format!("n{number}.front.internal\n")).collect();
        lab.exec_with("h2", &["sh", "-c", "cat > /run/crowd"], names.as_bytes()).ok();
        let mut last = 0;
        let there = until(120, || {
            let all: BTreeSet<String> = town.short("ann", "-f /run/crowd").into_iter().collect();
            last = all.len();
            all.iter().map(String::as_str).eq(given.iter().copied())
        });
        assert!(there, "{what}: {last} names");
    };
    whole("at first");
    for (from, to, what) in [
        ("forward: []", "forward: []\n  ttl: 50s", "handed over"),
        ("front: { lease: 1h }", "front: { lease: 2h }", "restarted"),
    ] {
        let file = town.changed(from, to);
        assert!(town.changes(&file) > 0, "{what}");
        whole(what);
    }
    // A client that gives its address back has no name.
    let (seventh, n7) = (town.short("ann", "n7.front.internal").remove(0), "n7.front.internal");
    let back = format!("ip netns exec leases.crowd {} crowd 7 {seventh}", own.display());
    lab.script("h1", &back).ok();
    gets(&town, "ann", n7, &[]);
    gets(&town, "ann", &format!("-x {seventh}"), &[]);
    town.down();
}

/// A program of the tests: so many clients, one after the other, by one interface. Prints their addresses. With an address, the client
/// of this number gives it back.
pub(crate) fn crowd(args: &[String]) -> std::process::ExitCode {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 68)).unwrap();
    socket.set_broadcast(true).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let count: u32 = args[0].parse().unwrap();
    if let Some(address) = args.get(1) {
        let mut message = message(count, &[53, 1, 7, 54, 4, 10, 150, 0, 1]);
        message[12..16].copy_from_slice(&address.parse::<Ipv4Addr>().unwrap().octets());
        socket.send_to(&message, "10.150.0.1:67").unwrap();
        return std::process::ExitCode::SUCCESS;
    }
    for number in 0..count {
        let offer = exchange(&socket, number, &[53, 1, 1]);
        let (offered, server) = (address(&offer[16..20]), option(&offer, 54).unwrap());
        let mut wants = vec![53, 1, 3, 50, 4];
        wants.extend(offered.octets());
        wants.extend([54, 4]);
        wants.extend(server);
        let ack = exchange(&socket, number, &wants);
        assert_eq!((option(&ack, 53), address(&ack[16..20])), (Some(vec![5]), offered));
        println!("{offered}");
    }
    std::process::ExitCode::SUCCESS
}

fn address(bytes: &[u8]) -> Ipv4Addr {
    <[u8; 4]>::try_from(bytes).unwrap().into()
}

/// A message of a client (RFC 2131 2).
fn message(number: u32, options: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..4].copy_from_slice(&[1, 1, 6, 0]);
    message[4..8].copy_from_slice(&number.to_be_bytes());
    message[10] = 0x80; // replies to all
    message[28..30].copy_from_slice(&[2, 1]);
    message[30..34].copy_from_slice(&number.to_be_bytes());
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend(options);
    let name = format!("n{number}");
    message.extend([12, u8::try_from(name.len()).unwrap()]);
    message.extend(name.bytes());
    message.push(255);
    message
}

/// A message of a client, and the reply.
fn exchange(socket: &UdpSocket, number: u32, options: &[u8]) -> Vec<u8> {
    let message = message(number, options);
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        socket.send_to(&message, (Ipv4Addr::BROADCAST, 67)).unwrap();
        let mut reply = [0; 2048];
        while let Ok(length) = socket.recv(&mut reply) {
            if length > 240 && reply[4..8] == number.to_be_bytes() && reply[0] == 2 {
                let wanted = if options[2] == 1 { 2 } else { 5 };
                let reply = reply[..length].to_vec();
                if option(&reply, 53) == Some(vec![wanted]) {
                    return reply;
                }
            }
        }
    }
    panic!("client {number} got no reply");
}

fn option(message: &[u8], wanted: u8) -> Option<Vec<u8>> {
    let mut at = 240;
    while let [number, length, ..] = message.get(at..)? {
        if *number == 255 {
            return None;
        }
        let value = message.get(at + 2..at + 2 + usize::from(*length))?;
        if *number == wanted {
            return Some(value.to_vec());
        }
        at += 2 + value.len();
    }
    None
}

//! The metadata service, as instances ask it.

use crate::town::Town;
use lsx_tests::lab::{Lab, Ran, until};
use serde_json::Value;

pub(crate) const CASES: &[crate::Case] = &[
    ("instances_are_told_of_themselves_and_nobody_else", instances_are_told_of_themselves_and_nobody_else),
    ("tokens_are_of_one_instance", tokens_are_of_one_instance),
    ("hostile_clients_keep_nobody_from_being_told", hostile_clients_keep_nobody_from_being_told),
    (
        "after_kills_and_a_power_cut_instances_are_told_again",
        after_kills_and_a_power_cut_instances_are_told_again,
    ),
];

const URL: &str = "http://169.254.169.254";
const TOKEN: &str = "X-aws-ec2-metadata-token";
const USERS: &str = "#cloud-config\nusers:\n  - default\n  - name: clerk\n    ssh_authorized_keys: [ssh-ed25519 AAAAclerk clerk]\n";
const MORE: &str = "#cloud-config\nruncmd:\n  - [sh, -c, \"echo $(hostname) $(id -un clerk) > /ran\"]\n# marker-of-user-data\n";
const VENDOR: &str = "#cloud-config\nwrite_files:\n  - { path: /vendor, content: given }\n";
pub(crate) const KEY: &str = "ssh-ed25519 AAAAann ann";
/// A digest of user data has so many digits in an identity.
const DIGITS: usize = 16;

pub(crate) fn up(lab: &Lab) -> Town<'_> {
    for (name, text) in [("ann.yaml", USERS), ("more.yaml", MORE), ("vendor.yaml", VENDOR), ("ann.pub", KEY)]
    {
        lab.file(name, text);
    }
    Town::of(lab, "facts", include_str!("facts.yaml"))
}

/// What curl gets in the place of an instance; without an answer its exit code is not 0.
fn curl(town: &Town<'_>, name: &str, words: &str) -> Ran {
    let ask = format!("ip netns exec facts.{name} curl -sS --max-time 60 --connect-timeout 3 {words}");
    town.lab.script(town.host_of(name), &ask)
}

pub(crate) fn get(town: &Town<'_>, name: &str, path: &str) -> String {
    curl(town, name, &format!("-f {URL}{path}")).ok().stdout
}

/// The status of a request.
fn status(town: &Town<'_>, name: &str, words: &str) -> String {
    curl(town, name, &format!("-o /dev/null -w '%{{http_code}}' {words}")).stdout
}

/// The identity that follows from user data.
fn identity(town: &Town<'_>, name: &str, data: &str) -> String {
    let sum = town.lab.exec_with("h1", &["sha256sum"], data.as_bytes()).ok().stdout;
    format!("lsx-facts-{name}-{}", &sum[..DIGITS])
}

fn instances_are_told_of_themselves_and_nobody_else(lab: &Lab) {
    let town = up(lab);
    let own = identity(&town, "ann", &format!("{USERS}{MORE}"));
    assert_eq!(get(&town, "ann", "/latest/meta-data/instance-id"), own);
    assert_eq!(get(&town, "bob", "/latest/meta-data/instance-id"), "lsx-facts-bob");
    for number in ["1", "2"] {
        let name = format!("web-{number}");
        assert_eq!(get(&town, &name, "/2021-03-23/meta-data/instance-id/"), identity(&town, &name, MORE));
        let index = number.parse::<u32>().unwrap() - 1;
        assert_eq!(get(&town, &name, "/latest/meta-data/ami-launch-index"), index.to_string());
    }
    // The shape of EC2.
    assert!(get(&town, "ann", "/").lines().any(|line| line == "2009-04-04"));
    assert_eq!(get(&town, "ann", "/latest/"), "dynamic/\nmeta-data/\nuser-data");
    assert_eq!(get(&town, "ann", "/latest/user-data"), format!("{USERS}{MORE}"));
    assert_eq!(status(&town, "bob", &format!("{URL}/latest/user-data")), "404");
    assert_eq!(get(&town, "bob", "/latest/meta-data/local-hostname"), "robert.front.internal");
    assert_eq!(get(&town, "bob", "/latest/meta-data/placement/availability-zone"), "h1");
    assert_eq!(get(&town, "ann", "/latest/meta-data/public-keys/"), "0=key-0");
    assert_eq!(get(&town, "ann", "/latest/meta-data/public-keys/0/openssh-key"), KEY);
    let mac = lab.script("h2", "ip netns exec facts.ann cat /sys/class/net/eth0/address").ok().stdout;
    let path = format!("/latest/meta-data/network/interfaces/macs/{}/local-ipv4s", mac.trim());
    let address = town.address("ann.front.internal");
    assert_eq!(
        (get(&town, "ann", &path), get(&town, "ann", "/latest/meta-data/local-ipv4")),
        (address.clone(), address)
    );
    let document = get(&town, "ann", "/latest/dynamic/instance-identity/document");
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!((&document["instanceId"], &document["region"]), (&own.as_str().into(), &"facts".into()));
    // Those of NoCloud and LXD.
    let nocloud: Value = serde_json::from_str(&get(&town, "bob", "/nocloud/meta-data")).unwrap();
    assert_eq!(
        (&nocloud["instance-id"], &nocloud["local-hostname"]),
        (&"lsx-facts-bob".into(), &"robert".into())
    );
    assert_eq!(
        (get(&town, "bob", "/nocloud/user-data"), get(&town, "bob", "/nocloud/vendor-data")),
        (String::new(), VENDOR.to_owned())
    );
    let network: Value = serde_json::from_str(&get(&town, "ann", "/nocloud/network-config")).unwrap();
    assert_eq!(network["ethernets"]["eth0"]["match"]["macaddress"], mac.trim());
    assert_eq!(get(&town, "bob", "/1.0/meta-data"), "instance-id: lsx-facts-bob\nlocal-hostname: robert\n");
    assert_eq!(get(&town, "web-1", "/1.0/config/cloud-init.user-data"), MORE);
    strangers(lab, &town);
    // No document on a host has the data; the files of instances are for root alone.
    for host in crate::town::HOSTS {
        lab.script(host, "! grep -rs marker-of-user-data /etc/lsx /run/lsx /var/lib/lsx/dns").ok();
    }
    let modes = "stat -c %a $(grep -rl marker-of-user-data /var/lib/lsx/secrets/facts/dns) | sort -u";
    assert_eq!(lab.script("h1", modes).ok().stdout, "600\n");
    let plan = town.dns(&["plan", &town.file]).ok().stdout;
    assert!(!plan.contains("marker-of-user-data"));
    changed(&town, &own);
    town.down();
}

/// Requests that are refused, and sources that are not answered.
fn strangers(lab: &Lab, town: &Town<'_>) {
    let id = format!("{URL}/latest/meta-data/instance-id");
    for (words, code) in [
        (format!("-H 'X-Forwarded-For: 10.152.0.9' {id}"), "403"),
        (format!("-H 'Forwarded: for=10.152.0.9' {id}"), "403"),
        (format!("-H 'Host: rebound.example.org' {id}"), "421"),
        (format!("-X POST -d x=1 {id}"), "413"),
        (format!("-X DELETE {id}"), "405"),
        (format!("{URL}/latest/meta-data/iam/security-credentials/"), "404"),
        (format!("--path-as-is {URL}/latest/../../etc/passwd"), "404"),
        (format!("{URL}/1999-01-01/meta-data/"), "404"),
    ] {
        assert_eq!(status(town, "ann", &words), code, "{words}");
    }
    // An address of another instance, which the bridge does not let pass; the port behind the translation; another network.
    let bob = town.address("robert.front.internal");
    let add = format!("ip -n facts.ann addr add {bob}/32 dev eth0");
    lab.script("h2", &add).ok();
    let forged = curl(town, "ann", &format!("--interface {bob} {id}"));
    assert!(forged.code != 0 && forged.stdout.is_empty(), "{}", forged.stdout);
    lab.script("h2", &add.replace("addr add", "addr del")).ok();
    let inner = "ip netns exec lsx-facts ss -Hltn 'sport > :16000' | awk '{print $4; exit}'";
    let inner = lab.script("h1", inner).ok().stdout;
    assert!(inner.starts_with("10.152.0.1:"), "{inner}");
    assert_ne!(curl(town, "ann", &format!("http://{}/", inner.trim())).code, 0);
    assert_ne!(curl(town, "carl", &id).code, 0);
    // Nobody has the address.
    lab.script("h1", "! ip netns exec lsx-facts ip -j addr | grep 169.254.169.254").ok();
}

/// Other user data are those of another machine.
fn changed(town: &Town<'_>, own: &str) {
    let checked = town.dns(&["check", &town.file]).ok().json();
    let asked = |row: &&Value| row["server"] == "169.254.169.254:80" && row["answered"] == 1;
    assert_eq!(checked["rows"].as_array().unwrap().iter().filter(asked).count(), 4, "{checked}");
    let left = checked["rows"].as_array().unwrap().iter().find(|row| row["from"] == "dora").unwrap();
    assert_eq!(
        (&left["asked"], &left["why"]),
        (&0.into(), &"its default route is not by a network of `meta`".into())
    );
    let other = format!("{USERS}# another\n");
    town.lab.file("ann.yaml", &other);
    town.dns(&["check", &town.file]).exits(2).says("is told that it is");
    assert!(town.changes(&town.file) > 0);
    assert_eq!(get(town, "ann", "/latest/user-data"), format!("{other}{MORE}"));
    let now = get(town, "ann", "/latest/meta-data/instance-id");
    assert_eq!(now, identity(town, "ann", &format!("{other}{MORE}")));
    assert_ne!(now, own);
    assert_eq!(town.changes(&town.file), 0);
}

fn token(town: &Town<'_>, name: &str, seconds: &str) -> String {
    let ask = format!("-f -X PUT -H '{TOKEN}-ttl-seconds: {seconds}' {URL}/latest/api/token");
    curl(town, name, &ask).ok().stdout
}

fn tokens_are_of_one_instance(lab: &Lab) {
    let town = up(lab);
    let id = format!("{URL}/latest/meta-data/instance-id");
    let with = |name: &str, token: &str| status(&town, name, &format!("-H '{TOKEN}: {token}' {id}"));
    // Optional: without one, but not with a wrong one.
    let ann = token(&town, "ann", "600");
    assert_eq!([with("ann", &ann), with("bob", &ann), with("ann", "AAAA")], ["200", "401", "401"]);
    for seconds in ["0", "21601", "-1", "x", ""] {
        let ask = format!("-X PUT -H '{TOKEN}-ttl-seconds: {seconds}' {URL}/latest/api/token");
        assert_eq!(status(&town, "ann", &ask), "400", "{seconds}");
    }
    assert_eq!(status(&town, "ann", &format!("-X PUT {URL}/latest/api/token")), "400");
    // Required.
    let file = town.changed("tokens: optional", "tokens: required");
    assert!(town.changes(&file) > 0);
    assert_eq!(status(&town, "ann", &id), "401");
    let ann = token(&town, "ann", "21600");
    assert_eq!([with("ann", &ann), with("bob", &ann)], ["200", "401"]);
    assert_eq!(status(&town, "ann", &format!("{URL}/nocloud/user-data")), "401");
    town.dns(&["check", &file]).ok();
    town.down();
}

/// Connections that send half a request each, and then wait.
const MANY: &str = "import socket, sys, time
all = []
for i in range(700):
    s = socket.create_connection(('169.254.169.254', 80), 30)
    try: s.send(b'GET /latest/meta-data/')
    except OSError: pass
    all.append(s)
print('open', flush=True)
sys.stdin.read()";

fn hostile_clients_keep_nobody_from_being_told(lab: &Lab) {
    let town = up(lab);
    let id = "/latest/meta-data/instance-id";
    let told = get(&town, "ann", id);
    let process = town.recorded_of("h1", "meta", "pid");
    assert_ne!(process, "null");
    // Many connections, which are never finished.
    let mut many = lab.start("h1", &["ip", "netns", "exec", "facts.bob", "python3", "-uc", MANY]);
    let mut line = String::new();
    let mut said = std::io::BufReader::new(many.stdout.as_mut().unwrap());
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert_eq!(line, "open\n");
    assert_eq!(get(&town, "ann", id), told);
    drop(many.stdin.take());
    many.wait().unwrap();
    // Garbage, a head without an end, a body, and a target that is too long.
    let garbage = "head -c 200000 /dev/urandom | timeout 20 ip netns exec facts.bob nc -N 169.254.169.254 80 > /run/got || true; head -c 12 /run/got";
    let got = lab.script("h1", garbage).ok().stdout;
    assert!(got.is_empty() || got.starts_with("HTTP/1.1 4"), "{got}");
    let long = format!("-H \"x: $(head -c 9000 /dev/zero | tr '\\0' a)\" {URL}{id}");
    assert_eq!(status(&town, "bob", &long), "431");
    let pipelined = "printf 'GET /latest/meta-data/instance-id HTTP/1.1\\r\\n\\r\\nGET /latest/meta-data/mac HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n' | \
                     ip netns exec facts.bob nc 169.254.169.254 80 | grep -o 'HTTP/1.1 200' | wc -l";
    assert_eq!(lab.script("h1", pipelined).ok().stdout, "2\n");
    assert_eq!(get(&town, "ann", id), told);
    assert_eq!(town.recorded_of("h1", "meta", "pid"), process, "it is still the same process");
    town.down();
}

fn after_kills_and_a_power_cut_instances_are_told_again(lab: &Lab) {
    let town = up(lab);
    let told = || curl(&town, "ann", &format!("-f {URL}/latest/user-data")).stdout;
    let data = told();
    assert_eq!(data, format!("{USERS}{MORE}"));
    // The worker, which the supervisor starts again; then the supervisor, without which the worker serves on.
    lab.script("h1", &format!("kill -9 {}", town.recorded_of("h1", "meta", "pid"))).ok();
    assert!(until(60, || told() == data));
    lab.script("h1", &format!("kill -9 {}", town.recorded_of("h1", "meta", "supervisor"))).ok();
    assert_eq!(told(), data);
    assert_eq!(town.changes(&town.file), 1);
    assert_eq!(told(), data);
    for host in crate::town::HOSTS {
        lab.verb(&["kill", host]);
        lab.verb(&["boot", host, "--wait"]);
    }
    assert_eq!(town.changes(&town.file), 0, "{}", lab.script("h1", "cat /var/log/lsx-boot.log").stdout);
    town.attach();
    assert!(until(60, || told() == data));
    town.down();
    lab.script("h1", "! test -e /var/lib/lsx/secrets/facts").ok();
}

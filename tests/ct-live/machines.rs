//! Whole Debian systems ask lsx-dns: cloud-init sets them up by the metadata service, and systemd-resolved and glibc get their names
//! from the gateway.

use crate::cloud::Cloud;
use crate::shop::{ct, made};
use lsx_tests::lab::{finish, until};
use serde_json::Value;

pub(crate) const CASES: &[crate::Case] =
    &[("debians_systems_get_metadata_and_names", debians_systems_get_metadata_and_names)];

const IMAGE: &str = "mmdebstrap:bookworm?include=systemd-sysv,cloud-init,systemd-resolved,libnss-resolve,dbus,iproute2,openssh-server&slim=yes";

const STACK: &str = "stack: machines
hosts: { h1: { address: 198.18.0.11, ssh: root@198.18.0.11 }, h2: { address: 198.18.0.12, ssh: root@198.18.0.12 } }
networks: { front: { cidr: 10.246.0.0/24, gateway: h1 } }
instances:
  ann:
    image: resolved
    host: h2
    networks: front
    hostname: anns
    system: true
    command: [/sbin/init]
    cloud_init: user
    ssh_keys: key.pub
    files: { /etc/cloud/cloud.cfg.d/99-source.cfg: source, /etc/systemd/resolved.conf.d/probe.conf: resolved }
meta: { networks: front }
dns:
  forward: []
  records:
    printer: 192.0.2.40
    box.front: 192.0.2.41
    git: { cname: printer }
    six: { aaaa: \"2001:db8::6\" }
    many: { a: [MANY] }
";
/// Only the metadata service, not the seed that lsx-ct writes.
const SOURCE: &str = "datasource_list: [Ec2]
datasource: { Ec2: { strict_id: false, max_wait: 120, timeout: 30 } }
ssh_genkeytypes: []
";
const USER: &str = "#cloud-config
locale: false
users: [default, { name: clerk, ssh_authorized_keys: [ssh-ed25519 AAAAclerk clerk] }]
write_files: [{ path: /srv/told, content: \"by cloud-init\" }]
runcmd: [hostname >/srv/name, id -un clerk >/srv/clerk, touch /srv/done]
";
const KEY: &str = "ssh-ed25519 AAAAann ann";
/// Addresses of one name: they do not fit into a datagram.
const MANY: usize = 120;

fn debians_systems_get_metadata_and_names(cloud: &Cloud) {
    if !made(cloud, "resolved", IMAGE) {
        return;
    }
    let many: Vec<String> = (1..=MANY).map(|number| format!("192.0.2.{number}")).collect();
    for (name, text) in [
        ("source", SOURCE),
        ("user", USER),
        ("key.pub", KEY),
        ("resolved", "[Resolve]\nDNSSEC=allow-downgrade\n"),
        ("machines.yaml", &STACK.replace("MANY", &many.join(", "))),
    ] {
        cloud.lab.file(name, text);
    }
    let file = cloud.lab.folder.path().join("machines.yaml").display().to_string();
    let net = cloud.lab.net(&["up", &file]).ok().json();
    let address = net["resolved"]["instances"][0]["nics"][0]["address"].as_str().unwrap().to_owned();
    let address = address.split('/').next().unwrap();
    finish(&mut cloud.lab.tool(2, &["up", &file]), b"").ok();
    ct(cloud, &["up", &file]);
    is_set_up(cloud, address);
    resolved_gets_names(cloud, address);
    glibc_gets_names(cloud, address);
    finish(&mut cloud.lab.tool(2, &["check", &file]), b"").ok();
    finish(&mut cloud.lab.tool(2, &["down", &file]), b"").ok();
    cloud.end(&file);
}

/// What a script prints in the instance.
fn inside(cloud: &Cloud, script: &str) -> String {
    cloud.inside("h2", "machines/ann", script).ok().stdout.trim().to_owned()
}

/// cloud-init got everything from the metadata service, which `up` waited for.
fn is_set_up(cloud: &Cloud, address: &str) {
    let source = inside(cloud, "cat /var/lib/cloud/instance/datasource");
    assert!(source.starts_with("DataSourceEc2"), "{source}");
    for (script, wanted) in [
        ("cat /srv/told", "by cloud-init"),
        ("cat /srv/name /etc/hostname", "anns\nanns"),
        ("cat /srv/clerk", "clerk"),
        ("cat ~clerk/.ssh/authorized_keys", "ssh-ed25519 AAAAclerk clerk"),
        ("tail -n 1 ~debian/.ssh/authorized_keys", KEY),
        ("ls /srv/done", "/srv/done"),
    ] {
        assert_eq!(inside(cloud, script), wanted, "{script}");
    }
    let told: Value =
        serde_json::from_str(&inside(cloud, "cat /run/cloud-init/instance-data-sensitive.json")).unwrap();
    let data = &told["ds"]["meta-data"];
    assert_eq!(
        (&data["local-ipv4"], &data["hostname"]),
        (&address.into(), &"anns.front.internal".into()),
        "{data}"
    );
    let id = inside(cloud, "cat /var/lib/cloud/data/instance-id");
    assert!(id.starts_with("lsx-machines-ann-") && data["instance-id"] == id.as_str(), "{id} {data}");
    // The network is still as lsx made it.
    let addresses: Value = serde_json::from_str(&inside(cloud, "ip -j -4 address show eth0")).unwrap();
    assert_eq!(addresses[0]["addr_info"][0]["local"], address, "{addresses}");
}

/// By systemd-resolved, with its own cache and its probes of DNSSEC.
fn resolved_gets_names(cloud: &Cloud, address: &str) {
    let query = |words: &str| {
        let ran = cloud.inside("h2", "machines/ann", &format!("resolvectl --legend=no query {words} 2>&1"));
        (ran.code == 0, ran.stdout)
    };
    // The image's link to the file of resolved itself is gone: it asks whom lsx wrote down.
    let status = inside(cloud, "resolvectl status; ls -l /etc/resolv.conf; cat /etc/resolv.conf");
    assert!(status.contains("resolv.conf mode: foreign") && !status.contains("->"), "{status}");
    assert!(until(60, || query("printer.internal").0), "{}\n{status}", query("printer.internal").1);
    for (words, wanted) in [
        ("printer.internal", "192.0.2.40"),
        ("git.internal", "192.0.2.40"),
        ("six.internal", "2001:db8::6"),
        ("anns.front.internal", address),
        ("box.front.internal", "192.0.2.41"),
        ("many.internal", "192.0.2.120"),
        (address, "anns"),
    ] {
        let (found, said) = query(words);
        assert!(found && said.contains(wanted), "{words}: {said}\n{status}");
    }
    let (found, said) = query("nobody.internal");
    assert!(!found && said.contains("not found"), "{said}");
    let (found, said) = query("--type=MX printer.internal");
    assert!(!found && said.contains("does not have any RR"), "{said}");
    // No other server is asked for names of others, and that is an error, not a name that does not exist.
    let (found, said) = query("www.example.org");
    assert!(!found && !said.contains("not found"), "{said}");
    // Its stub says the same as the gateway, asked by dig.
    let pid = cloud.pid("h2", "machines/ann");
    let dig = |words: &str| cloud.lab.script("h2", &format!("nsenter -t {pid} -n dig {words}")).ok().stdout;
    assert_eq!(dig("@127.0.0.53 +short printer.internal"), "192.0.2.40\n");
    assert_eq!(dig("@127.0.0.53 +short many.internal").lines().count(), MANY);
    assert!(dig("@127.0.0.53 nobody.internal").contains("status: NXDOMAIN"));
    assert!(dig("@127.0.0.53 printer.internal MX").contains("status: NOERROR"));
}

/// By glibc itself, which reads what lsx wrote, and by way of resolved, as the image has it.
fn glibc_gets_names(cloud: &Cloud, address: &str) {
    let hosts = |words: &str| {
        let said = cloud.inside("h2", "machines/ann", &format!("getent {words}")).stdout;
        let first =
            said.lines().filter(|line| line.contains("STREAM")).filter_map(|line| line.split(' ').next());
        let mut all: Vec<String> = first.map(str::to_owned).collect();
        all.sort();
        all
    };
    for service in ["dns", "resolve"] {
        let ask = |words: &str| hosts(&format!("-s {service} {words}"));
        assert_eq!(ask("ahostsv4 printer.internal"), ["192.0.2.40"], "{service}");
        assert_eq!(ask("ahostsv4 git.internal"), ["192.0.2.40"], "{service}");
        assert_eq!(ask("ahosts six.internal"), ["2001:db8::6"], "{service}");
        assert_eq!(ask("ahostsv4 box"), ["192.0.2.41"], "{service}: by the search list");
        assert_eq!(ask("ahostsv4 many.internal").len(), MANY, "{service}: by TCP");
        for none in ["nobody", "nobody.internal", "printer.local"] {
            assert!(ask(&format!("ahosts {none}")).is_empty(), "{service} {none}");
        }
        let back = inside(cloud, &format!("getent -s {service} hosts {address}"));
        assert!(back.contains("anns"), "{service}: {back}");
    }
    assert_eq!(hosts("ahostsv4 printer.internal"), ["192.0.2.40"]);
}

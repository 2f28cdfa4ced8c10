//! `boot.once`: a machine boots by the network once, whatever is killed meanwhile, until it is asked again.

use crate::boot::{STACK, VOLUME, files, told};
use crate::dhcp::{dnsmasq, machine, script, udhcpc};
use crate::town::Town;
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[
    ("a_machine_boots_once_until_it_is_asked_again", a_machine_boots_once_until_it_is_asked_again),
    ("no_kill_lets_a_machine_boot_twice_or_not_at_all", no_kill_lets_a_machine_boot_twice_or_not_at_all),
    (
        "a_machine_boots_by_the_network_and_then_from_its_disk",
        a_machine_boots_by_the_network_and_then_from_its_disk,
    ),
];

pub(crate) const MAC: &str = "02:00:5e:00:53:20";
const PRINTER: &str = "02:00:5e:00:53:01";

pub(crate) fn up(lab: &Lab) -> Town<'_> {
    files(lab);
    let text = STACK.replace("boot: { volume: boot,", "boot: { once: true, volume: boot,").replace(
        "front: { lease: 1h }",
        "front: { lease: 1h, reserve: { printer: { mac: \"02:00:5e:00:53:01\", address: 10.150.0.150 } } }",
    );
    let town = Town::of(lab, "leases", text.leak());
    script(lab);
    for (name, mac) in [("pxe", MAC), ("printer", PRINTER)] {
        machine(lab, "h1", name, "front", mac);
        let ip = udhcpc(lab, "h1", name, "")["ip"].clone();
        lab.script("h1", &format!("ip -n leases.{name} address add {ip}/24 dev eth0")).ok();
    }
    town
}

/// The file that firmware (or iPXE) of a machine is told.
fn file(lab: &Lab, name: &str, more: &str) -> String {
    told(lab, name, more).0
}

const BIOS: &str = "-x 0x5d:0000";
const IPXE: &str = "-x 0x5d:0000 -x 0xaf:010101";

/// What a machine gets by a URL; empty if it is refused.
pub(crate) fn got(lab: &Lab, name: &str, url: &str) -> String {
    let get = format!(
        "cd /tmp; rm -f got; ip netns exec leases.{name} curl -fsS --max-time 60 -o got {url} >&2; cat got"
    );
    lab.script("h1", &get).stdout
}

pub(crate) const TFTP: &str = "tftp://10.150.0.1";
pub(crate) const HTTP: &str = "http://10.150.0.1";

pub(crate) fn machines(town: &Town<'_>, more: &[&str]) -> serde_json::Value {
    town.dns(&[&["boot"], more, &["--stack", &town.file]].concat()).ok().json()["machines"].clone()
}

pub(crate) fn of<'v>(all: &'v serde_json::Value, mac: &str) -> &'v serde_json::Value {
    let all = all.as_array().unwrap();
    all.iter().find(|one| one["mac"] == mac).unwrap_or_else(|| panic!("{all:?}"))
}

fn a_machine_boots_once_until_it_is_asked_again(lab: &Lab) {
    let town = up(lab);
    assert_eq!(file(lab, "pxe", BIOS), "pxe/bios.0");
    let fresh = machines(&town, &[]);
    assert_eq!(
        (&of(&fresh, PRINTER)["boots"], &of(&fresh, PRINTER)["name"]),
        (&true.into(), &"printer".into())
    );
    // Neither a part of it nor its size is a boot.
    lab.script("h1", &format!("ip netns exec leases.pxe curl -fsSI {HTTP}/pxe/bios.0")).ok();
    lab.script("h1", &format!("ip netns exec leases.pxe curl -fsS -r 0-2 {HTTP}/pxe/bios.0")).ok();
    let part = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'\\0\\1pxe/x64.efi\\0octet\\0', ('10.150.0.1', 69)); s.recv(600)";
    lab.script("h1", &format!("ip netns exec leases.pxe python3 -c \"{part}\"")).ok();
    // The file of the firmware, then that of iPXE; whatever the volume has besides them, always.
    assert_eq!(got(lab, "pxe", &format!("{TFTP}/pxe/bios.0")), "first");
    assert!(until(60, || file(lab, "pxe", BIOS).is_empty()));
    for url in [TFTP, HTTP] {
        for name in ["pxe/bios.0", "pxe/x64.efi", "pxe/./bios.0"] {
            assert_eq!(got(lab, "pxe", &format!("{url}/{name}")), "", "{url} {name}");
        }
    }
    assert_eq!(file(lab, "pxe", IPXE), "menu.ipxe");
    assert_eq!(got(lab, "pxe", &format!("{HTTP}/menu.ipxe")), "menu");
    assert!(until(60, || file(lab, "pxe", IPXE).is_empty()));
    assert_eq!(got(lab, "pxe", &format!("{TFTP}/menu.ipxe")), "");
    lab.script("h1", &format!("printf more >{VOLUME}/more")).ok();
    assert_eq!(got(lab, "pxe", &format!("{TFTP}/more")), "more");
    // By HTTP alike, and for a machine with a reserved address, which it keeps.
    let firmware = "-V HTTPClient:Arch:00016:UNDI:003001 -x 0x5d:0010";
    assert_eq!(file(lab, "printer", firmware), format!("{HTTP}/pxe/x64.efi"));
    assert_eq!(got(lab, "printer", &format!("{HTTP}/menu.ipxe")), "menu");
    assert!(until(60, || file(lab, "printer", firmware).is_empty()));
    let printer = udhcpc(lab, "h1", "printer", firmware);
    assert_eq!((printer["ip"].as_str(), printer.get("vendor")), ("10.150.0.150", None));
    assert_eq!(got(lab, "printer", &format!("{HTTP}/pxe/x64.efi")), "");
    // The tool and the disk say the same.
    let all = machines(&town, &[]);
    for mac in [MAC, PRINTER] {
        assert!(of(&all, mac)["boots"] == false && of(&all, mac)["firmware_at"].is_string(), "{all}");
    }
    let journal = "cat /var/lib/lsx/dns/leases/data/boot/journal";
    assert_eq!(lab.script("h1", journal).ok().stdout.matches("booted").count(), 4);
    let table = town.dns(&["boot", "--stack", &town.file, "--table"]).ok().stdout;
    assert!(table.contains("printer") && table.contains(" no "), "{table}");
    // Asked again, by its address or its name: once more.
    let again = machines(&town, &[MAC, "printer"]);
    for (name, mac) in [("pxe", MAC), ("printer", PRINTER)] {
        assert!(of(&again, mac)["boots"] == true && of(&again, mac)["asked_at"].is_string(), "{again}");
        assert!(until(20, || file(lab, name, BIOS) == "pxe/bios.0"));
        assert_eq!(got(lab, name, &format!("{TFTP}/pxe/bios.0")), "first");
        assert!(until(60, || file(lab, name, BIOS).is_empty()));
        assert_eq!(got(lab, name, &format!("{HTTP}/pxe/bios.0")), "");
    }
    assert_eq!(town.changes(&town.file), 0);
    wrong(&town);
    lab.script("h1", &format!("rm -r {VOLUME}")).ok();
    town.down();
}

fn wrong(town: &Town<'_>) {
    let boot = |machine: &str, file: &str| town.dns(&["boot", machine, "--stack", file]);
    assert!(boot("printr", &town.file).exits(64).stderr.contains("printer"));
    boot("02:00:5e:00:53", &town.file).exits(64);
    boot("02:00:5e:00:53:zz", &town.file).exits(64);
    boot("", &town.file).exits(64);
    let always = town.changed("once: true, ", "");
    assert!(boot(MAC, &always).exits(64).stderr.contains("once: true"));
}

/// Gets the large boot file slowly by TFTP, and says when it has half of it, and all.
const SLOW: &str = "import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20)
s.sendto(b'\\0\\1pxe/x64.efi\\0octet\\0', ('10.150.0.1', 69))
want = 1
while True:
    try: data, peer = s.recvfrom(600)
    except (socket.timeout, ConnectionRefusedError): print('lost', flush=True); sys.exit()
    if data[:2] == b'\\0\\5': print('refused', flush=True); sys.exit()
    if struct.unpack('>H', data[2:4])[0] != want: continue
    if want == 200:
        print('half', flush=True); sys.stdin.readline()
    if len(data) < 516: break
    s.sendto(b'\\0\\4' + data[2:4], peer); want += 1
print('whole', flush=True)
sys.stdin.readline()
s.sendto(b'\\0\\4' + data[2:4], peer)
";

fn no_kill_lets_a_machine_boot_twice_or_not_at_all(lab: &Lab) {
    let town = up(lab);
    let client = || {
        let mut client = lab.start("h1", &["ip", "netns", "exec", "leases.pxe", "python3", "-uc", SLOW]);
        let said = std::io::BufReader::new(client.stdout.take().unwrap());
        (client, said)
    };
    let line = |said: &mut dyn std::io::BufRead| {
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        line.trim().to_owned()
    };
    let kill = |service: &str, which: &str| {
        let process = town.recorded_of("h1", service, which);
        lab.script("h1", &format!("kill -9 {process}")).ok();
        assert!(until(60, || ![process.as_str(), "null", ""]
            .contains(&town.recorded_of("h1", service, which).as_str())));
    };
    let efi = "-x 0x5d:0007";
    // In the middle of the file: it has not booted.
    let (mut first, mut said) = client();
    assert_eq!(line(&mut said), "half");
    kill("boot", "pid");
    drop(first.stdin.take());
    first.wait().unwrap();
    assert_eq!(file(lab, "pxe", efi), "pxe/x64.efi");
    assert!(of(&machines(&town, &[MAC]), MAC)["boots"] == true);
    // With all bytes, and before the client has said so: it has booted, and no second one gets it meanwhile.
    let ((mut first, mut said), (mut second, mut other)) = (client(), client());
    assert_eq!((line(&mut said).as_str(), line(&mut other).as_str()), ("half", "half"));
    std::io::Write::write_all(first.stdin.as_mut().unwrap(), b"\n").unwrap();
    assert_eq!(line(&mut said), "whole");
    std::io::Write::write_all(second.stdin.as_mut().unwrap(), b"\n").unwrap();
    assert_eq!(line(&mut other), "refused");
    second.wait().unwrap();
    kill("boot", "pid");
    drop(first.stdin.take());
    first.wait().unwrap();
    assert!(until(60, || file(lab, "pxe", efi).is_empty()));
    let refused = || {
        got(lab, "pxe", &format!("{TFTP}/pxe/x64.efi")).is_empty()
            && got(lab, "pxe", &format!("{HTTP}/pxe/bios.0")).is_empty()
    };
    let more = || !got(lab, "pxe", &format!("{TFTP}/hidden")).is_empty();
    lab.script("h1", &format!("chmod 644 {VOLUME}/hidden")).ok();
    assert!(until(60, more) && refused());
    // dnsmasq, both supervisors, and all of them.
    let before = dnsmasq(lab);
    lab.script("h1", &format!("kill -9 {before}")).ok();
    assert!(until(60, || !["", before.as_str()].contains(&dnsmasq(lab).as_str())));
    let not_told = || !udhcpc(lab, "h1", "pxe", "").is_empty() && file(lab, "pxe", efi).is_empty();
    assert!(until(60, not_told));
    let all = ["boot", "dhcp"].map(|service| town.recorded_of("h1", service, "supervisor")).join(" ");
    lab.script("h1", &format!("kill -9 {all} {}", town.recorded_of("h1", "boot", "pid"))).ok();
    assert!(town.changes(&town.file) > 0);
    assert!(until(60, not_told) && refused() && more());
    // It is asked, and everything is killed again.
    assert!(of(&machines(&town, &[MAC]), MAC)["boots"] == true);
    kill("boot", "pid");
    lab.script("h1", &format!("kill -9 {}", dnsmasq(lab))).ok();
    assert!(until(60, || file(lab, "pxe", efi) == "pxe/x64.efi"));
    assert!(until(60, || got(lab, "pxe", &format!("{TFTP}/pxe/bios.0")) == "first") && refused());
    lab.script("h1", &format!("rm -r {VOLUME}")).ok();
    town.down();
}

/// A sector that writes DISK to the first serial line, and halts.
const DISK: &str = "printf '\\272\\370\\003\\260D\\356\\260I\\356\\260S\\356\\260K\\356\\260\\n\\356\\364\\353\\375' >/run/disk
truncate -s 510 /run/disk; printf '\\125\\252' >>/run/disk; truncate -s 1M /run/disk";

fn a_machine_boots_by_the_network_and_then_from_its_disk(lab: &Lab) {
    let kernel = lsx_tests::top("target/vm/vmlinuz");
    if !kernel.exists() {
        eprintln!(
            "SKIPPED: dns-live a_machine_boots_by_the_network_and_then_from_its_disk: no kernel; scripts/setup --tests"
        );
        return;
    }
    let town = up(lab);
    crate::boot::bootable(lab, &kernel);
    lab.script("h1", DISK).ok();
    let disk = "-drive file=/run/disk,format=raw,if=virtio";
    let mut vm = crate::boot::Vm::start(lab, disk);
    vm.says("Linux version");
    vm.end();
    assert!(of(&machines(&town, &[]), "02:00:5e:00:53:21")["boots"] == false);
    let mut vm = crate::boot::Vm::start(lab, disk);
    let said = vm.says("DISK");
    assert!(!said.contains("Linux version"), "{said}");
    vm.end();
    lab.script("h1", &format!("ip link del tapvm; rm -r {VOLUME} /run/disk")).ok();
    town.down();
}

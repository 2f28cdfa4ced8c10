//! Machines that boot by the network: what DHCP tells them, what TFTP gives, and a virtual machine that boots so.

use crate::dhcp::{machine, script, udhcpc};
use crate::town::Town;
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[
    ("machines_get_the_file_of_their_kind", machines_get_the_file_of_their_kind),
    ("a_machine_boots_by_dhcp_and_tftp", a_machine_boots_by_dhcp_and_tftp),
];

pub(crate) const STACK: &str = "
stack: leases
hosts: { h1: 198.18.0.11, h2: 198.18.0.12 }
networks:
  front: { cidr: 10.150.0.0/24, gateway: h1, dhcp_range: 10.150.0.100-10.150.0.199 }
  back: { cidr: 10.151.0.0/24, gateway: h1 }
instances:
  ann: { host: h2, networks: front }
  bob: { host: h1, networks: back }
store: { volumes: { boot: { host: h1 } } }
dns:
  forward: []
  dhcp: { front: { lease: 1h } }
  boot: { volume: boot, files: { bios: pxe/bios.0, uefi: pxe/x64.efi, uefi32: pxe/x32.efi, arm64: pxe/arm.efi, ipxe: menu.ipxe } }
";
/// The volume, which lsx-ct would make.
pub(crate) const VOLUME: &str = "/var/lib/lsx/volumes/leases/boot";

/// Makes the volume.
pub(crate) fn files(lab: &Lab) {
    let files = format!(
        "mkdir -p {VOLUME}/pxe; cd {VOLUME}; printf first >pxe/bios.0; head -c 200000 /dev/urandom >pxe/x64.efi; cp pxe/bios.0 pxe/x32.efi; cp pxe/bios.0 pxe/arm.efi; printf menu >menu.ipxe
         echo secret >/etc/secret; ln -sfn /etc/secret link; ln -sfn pxe inner; ln -sfn /etc out; printf hidden >hidden; chmod 600 hidden"
    );
    lab.script("h1", &files).ok();
}

pub(crate) fn up(lab: &Lab) -> Town<'_> {
    files(lab);
    let town = Town::of(lab, "leases", STACK);
    script(lab);
    town
}

/// The boot file and the server that a client of this architecture is told (RFC 4578 2.1).
pub(crate) fn told(lab: &Lab, space: &str, more: &str) -> (String, String) {
    let told = udhcpc(lab, "h1", space, &format!("-O bootfile -O tftp {more}"));
    let of = |keys: &[&str]| keys.iter().find_map(|key| told.get(*key)).cloned().unwrap_or_default();
    (of(&["boot_file", "bootfile"]), of(&["siaddr", "tftp"]))
}

fn machines_get_the_file_of_their_kind(lab: &Lab) {
    let town = up(lab);
    machine(lab, "h1", "pxe", "front", "02:00:5e:00:53:20");
    for (more, file) in [
        ("-x 0x5d:0000", "pxe/bios.0"),
        ("-x 0x5d:0006", "pxe/x32.efi"),
        ("-x 0x5d:0007", "pxe/x64.efi"),
        ("-x 0x5d:0009", "pxe/x64.efi"),
        ("-x 0x5d:000b", "pxe/arm.efi"),
        ("-x 0x5d:0000 -x 0xaf:010101", "menu.ipxe"),
        ("-x 0x5d:0007 -x 0xaf:010101", "menu.ipxe"),
        ("", ""),
        ("-x 0x5d:000f", ""),
    ] {
        let (told, server) = told(lab, "pxe", more);
        assert_eq!(told, file, "{more}");
        assert!(file.is_empty() || server == "10.150.0.1", "{more}: {server}");
    }
    // Three clients of TFTP; files of the volume alone.
    let ip = udhcpc(lab, "h1", "pxe", "")["ip"].clone();
    lab.script("h1", &format!("ip -n leases.pxe address add {ip}/24 dev eth0")).ok();
    let inside = |command: &str| {
        lab.script("h1", &format!("cd /tmp; rm -f got; ip netns exec leases.pxe {command} >&2; cat got"))
    };
    let clients = |file: &str| {
        [
            format!("timeout 60 tftp -m binary 10.150.0.1 -c get {file} got"),
            format!("timeout 60 atftp --option 'blksize 1400' -g -r {file} -l got 10.150.0.1"),
            format!("timeout 60 curl -sS -o got tftp://10.150.0.1/{file}"),
        ]
    };
    for client in clients("pxe/bios.0") {
        assert_eq!(inside(&client).ok().stdout, "first", "{client}");
    }
    let same = lab.script("h1", &format!("cd /tmp; ip netns exec leases.pxe curl -sS -o got tftp://10.150.0.1/pxe/x64.efi; cmp got {VOLUME}/pxe/x64.efi"));
    same.ok();
    for wrong in
        ["link", "inner/bios.0", "out/secret", "hidden", "../etc/secret", "/etc/secret", "pxe", "none"]
    {
        for client in clients(wrong) {
            let got = inside(&client).stdout;
            assert!(
                !got.contains("secret") && !got.contains("hidden") && !got.contains("first"),
                "{client}: {got}"
            );
        }
    }
    // It writes nothing, and answers nobody of another network.
    lab.script("h1", "cd /tmp; echo evil >evil; ip netns exec leases.pxe timeout 20 tftp 10.150.0.1 -c put evil pxe/evil || true").ok();
    lab.script("h1", &format!("! test -e {VOLUME}/pxe/evil && ! test -e {VOLUME}/evil")).ok();
    let other = "cd /tmp; rm -f got; ip netns exec leases.bob timeout 5 curl -sS -o got tftp://10.151.0.1/pxe/bios.0 || true; ! test -s got";
    lab.script("h1", other).ok();
    // A changed file needs no change of the stack.
    lab.script("h1", &format!("printf second >{VOLUME}/pxe/bios.0")).ok();
    assert_eq!(inside(&clients("pxe/bios.0")[2]).ok().stdout, "second");
    // Killed, it serves again, and with a volume that was made anew. No mount of it is seen.
    lab.script("h1", &format!("kill -9 {}", town.recorded_of("h1", "boot", "pid"))).ok();
    assert!(until(60, || inside(&clients("pxe/bios.0")[2]).stdout == "second"));
    lab.script("h1", &format!("mv {VOLUME} {VOLUME}.old; sleep 2; cp -a {VOLUME}.old {VOLUME}; printf third >{VOLUME}/pxe/bios.0; rm -r {VOLUME}.old")).ok();
    assert!(until(60, || inside(&clients("pxe/bios.0")[2]).stdout == "third"));
    lab.script("h1", &format!("! grep {VOLUME} /proc/mounts")).ok();
    assert_eq!(town.changes(&town.file), 0);
    refused(&town);
    lab.script("h1", &format!("rm -r {VOLUME}")).ok();
    town.down();
}

fn refused(town: &Town<'_>) {
    let far = town.changed("boot: { host: h1 }", "boot: { host: h2 }");
    assert!(town.dns(&["plan", &far]).exits(65).stderr.contains("is on h2"));
}

fn a_machine_boots_by_dhcp_and_tftp(lab: &Lab) {
    let kernel = lsx_tests::top("target/vm/vmlinuz");
    if !kernel.exists() {
        eprintln!("SKIPPED: dns-live a_machine_boots_by_dhcp_and_tftp: no kernel; scripts/setup --tests");
        return;
    }
    let town = up(lab);
    bootable(lab, &kernel);
    let mut vm = Vm::start(lab, "");
    vm.says("Linux version");
    vm.end();
    lab.script("h1", &format!("ip link del tapvm; rm -r {VOLUME}")).ok();
    town.down();
}

/// A menu that boots a kernel, and an interface for a virtual machine.
pub(crate) fn bootable(lab: &Lab, kernel: &std::path::Path) {
    let menu = "#!ipxe\\nkernel linux console=ttyS0 panic=-1 || shell\\nboot\\n";
    let put =
        format!("printf '{menu}' >{VOLUME}/menu.ipxe; cp KERNEL {VOLUME}/linux; chmod 644 {VOLUME}/linux");
    let kernel = kernel.canonicalize().unwrap();
    lab.script("h1", &put.replace("KERNEL", &kernel.display().to_string())).ok();
    plugged(lab);
}

/// An interface for a virtual machine.
pub(crate) fn plugged(lab: &Lab) {
    let tap =
        "b=$(ip -j link | jq -r '.[] | select(.altnames // [] | index(\"lsx:leases:front:bridge\")).ifname')
         mkdir -p /dev/net; test -e /dev/net/tun || mknod /dev/net/tun c 10 200
         ip tuntap add tapvm mode tap && ip link set tapvm master $b up";
    lab.script("h1", tap).ok();
}

/// A virtual machine on `tapvm`.
pub(crate) struct Vm<'l>(&'l Lab);

impl<'l> Vm<'l> {
    /// Starts it, with further arguments of QEMU.
    pub(crate) fn start(lab: &'l Lab, more: &str) -> Vm<'l> {
        let start = format!(
            "rm -f /tmp/console
             timeout 600 qemu-system-x86_64 -accel tcg -m 512 -nodefaults -no-user-config -no-reboot -display none -serial file:/tmp/console \
             -boot order=nc {more} -netdev tap,id=n,ifname=tapvm,script=no,downscript=no -device virtio-net-pci,netdev=n,mac=02:00:5e:00:53:21 \
             >/tmp/qemu 2>&1 </dev/null & echo $! >/tmp/qemu.pid"
        );
        lab.script("h1", &start).ok();
        Vm(lab)
    }

    /// Waits until it says something; everything that it has said then.
    pub(crate) fn says(&mut self, what: &str) -> String {
        let said = || self.0.script("h1", "cat /tmp/console /tmp/qemu").stdout;
        assert!(until(500, || said().contains(what)), "{what}: {}", said());
        said()
    }

    /// Switches it off.
    pub(crate) fn end(&mut self) {
        self.0.script("h1", "kill $(cat /tmp/qemu.pid) || true").ok();
        assert!(until(60, || self.0.script("h1", "! kill -0 $(cat /tmp/qemu.pid)").code == 0));
    }
}

//! Boot files by HTTP and TFTP, as firmware, curl and hostile clients ask for them.

use crate::boot::{VOLUME, Vm, plugged, told, up};
use crate::dhcp::{machine, udhcpc};
use crate::town::Town;
use lsx_tests::lab::Lab;

pub(crate) const CASES: &[crate::Case] = &[
    ("boot_files_by_http", boot_files_by_http),
    ("boot_files_by_tftp_on_terms", boot_files_by_tftp_on_terms),
    ("uefi_firmware_boots_by_http", uefi_firmware_boots_by_http),
];

/// A machine with an address, whose namespace is `leases.pxe`.
fn addressed(lab: &Lab) {
    machine(lab, "h1", "pxe", "front", "02:00:5e:00:53:20");
    let ip = udhcpc(lab, "h1", "pxe", "")["ip"].clone();
    lab.script("h1", &format!("ip -n leases.pxe address add {ip}/24 dev eth0")).ok();
}

fn boot_files_by_http(lab: &Lab) {
    let town = up(lab);
    addressed(lab);
    // Firmware that boots by HTTP is told a URL, and that the server means it.
    for (arch, file) in
        [("0010", "pxe/x64.efi"), ("000f", "pxe/x32.efi"), ("0013", "pxe/arm.efi"), ("0014", "pxe/bios.0")]
    {
        let client = format!("-V HTTPClient:Arch:00016:UNDI:003001 -x 0x5d:{arch}");
        let told = udhcpc(lab, "h1", "pxe", &format!("-O bootfile -O 60 {client}"));
        let url = ["bootfile", "boot_file"].iter().find_map(|key| told.get(*key)).cloned();
        assert_eq!(url, Some(format!("http://10.150.0.1/{file}")), "{arch} {told:?}");
        assert_eq!(told.get("vendor").map(String::as_str), Some("HTTPClient"), "{told:?}");
    }
    // Others are not: with the architecture alone, or without one that has a file.
    for more in ["-x 0x5d:0010", "-V HTTPClient:Arch:00018 -x 0x5d:0012"] {
        let (url, _) = told(lab, "pxe", more);
        assert_eq!(url, "", "{more}");
    }
    let curl = |more: &str| {
        lab.script("h1", &format!("ip netns exec leases.pxe curl -sS --max-time 20 --path-as-is -o /run/got -w '%{{http_code}} %{{content_type}} %{{size_download}}' {more}"))
    };
    let status = |more: &str| curl(more).ok().stdout;
    let url = "http://10.150.0.1";
    assert_eq!(status(&format!("{url}/pxe/x64.efi")), "200 application/efi 200000");
    lab.script("h1", &format!("cmp /run/got {VOLUME}/pxe/x64.efi")).ok();
    assert_eq!(status(&format!("-I {url}/pxe/bios.0")), "200 application/octet-stream 0");
    assert!(lab.script("h1", "cat /run/got").stdout.to_lowercase().contains("content-length: 5\r"));
    assert_eq!(status(&format!("-r 199990- {url}/pxe/x64.efi")), "206 application/efi 10");
    lab.script("h1", &format!("tail -c 10 {VOLUME}/pxe/x64.efi | cmp /run/got -")).ok();
    assert_eq!(status(&format!("-r 5- {url}/pxe/bios.0")), "416 text/plain 20");
    assert_eq!(status(&format!("{url}//pxe/./%62ios.0?x=1")), "200 application/octet-stream 5");
    for (path, code) in [
        ("/link", "403"),
        ("/inner/bios.0", "403"),
        ("/out/secret", "403"),
        ("/hidden", "403"),
        ("/../etc/secret", "403"),
        ("/%2e%2e/etc/secret", "403"),
        ("/pxe/..%2f..%2fhidden", "403"),
        ("/etc/secret", "404"),
        ("/pxe", "404"),
        ("/pxe/", "404"),
        ("/", "404"),
        ("/pxe/bios.0%00", "403"),
        ("/pxe/bios.0%0", "400"),
    ] {
        let got = status(&format!("{url}{path}"));
        assert!(got.starts_with(code), "{path}: {got}");
        assert!(!lab.script("h1", "cat /run/got").stdout.contains("hidden"), "{path}");
    }
    assert!(status(&format!("-X PUT -d x {url}/pxe/bios.0")).starts_with("413"));
    assert!(status(&format!("-X DELETE {url}/pxe/bios.0")).starts_with("405"));
    assert!(status(&format!("{url}/$(head -c 3000 /dev/zero | tr '\\0' a)")).starts_with("403"));
    assert!(status(&format!("{url}/$(head -c 9000 /dev/zero | tr '\\0' a)")).starts_with("431"));
    hostile(lab, &town);
    // Nobody of another network gets anything.
    let other = "ip netns exec leases.bob curl -s --max-time 5 http://10.151.0.1/pxe/bios.0 || ip netns exec leases.bob curl -s --max-time 5 http://10.150.0.1/pxe/bios.0 || echo none";
    assert_eq!(lab.script("h1", other).ok().stdout, "none\n");
    assert_eq!(town.changes(&town.file), 0);
    lab.script("h1", &format!("rm -r {VOLUME}")).ok();
    town.down();
}

/// Clients that take all places, one that never reads, and one that sends garbage: others get their files, from the same process.
fn hostile(lab: &Lab, town: &Town<'_>) {
    let process = town.recorded_of("h1", "boot", "pid");
    lab.script("h1", &format!("head -c 40000000 /dev/zero >{VOLUME}/large")).ok();
    let many = "import socket, sys
all = []
for i in range(700):
    s = socket.create_connection(('10.150.0.1', 80), 30)
    try: s.send(b'GET /large HTTP/1.1\\r\\n\\r\\n' if i % 2 else b'GET /pxe')
    except OSError: pass
    all.append(s)
print('open', flush=True)
sys.stdin.read()";
    let mut client = lab.start("h1", &["ip", "netns", "exec", "leases.pxe", "python3", "-uc", many]);
    let mut line = String::new();
    let mut said = std::io::BufReader::new(client.stdout.as_mut().unwrap());
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert_eq!(line, "open\n");
    let ann = "ip netns exec leases.ann curl -sS --max-time 20 http://10.150.0.1/pxe/bios.0";
    assert_eq!(lab.script("h2", ann).ok().stdout, "first");
    drop(client.stdin.take());
    client.wait().unwrap();
    let garbage = "head -c 200000 /dev/urandom | timeout 20 ip netns exec leases.pxe nc -N 10.150.0.1 80 > /run/got || true; head -c 12 /run/got";
    let got = lab.script("h1", garbage).ok().stdout;
    assert!(got.is_empty() || got.starts_with("HTTP/1.1 4"), "{got}");
    assert_eq!(town.recorded_of("h1", "boot", "pid"), process, "it is still the same process");
    let log = lab.script("h1", "cat /var/lib/lsx/dns/leases/log/boot/log").ok().stdout;
    assert!(log.contains("\"by\":\"http\"") && log.contains("\"file\":\"pxe/x64.efi\""), "{log}");
}

/// Asks for a file, acknowledges nothing, and prints the packets that come: how many, and how long each is. Then it asks with
/// options, loses packets of a window, and prints the digest of what it has at the end.
const TERMS: &str = "import socket, struct, hashlib, time
at = ('10.150.0.1', 69)
def ask(words):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b'\\0\\1' + b''.join(w.encode() + b'\\0' for w in words), at)
    return s
s = ask(['pxe/x64.efi', 'octet', 'timeout', '1'])
s.settimeout(4)
n = 0
try:
    while True:
        data = s.recv(2000); n += 1
        assert data == b'\\0\\6timeout\\0001\\0', data
except socket.timeout: pass
print('unanswered', n, flush=True)
for words, most in ((['pxe/x64.efi', 'octet', 'blksize', '65000', 'windowsize', '8', 'tsize', '0', 'timeout', '1'], 8), (['pxe/x64.efi', 'octet', 'blksize', '8'], 1)):
    s = ask(words); s.settimeout(10)
    got, peer = s.recvfrom(70000)
    assert got[:2] == b'\\0\\6', got
    told = got[2:].split(b'\\0')
    told = dict(zip(told[::2], told[1::2]))
    block = int(told[b'blksize'])
    assert block == (8 if most == 1 else MTU - 32), told
    s.sendto(b'\\0\\4\\0\\0', peer)
    whole, want, lost = b'', 1, set()
    while True:
        data = s.recv(70000)
        number = struct.unpack('>H', data[2:4])[0]
        if number == want % 65536 and not (want % 37 == 5 and most > 1 and want not in lost and not lost.add(want)):
            whole += data[4:]; want += 1
            if (want - 1) % most == 0 or len(data) - 4 < block:
                s.sendto(b'\\0\\4' + data[2:4], peer)
            if len(data) - 4 < block: break
        elif most > 1 and number > want % 65536:
            s.sendto(b'\\0\\4' + struct.pack('>H', (want - 1) % 65536), peer)
    print(hashlib.sha256(whole).hexdigest(), len(lost) > 0, flush=True)
for bad in (b'', b'\\0', b'\\0\\1', b'\\0\\1a', b'\\0\\1a\\0octet', b'\\0\\4\\0\\1', b'\\0\\3\\0\\1x', b'\\xff' * 500):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.5)
    s.sendto(bad, at)
    try: print('answered', bad, s.recv(2000))
    except socket.timeout: pass
for words, code in ((['pxe/x64.efi', 'netascii'], 0), (['none', 'octet'], 1), (['../etc/secret', 'octet'], 2), (['link', 'octet'], 2), (['a' * 480, 'octet'], 1)):
    s = ask(words); s.settimeout(10)
    got = s.recv(2000)
    assert got[:4] == struct.pack('>HH', 5, code), (words, got)
print('done')
";

fn boot_files_by_tftp_on_terms(lab: &Lab) {
    let town = up(lab);
    addressed(lab);
    let mtu = lab.script("h1", "ip netns exec leases.pxe cat /sys/class/net/eth0/mtu").ok().stdout;
    let told: u16 = udhcpc(lab, "h1", "pxe", "")["mtu"].parse().unwrap();
    assert!(told <= mtu.trim().parse().unwrap());
    let client = TERMS.replace("MTU", &told.to_string());
    lab.script("h1", &format!("cat >/run/terms.py <<'END'\n{client}END")).ok();
    let said = lab.script("h1", "timeout 120 ip netns exec leases.pxe python3 /run/terms.py").ok().stdout;
    let digest = lab.script("h1", &format!("sha256sum <{VOLUME}/pxe/x64.efi")).ok().stdout;
    let digest = digest.split(' ').next().unwrap();
    assert_eq!(said, format!("unanswered 5\n{digest} True\n{digest} False\ndone\n"));
    lab.script("h1", &format!("rm -r {VOLUME}")).ok();
    town.down();
}

/// Firmware that is told not to try PXE gets a boot program by HTTP, and starts it.
fn uefi_firmware_boots_by_http(lab: &Lab) {
    let (code, ipxe) = ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/lib/ipxe/ipxe.efi");
    if ![code, ipxe].iter().all(|path| std::path::Path::new(path).exists()) {
        eprintln!(
            "SKIPPED: dns-live uefi_firmware_boots_by_http: no firmware or no iPXE; scripts/setup --tests"
        );
        return;
    }
    let town = up(lab);
    plugged(lab);
    let put = format!("cp {ipxe} {VOLUME}/pxe/x64.efi; cp /usr/share/OVMF/OVMF_VARS_4M.fd /run/vars.fd");
    lab.script("h1", &put).ok();
    let firmware = format!(
        "-drive if=pflash,format=raw,readonly=on,file={code} -drive if=pflash,format=raw,file=/run/vars.fd \
         -global virtio-net-pci.romfile= -fw_cfg name=opt/org.tianocore/IPv4PXESupport,string=no"
    );
    let mut vm = Vm::start(lab, &firmware);
    vm.says("iPXE initialising devices");
    vm.end();
    let log = lab.script("h1", "cat /var/lib/lsx/dns/leases/log/boot/log").ok().stdout;
    let whole =
        |line: &str| ["\"http\"", "pxe/x64.efi", "\"whole\":true"].iter().all(|word| line.contains(word));
    assert!(log.lines().any(whole), "{log}");
    lab.script("h1", &format!("ip link del tapvm; rm -r {VOLUME} /run/vars.fd")).ok();
    town.down();
}

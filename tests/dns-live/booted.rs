//! The journal of `boot.once`: a full disk, kills, half a line, and many machines that boot often; and the boot files that `check` asks for.

use crate::boot::VOLUME;
use crate::once::{HTTP, MAC, TFTP, got, machines, of, up};
use crate::town::Town;
use lsx_tests::lab::{Lab, Ran, until};

pub(crate) const CASES: &[crate::Case] = &[
    ("a_turn_is_taken_through_kills_and_full_disks", a_turn_is_taken_through_kills_and_full_disks),
    ("a_long_journal_costs_a_request_nothing", a_long_journal_costs_a_request_nothing),
    ("check_asks_for_boot_files_and_nobody_boots", check_asks_for_boot_files_and_nobody_boots),
];

const DATA: &str = "/var/lib/lsx/dns/leases/data";

fn end(lab: &Lab, town: Town<'_>) {
    lab.script("h1", &format!("rm -r {VOLUME}")).ok();
    town.down();
}

/// Makes a journal in the place of the worker's own, as the tool writes it; `LINES` are Python's.
fn journal(lab: &Lab, lines: &str) -> String {
    let python = format!(
        "import hashlib, json, sys
n = 0
def line(entries):
    global n
    n += 1
    rest = json.dumps({{'n': n, 'is': entries}}, separators=(',', ':'))[1:]
    sys.stdout.write('{{\"sum\":\"' + hashlib.sha256(rest.encode()).hexdigest()[:16] + '\",' + rest + '\\n')
def booted(mac, at='2026-11-27T09:00:00Z'): return {{'booted': {{'mac': mac, 'stage': 'firmware', 'at': at}}}}
def asked(mac, n): return {{'asked': {{'mac': mac, 'number': n, 'at': '2026-11-27T09:00:00Z'}}}}
{lines}"
    );
    lab.exec_with("h1", &["bash", "-c", "cat >/run/journal.py"], python.as_bytes()).ok();
    let make = format!(
        "cd {DATA}/boot; python3 /run/journal.py >journal; rm /run/journal.py; stat -c '%u %s' journal"
    );
    lab.script("h1", &make).ok().stdout.trim().to_owned()
}

fn log(lab: &Lab) -> String {
    lab.script("h1", "tail -n 50 /var/lib/lsx/dns/leases/log/boot/log").stdout
}

fn bios(lab: &Lab, name: &str, by: &str) -> String {
    got(lab, name, &format!("{by}/pxe/bios.0"))
}

fn a_turn_is_taken_through_kills_and_full_disks(lab: &Lab) {
    let mount = format!("mkdir -p {DATA}; mount -t tmpfs -o size=256k,mode=755 lsx-test {DATA}");
    lab.script("h1", &mount).ok();
    let town = up(lab);
    assert_eq!(bios(lab, "printer", HTTP), "first");
    // The disk is full, to the end of the journal's last page.
    let made = journal(lab, PAGE);
    assert!(made.ends_with(" 4096"), "{made}");
    lab.script("h1", &format!("cat /dev/zero >{DATA}/filler 2>/dev/null || true")).ok();
    let checked = town.dns(&["check", &town.file]).exits(2);
    assert!(
        checked.stderr.contains(&format!("cannot write its journal in {DATA}/boot")),
        "{}",
        checked.stderr
    );
    for by in [HTTP, TFTP] {
        assert_eq!(bios(lab, "pxe", by), "", "{by}: {}", log(lab));
    }
    assert!(until(60, || log(lab).contains("the journal of boots cannot be written")), "{}", log(lab));
    assert!(of(&machines(&town, &[MAC]), MAC)["boots"] == true);
    // With room it boots once, and who had booted has.
    lab.script("h1", &format!("rm {DATA}/filler")).ok();
    assert_eq!(bios(lab, "pxe", TFTP), "first", "{}", log(lab));
    for (name, by) in [("pxe", HTTP), ("pxe", TFTP), ("printer", HTTP)] {
        assert_eq!(bios(lab, name, by), "", "{name} {by}");
    }
    town.dns(&["check", &town.file]).ok();
    // What is on the disk is there after a kill of everything, half a line or not.
    let all = ["supervisor", "pid"].map(|which| town.recorded_of("h1", "boot", which)).join(" ");
    lab.script("h1", &format!("kill -9 {all}; printf '{{\"sum\":\"0123' >>{DATA}/boot/journal")).ok();
    assert!(town.changes(&town.file) > 0);
    lab.script("h1", &format!("printf more >{VOLUME}/more")).ok();
    assert!(until(60, || got(lab, "pxe", &format!("{TFTP}/more")) == "more"), "{}", log(lab));
    assert_eq!([bios(lab, "pxe", TFTP), bios(lab, "pxe", HTTP)], ["", ""]);
    assert!(of(&machines(&town, &[MAC]), MAC)["boots"] == true);
    assert_eq!([bios(lab, "pxe", HTTP), bios(lab, "pxe", TFTP)], ["first", ""], "{}", log(lab));
    town.dns(&["down", &town.file]).ok();
    lab.script("h1", &format!("umount {DATA}")).ok();
    end(lab, town);
}

/// One page.
const PAGE: &str = "one = lambda fill: [booted('02:00:5e:00:53:01'), booted('02:00:5e:00:53:99', 'x' * fill)]
empty = len(json.dumps({'n': 1, 'is': one(0)}, separators=(',', ':'))) - 1 + len('{\"sum\":\"\",') + 16 + 1
line(one(4096 - empty))";

/// Machines that have booted, a hundred of them often.
const LONG: &str = "macs = ['02:00:00:00:%02x:%02x' % (n // 256, n % 256) for n in range(5000)]
for at in range(0, 5000, 1000): line([booted(mac) for mac in macs[at:at + 1000]])
for number in range(1, 301):
    line([entry for mac in macs[:100] for entry in (asked(mac, number), booted(mac))])";
const REQUESTS: u64 = 300;

fn a_long_journal_costs_a_request_nothing(lab: &Lab) {
    let town = up(lab);
    assert_eq!(bios(lab, "printer", HTTP), "first");
    let owner = lab.script("h1", &format!("stat -c %u {DATA}/boot/journal")).ok().stdout.trim().to_owned();
    // In its place while the server runs, which finds that it is another one.
    let made = journal(lab, LONG);
    let (before, size) = made.split_once(' ').unwrap();
    assert!(before == owner && owner != "0" && size.parse::<u64>().unwrap() > 4_000_000, "{made} {owner}");
    assert_eq!(machines(&town, &[]).as_array().unwrap().len(), 5001);
    let refuse = |count: u64| {
        let ask = format!(
            "import http.client
for n in range({count}):
    c = http.client.HTTPConnection('10.150.0.1', 80, timeout=60)
    c.request('GET', '/pxe/bios.0'); r = c.getresponse(); r.read(); c.close()
    assert r.status == 403, r.status"
        );
        lab.script("h1", &format!("ip netns exec leases.pxe python3 -c \"{ask}\"")).ok();
    };
    // It has booted, so the journal is shortened.
    assert_eq!(bios(lab, "pxe", HTTP), "first");
    let now = lab.script("h1", &format!("stat -c '%u %s' {DATA}/boot/journal")).ok().stdout;
    let short: u64 = now.trim().strip_prefix(&format!("{owner} ")).unwrap().parse().unwrap();
    assert!((400_000..1_000_000).contains(&short), "{now}");
    assert_eq!(machines(&town, &[]).as_array().unwrap().len(), 5002);
    // Requests read nothing of it.
    let worker = town.recorded_of("h1", "boot", "pid");
    let read = || -> u64 {
        let told = lab.script("h1", &format!("sed -n 's/^rchar: //p' /proc/{worker}/io")).ok().stdout;
        told.trim().parse().unwrap()
    };
    refuse(1);
    let first = read();
    refuse(REQUESTS);
    let bytes = (read() - first) / REQUESTS;
    println!("a request with {short} bytes of journal: {bytes} bytes read");
    assert!(bytes < 16 * 1024, "{bytes} bytes a request");
    // The operator's program writes into the shortened one, and the server goes on.
    assert!(of(&machines(&town, &[MAC]), MAC)["boots"] == true);
    assert_eq!([bios(lab, "pxe", TFTP), bios(lab, "pxe", HTTP)], ["first", ""], "{}", log(lab));
    let last = lab.script("h1", &format!("stat -c %u {DATA}/boot/journal")).ok().stdout;
    assert_eq!(last.trim(), owner);
    end(lab, town);
}

fn check_asks_for_boot_files_and_nobody_boots(lab: &Lab) {
    let town = up(lab);
    let rows = |checked: &Ran| -> Vec<(String, u64, u64)> {
        let told = checked.json();
        let all = told["rows"].as_array().unwrap().iter();
        let number = |row: &serde_json::Value, key: &str| row[key].as_u64().unwrap();
        let of = |row| (row_server(row), number(row, "asked"), number(row, "answered"));
        all.map(of)
            .filter(|(server, ..)| ["10.150.0.1:69", "10.150.0.1:80"].contains(&server.as_str()))
            .collect()
    };
    let both =
        |answered: u64| ["10.150.0.1:69", "10.150.0.1:80"].map(|at| (at.to_owned(), 5, answered)).to_vec();
    for _ in 0..2 {
        assert_eq!(rows(&town.dns(&["check", &town.file]).ok()), both(5));
    }
    // The instance that asked may still boot, and after that `check` finds no mistake either.
    let journal = lab.script("h1", &format!("cat {DATA}/boot/journal 2>/dev/null || true")).ok().stdout;
    assert!(!journal.contains("booted"), "{journal}");
    let get = format!("ip netns exec leases.ann curl -fsS --max-time 60 {TFTP}/pxe/bios.0");
    assert_eq!(lab.script("h2", &get).ok().stdout, "first");
    assert!(lab.script("h2", &get).code != 0);
    assert_eq!(rows(&town.dns(&["check", &town.file]).ok()), both(5));
    // A file that is missing, or not for everybody; and a server that does not answer.
    let file = format!("{VOLUME}/pxe/arm.efi");
    for (damage, why, mend) in [
        (format!("mv {file} {file}.kept"), "there is no such file", format!("mv {file}.kept {file}")),
        (format!("chmod 600 {file}"), "this file is not for everybody", format!("chmod 644 {file}")),
    ] {
        lab.script("h1", &damage).ok();
        let checked = town.dns(&["check", &town.file]).exits(2);
        assert_eq!(rows(&checked), both(4), "{why}");
        let told = &checked.stderr;
        assert!(told.matches(why).count() >= 2 && told.contains("the boot file pxe/arm.efi"), "{told}");
        lab.script("h1", &mend).ok();
    }
    let both_processes = ["supervisor", "pid"].map(|which| town.recorded_of("h1", "boot", which)).join(" ");
    lab.script("h1", &format!("kill -STOP {both_processes}")).ok();
    let checked = town.dns(&["check", &town.file]).exits(2);
    lab.script("h1", &format!("kill -CONT {both_processes}")).ok();
    assert_eq!(rows(&checked), both(0), "{}", checked.stderr);
    assert!(until(60, || town.dns(&["check", &town.file]).code == 0));
    end(lab, town);
}

fn row_server(row: &serde_json::Value) -> String {
    row["server"].as_str().unwrap_or_default().to_owned()
}

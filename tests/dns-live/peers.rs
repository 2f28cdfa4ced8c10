//! Clients of other makers change names: Knot's, ISC's for DHCP servers, with another time, by TCP, and after a power cut.

use crate::office::Office;
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[
    ("knsupdate_changes_names", knsupdate_changes_names),
    ("kea_changes_names_and_leaves_those_of_others", kea_changes_names_and_leaves_those_of_others),
    ("clients_with_another_time_are_told", clients_with_another_time_are_told),
    ("updates_outlast_a_power_cut", updates_outlast_a_power_cut),
    ("large_zones_are_transferred_signed", large_zones_are_transferred_signed),
];

/// The secret of a client's key, in base64.
fn secret(office: &Office<'_>, client: &str) -> String {
    let read = format!("sed -n 's/.*secret \"\\([^\"]*\\)\".*/\\1/p' {}", office.key(client));
    office.lab.script("h1", &read).ok().stdout.trim().to_owned()
}

/// The key of desk in Knot's form.
fn knot_key(office: &Office<'_>) {
    let key = format!("hmac-sha256:desk:{}\n", secret(office, "desk"));
    office.lab.exec_with("h1", &["bash", "-c", "umask 77; cat >/tmp/knot.key"], key.as_bytes()).ok();
}

fn knsupdate_changes_names(lab: &Lab) {
    let office = Office::up(lab);
    knot_key(&office);
    let update = |words: &str, lines: &str| {
        let text = format!("server 10.150.0.1\nzone internal\n{lines}\nsend\n");
        office.ann(&format!("knsupdate -t 20 {words} -k /tmp/knot.key"), &text)
    };
    for (number, words) in ["", "-v"].iter().enumerate() {
        let name = format!("k{number}.internal");
        update(words, &format!("prereq nxdomain {name}\nadd {name} 60 A 192.0.2.{number}")).ok();
        assert_eq!(office.short(&name), [format!("192.0.2.{number}")]);
        let refused = update(words, &format!("prereq nxdomain {name}\nadd {name} 60 A 192.0.2.77"));
        assert!(refused.code != 0 && refused.stderr.contains("YXDOMAIN"), "{}", refused.stderr);
        update(words, &format!("del {name} A\nadd {name} 60 TXT now")).ok();
        assert_eq!(
            (office.short(&name), office.short(&format!("{name} TXT"))),
            (vec![], vec!["\"now\"".to_owned()])
        );
    }
    let refused = update("", "add printer.internal 60 A 192.0.2.1");
    assert!(refused.code != 0 && refused.stderr.contains("REFUSED"), "{}", refused.stderr);
    office.down();
}

/// A DHCP server's requests: `ask CHANGE NAME ADDRESS`, with 0 for a lease and 1 for its end.
const KEA: &str = r#"
rm -rf /tmp/kea; mkdir -p /tmp/kea; umask 77
cat >/tmp/kea/conf <<JSON
{"DhcpDdns": {"ip-address": "127.0.0.1", "port": 53001, "ncr-protocol": "UDP", "ncr-format": "JSON", "dns-server-timeout": 5000,
  "tsig-keys": [{"name": "dhcp", "algorithm": "HMAC-SHA256", "secret": "$SECRET"}],
  "forward-ddns": {"ddns-domains": [{"name": "internal.", "key-name": "dhcp", "dns-servers": [{"ip-address": "10.150.0.1"}]}]},
  "reverse-ddns": {"ddns-domains": [{"name": "0.150.10.in-addr.arpa.", "key-name": "dhcp", "dns-servers": [{"ip-address": "10.150.0.1"}]}]},
  "loggers": [{"name": "kea-dhcp-ddns", "severity": "DEBUG", "debuglevel": 50, "output_options": [{"output": "/tmp/kea/log"}]}]}}
JSON
ip -n office.ann link set lo up
export KEA_LOCKFILE_DIR=none KEA_PIDFILE_DIR=/tmp/kea KEA_LOGGER_DESTINATION=stdout
ip netns exec office.ann kea-dhcp-ddns -c /tmp/kea/conf >/tmp/kea/out 2>&1 </dev/null & echo $! >/tmp/kea/pid
"#;

fn kea_changes_names_and_leaves_those_of_others(lab: &Lab) {
    let office = Office::up(lab);
    let secret = secret(&office, "dhcp");
    lab.exec_with("h1", &["bash", "-c", &format!("read -r SECRET\n{KEA}")], format!("{secret}\n").as_bytes())
        .ok();
    let log = || lab.script("h1", "tail -n 60 /tmp/kea/log /tmp/kea/out").stdout;
    let heard = "ip netns exec office.ann ss -Hlun sport = :53001 | grep -q 53001";
    assert!(until(60, || lab.script("h1", heard).code == 0), "{}", log());
    let ask = |change: u8, name: &str, last: u8, client: u8| {
        let request = format!(
            "{{\"change-type\": {change}, \"forward-change\": true, \"reverse-change\": true, \"fqdn\": \"{name}.\", \
             \"ip-address\": \"10.150.0.{last}\", \"dhcid\": \"0001{client:02x}{}\", \"lease-expires-on\": \"20361127120000\", \
             \"lease-length\": 600, \"use-conflict-resolution\": true}}",
            "ab".repeat(32)
        );
        let length = u16::try_from(request.len()).unwrap().to_be_bytes();
        let bytes = [&length, request.as_bytes()].concat();
        let send = "ip netns exec office.ann nc -u -w 1 127.0.0.1 53001";
        lab.exec_with("h1", &["bash", "-c", send], &bytes).ok();
    };
    let says = |words: &str, wanted: &[&str]| {
        assert!(until(60, || office.short(words) == wanted), "{words}: {:?}\n{}", office.short(words), log());
    };
    let results = |wanted: &str, count: usize| {
        let found = || {
            lab.script("h1", &format!("grep -c '{wanted}' /tmp/kea/log"))
                .stdout
                .trim()
                .parse::<usize>()
                .unwrap_or_default()
                >= count
        };
        assert!(until(60, found), "{wanted}\n{}", log());
    };
    ask(0, "pc.front.internal", 88, 1);
    says("pc.front.internal", &["10.150.0.88"]);
    says("-x 10.150.0.88", &["pc.front.internal."]);
    assert_eq!(office.short("pc.front.internal DHCID").len(), 1);
    // The same client with another address; another client gets neither its name nor one of the stack.
    ask(0, "pc.front.internal", 89, 1);
    says("pc.front.internal", &["10.150.0.89"]);
    for (name, failed) in [("pc.front.internal", 1), ("www.front.internal", 2)] {
        let before = office.short(name);
        ask(0, name, 99, 2);
        results("DHCP_DDNS_ADD_FAILED", failed);
        assert_eq!(office.short(name), before);
    }
    assert_eq!(office.short("-x 10.150.0.99"), [""; 0]);
    // The lease ends.
    ask(1, "pc.front.internal", 89, 1);
    says("pc.front.internal", &[]);
    says("-x 10.150.0.89", &[]);
    says("pc.front.internal DHCID", &[]);
    lab.script("h1", "kill $(cat /tmp/kea/pid)").ok();
    assert!(until(60, || lab.script("h1", "kill -0 $(cat /tmp/kea/pid)").code != 0));
    office.down();
}

/// Knot's client has no memory allocator of its own, which faketime does not get on with, as BIND's has.
fn clients_with_another_time_are_told(lab: &Lab) {
    let office = Office::up(lab);
    knot_key(&office);
    let update = |time: &str, words: &str, name: &str| {
        let text = format!("server 10.150.0.1\nzone internal\nadd {name}.internal 60 A 192.0.2.1\nsend\n");
        office.ann(&format!("faketime -f {time} knsupdate -t 20 {words} -k /tmp/knot.key"), &text)
    };
    for words in ["", "-v"] {
        for time in ["-10m", "+10m", "-10y", "+10y"] {
            let refused = update(time, words, "late");
            // The client checks the signature first: it is right.
            assert!(
                refused.code != 0 && refused.stderr.contains("TSIG out of time window"),
                "{time}: {}",
                refused.stderr
            );
            assert_eq!(office.short("late.internal"), [""; 0]);
        }
        for time in ["-4m", "+4m"] {
            let name = format!("near{}{}", words.len(), &time[1..]);
            update(time, words, &name).ok();
            assert_eq!(office.short(&format!("{name}.internal")), ["192.0.2.1"], "{time}");
        }
    }
    office.down();
}

fn updates_outlast_a_power_cut(lab: &Lab) {
    let office = Office::up(lab);
    let desk = office.key("desk");
    for number in 0..20 {
        office.updated(&desk, &format!("update add p{number}.desk.internal 60 TXT {number}"));
    }
    let before = office.serial();
    lab.verb(&["kill", "h1"]);
    lab.verb(&["boot", "h1", "--wait"]);
    office.attach();
    let there =
        |number: i32| office.short(&format!("p{number}.desk.internal TXT")) == [format!("\"{number}\"")];
    assert!(until(60, || there(0)), "{}", lab.script("h1", "cat /var/log/lsx-boot.log").stdout);
    (0..20).for_each(|number| assert!(there(number), "{number}"));
    assert_eq!(office.serial(), before, "nothing has changed");
    let desk = office.key("desk");
    office.updated(&desk, "update delete p0.desk.internal\nupdate add after.internal 60 TXT after");
    assert!(office.serial() > before && office.short("p0.desk.internal TXT").is_empty());
    office.down();
}

/// The zone takes several messages, each of which is signed in the light of those before it.
fn large_zones_are_transferred_signed(lab: &Lab) {
    let office = Office::up(lab);
    let text = include_str!("office.yaml");
    let to = "transfer: { to: 10.150.0.0, key: tsig_transfer }\n  update:";
    let ann = lab.script("h1", "ip -n office.ann -j -4 address | jq -r '[.[].addr_info[] | select(.scope == \"global\")][0].local'").ok();
    let text = text.replace("update:", &to.replace("10.150.0.0", ann.stdout.trim()));
    let text = text.replace("tsig_desk: derive }", "tsig_desk: derive, tsig_transfer: derive }");
    let file = lab.file("office.yaml", &text);
    office.dns(&["up", &file]).ok();
    let (desk, key) = (office.key("desk"), office.key("transfer"));
    let value = "x".repeat(200);
    for number in 0..8 {
        let add = |n: i32| format!("update add n{number}-{n}.internal 60 TXT {value}\n");
        office.updated(&desk, (0..40).map(add).collect::<String>().trim_end());
    }
    let asked = format!("dig @10.150.0.1 +time=10 -k {key} internal AXFR");
    let told = office.ann(&asked, "").ok().stdout;
    assert_eq!(told.matches(&value).count(), 320);
    assert!(
        !told.contains("WARNING") && !told.contains("Couldn't verify") && !told.contains("failed"),
        "{told}"
    );
    let messages =
        told.lines().find_map(|line| line.strip_prefix(";; XFR size: ")?.split("messages ").nth(1));
    let messages = messages.and_then(|rest| rest.split(',').next()?.parse::<usize>().ok());
    assert!(messages.is_some_and(|count| count > 2), "{messages:?}");
    office.down();
}

//! Clients change names.

use crate::office::{JOURNAL, Office};
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[
    ("a_client_changes_its_names", a_client_changes_its_names),
    ("owners_decide_and_damage_is_told", owners_decide_and_damage_is_told),
    ("what_was_acknowledged_survives_every_crash", what_was_acknowledged_survives_every_crash),
    ("a_hand_over_loses_and_doubles_no_update", a_hand_over_loses_and_doubles_no_update),
    ("a_full_disk_refuses_and_loses_nothing", a_full_disk_refuses_and_loses_nothing),
];

/// How often the server is killed: 200 times take a minute.
const KILLS: usize = 60;

const CHALLENGE: &str = "_acme-challenge.www.internal";

fn a_client_changes_its_names(lab: &Lab) {
    let office = Office::up(lab);
    let certbot = office.key("certbot");
    let add = format!("update add {CHALLENGE} 60 TXT \"one two\"");
    office.refused(None, &add, "REFUSED");
    lab.script("h1", "sed 's/secret \"./secret \"Z/' /tmp/certbot.key >/tmp/wrong.key").ok();
    office.refused(Some("/tmp/wrong.key"), &add, "BADSIG");
    assert_eq!(office.short(&format!("{CHALLENGE} TXT")), [""; 0]);
    let before = office.serial();
    office.updated(&certbot, &add);
    assert_eq!(office.short(&format!("{CHALLENGE} TXT")), ["\"one two\""]);
    assert!(office.serial() > before);
    // It is on the disk before it counts.
    let worker = office.recorded("pid");
    lab.script("h1", &format!("kill -9 {worker}")).ok();
    let there = || office.short(&format!("{CHALLENGE} TXT")) == ["\"one two\""];
    assert!(until(60, || office.recorded("pid") != worker && there()));
    let journal = lab.script("h1", &format!("cat {JOURNAL}")).ok().stdout;
    assert!(journal.contains("\"txt\":\"one two\"") && !journal.contains("secret"), "{journal}");
    // The key is in no argument and no document.
    let key = lab.script("h1", "sed -n 's/.*secret \"\\([^\"]*\\)=*\".*/\\1/p' /tmp/certbot.key").ok().stdout;
    let url = key.trim().trim_end_matches('=').replace('+', "-").replace('/', "_");
    assert_eq!(url.len(), 43, "{url}");
    lab.exec_with("h1", &["bash", "-c", "umask 77; cat >/tmp/pattern"], url.as_bytes()).ok();
    let found = "grep -rlf /tmp/pattern /etc/lsx /run/lsx /var/lib/lsx/dns || true; grep -laf /tmp/pattern /proc/[0-9]*/cmdline || true";
    let found = lab.script("h1", found).ok().stdout;
    assert_eq!(found.trim(), "");
    office.down();
}

/// Adds names one after the other until /tmp/enough is there, and writes down which were acknowledged.
const CLIENT: &str = r#"
rm -f /tmp/enough /tmp/acked /tmp/failed; touch /tmp/acked /tmp/failed
client() {
    i=0
    while [ ! -e /tmp/enough ]; do
        i=$((i + 1))
        if printf 'server 10.150.0.1\nzone internal\nupdate add k%s.desk.internal 60 TXT v%s\nsend\n' $i $i |
            ip netns exec office.ann nsupdate -t 60 -u 1 -r 50 -k /tmp/desk.key; then echo k$i >>/tmp/acked; else echo k$i >>/tmp/failed; fi
    done
}
state=/run/lsx/office/dns/names.state.json
"#;

/// Every acknowledged name is there, once.
fn all_acknowledged(office: &Office<'_>) -> usize {
    let script = "sed 's/$/.desk.internal TXT/' /tmp/acked >/tmp/asked
        ip netns exec office.ann dig @10.150.0.1 +tries=5 +time=5 +short -f /tmp/asked >/tmp/told
        sed 's/^k\\(.*\\)/\"v\\1\"/' /tmp/acked | diff - /tmp/told
        jq -r '.is[].update.names[]?.name' /var/lib/lsx/dns/office/data/names/journal | grep desk | sort | uniq -d | head -1 | grep . && exit 3
        wc -l </tmp/acked";
    let ran = office.lab.script("h1", script).ok();
    ran.stdout.trim().parse().unwrap()
}

fn what_was_acknowledged_survives_every_crash(lab: &Lab) {
    let office = Office::up(lab);
    office.key("desk");
    let script = format!(
        "{CLIENT}
client & client=$!
killed=0 last=
while [ $killed -lt {KILLS} ]; do
    pid=$(jq -r .pid $state)
    if [ \"$pid\" != \"$last\" ] && [ \"$pid\" != null ]; then
        sleep 0.0$((RANDOM % 10))
        kill -9 $pid && killed=$((killed + 1)) last=$pid
        kill -HUP $(jq -r .supervisor $state)
    else
        sleep 0.02
    fi
done
touch /tmp/enough; wait $client
echo $killed"
    );
    let killed = lab.exec("h1", &["bash", "-c", &script]).ok();
    assert_eq!(killed.stdout.trim(), KILLS.to_string());
    let acknowledged = all_acknowledged(&office);
    println!("{acknowledged} updates acknowledged while the server was killed {KILLS} times");
    assert!(acknowledged > 5);
    office.down();
}

fn a_hand_over_loses_and_doubles_no_update(lab: &Lab) {
    let office = Office::up(lab);
    office.key("desk");
    lab.exec("h1", &["bash", "-c", &format!("{CLIENT}\nclient </dev/null >/tmp/client.log 2>&1 &")]).ok();
    let acknowledged = || {
        let count = lab.script("h1", "cat /tmp/acked 2>/dev/null | wc -l").ok().stdout;
        count.trim().parse::<usize>().unwrap()
    };
    let mut before = 0;
    for number in 1..=5 {
        assert!(until(60, || acknowledged() > before + 3));
        let serial = office.serial();
        office.change("printer: 192.0.2.40", &format!("printer: 192.0.2.{}", 40 + number));
        assert!(office.serial() > serial);
        assert_eq!(office.short("printer.internal"), [format!("192.0.2.{}", 40 + number)]);
        before = acknowledged();
    }
    assert!(until(60, || acknowledged() > before + 3));
    lab.script("h1", "touch /tmp/enough").ok();
    assert!(until(120, || lab.script("h1", "pgrep -f '[n]supdate -t 60'").code != 0));
    assert_eq!(lab.script("h1", "cat /tmp/failed").ok().stdout, "");
    all_acknowledged(&office);
    assert_eq!((office.recorded("handovers"), office.recorded("restarts")), ("5".to_owned(), "0".to_owned()));
    office.down();
}

fn a_full_disk_refuses_and_loses_nothing(lab: &Lab) {
    let data = "/var/lib/lsx/dns/office/data";
    let small = format!("mkdir -p {data}; mount -t tmpfs -o size=128k,mode=700 lsx-test {data}");
    lab.script("h1", &small).ok();
    let office = Office::up(lab);
    let desk = office.key("desk");
    let add = |name: &str| format!("update add {name}.desk.internal 60 TXT {name}");
    office.updated(&desk, &add("before"));
    lab.script("h1", &format!("cat /dev/zero >{data}/filler 2>/dev/null || true")).ok();
    // What is left of the last page is used up first.
    let refused = (0..200).any(|number| {
        let (done, said) = office.update(Some(&desk), &add(&format!("n{number}")));
        assert!(done || said.contains("SERVFAIL"), "{said}");
        let there = office.short(&format!("n{number}.desk.internal TXT")).len();
        assert_eq!(there, usize::from(done));
        !done
    });
    assert!(refused, "{}", lab.script("h1", &format!("df {data}; ls -l {data}/names")).stdout);
    assert_eq!(office.short("before.desk.internal TXT"), ["\"before\""]);
    let worker = office.recorded("pid");
    lab.script("h1", &format!("kill -9 {worker}")).ok();
    let back = || office.recorded("pid") != worker && office.short("before.desk.internal TXT").len() == 1;
    assert!(until(60, back));
    lab.script("h1", &format!("rm {data}/filler")).ok();
    office.updated(&desk, &add("after"));
    assert_eq!(office.short("after.desk.internal TXT"), ["\"after\""]);
    office.dns(&["down", &office.file]).ok();
    lab.script("h1", &format!("umount {data}; echo x >{data}/names/journal || mkdir -p {data}/names && echo x >{data}/names/journal")).ok();
    office.down();
}

fn owners_decide_and_damage_is_told(lab: &Lab) {
    let office = Office::up(lab);
    let (desk, dhcp) = (office.key("desk"), office.key("dhcp"));
    // Names of the stack are its own, and names and types those of the rules.
    for lines in [
        "update delete www.front.internal",
        "update add www.front.internal 60 A 192.0.2.66",
        "update add printer.internal 60 TXT x",
        "update add internal 60 A 192.0.2.1",
    ] {
        office.refused(Some(&desk), lines, "REFUSED");
    }
    assert_eq!(office.short("printer.internal"), ["192.0.2.40"]);
    office.refused(Some(&dhcp), "update add x.front.internal 60 TXT x", "REFUSED");
    office.refused(Some(&desk), "zone example.org\nupdate add a.example.org 60 A 192.0.2.1", "NOTAUTH");
    office.refused(Some(&desk), "zone internal\nupdate add a.example.org 60 A 192.0.2.1", "NOTZONE");
    // A lease takes a name from a service, and only those see it that may reach it.
    office.updated(&desk, "update add pc.front.internal 60 TXT service");
    office.updated(&dhcp, "update add pc.front.internal 60 A 10.150.0.77\nupdate add pc.front.internal 60 DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=");
    assert_eq!(office.short("pc.front.internal TXT"), [""; 0]);
    assert_eq!(office.short("pc.front.internal"), ["10.150.0.77"]);
    assert_eq!(office.short("pc.front.internal DHCID"), ["AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="]);
    let far =
        lab.script("h1", "ip netns exec office.far dig @10.151.0.1 +tries=3 +time=5 pc.front.internal").ok();
    assert!(!far.stdout.contains("10.150.0.77"), "{}", far.stdout);
    office.updated(
        &dhcp,
        "zone 0.150.10.in-addr.arpa\nupdate add 77.0.150.10.in-addr.arpa 60 PTR pc.front.internal",
    );
    assert_eq!(office.short("-x 10.150.0.77"), ["pc.front.internal."]);
    office.refused(Some(&desk), "update delete pc.front.internal", "REFUSED");
    // Prerequisites, and all or nothing.
    office.refused(
        Some(&dhcp),
        "prereq nxdomain pc.front.internal\nupdate delete pc.front.internal",
        "YXDOMAIN",
    );
    office.refused(
        Some(&dhcp),
        "prereq yxrrset pc.front.internal A 10.150.0.78\nupdate delete pc.front.internal",
        "NXRRSET",
    );
    office.refused(
        Some(&desk),
        "update add one.internal 60 A 192.0.2.1\nupdate add printer.internal 60 A 192.0.2.1",
        "REFUSED",
    );
    assert_eq!(office.short("one.internal"), [""; 0]);
    office.updated(&dhcp, "prereq yxrrset pc.front.internal A 10.150.0.77\nupdate delete pc.front.internal");
    assert!(office.ann("dig @10.150.0.1 pc.front.internal", "").ok().stdout.contains("NXDOMAIN"));
    // What the stack takes over is the stack's.
    office.updated(&desk, "update add new.internal 60 A 192.0.2.50");
    office.change("printer: 192.0.2.40", "printer: 192.0.2.40, new: 192.0.2.51");
    assert_eq!(office.short("new.internal"), ["192.0.2.51"]);
    // A damaged journal is told, and is left as it is.
    office.updated(&desk, "update add last.internal 60 A 192.0.2.52");
    lab.script("h1", &format!("sed -i '1s/begin/bogin/' {JOURNAL}")).ok();
    let file = lab.file("office.yaml", &include_str!("office.yaml").replace("192.0.2.40", "192.0.2.43"));
    let failed = office.dns(&["up", &file]).exits(1);
    assert!(failed.stderr.contains("line 1 of the journal is damaged"), "{}", failed.stderr);
    assert_eq!(office.short("last.internal"), ["192.0.2.52"], "the former server serves on");
    lab.script("h1", &format!("sed -i '1s/bogin/begin/' {JOURNAL}")).ok();
    office.dns(&["up", &file]).ok();
    assert_eq!(office.short("last.internal"), ["192.0.2.52"]);
    office.down();
}

//! The host that keeps the names loses its power while clients of another host change them.

use crate::pair::{CLIENT, acked, logs, serial, up};
use crate::town::Town;
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[(
    "what_is_acknowledged_survives_a_power_cut_of_its_keeper",
    what_is_acknowledged_survives_a_power_cut_of_its_keeper,
)];

/// The power cuts.
const CUTS: usize = 2;

/// What servers say of the names that bob's client had acknowledged.
#[track_caller]
fn all_there(pair: &Town<'_>, from: &str, names: &[String]) {
    let host = pair.host_of(from);
    let asked: String = names.iter().map(|name| format!("{name}.internal TXT\n")).collect();
    let wanted: String = names.iter().map(|name| format!("\"v{}\"\n", &name[3..])).collect();
    pair.lab.exec_with(host, &["bash", "-c", "cat >/tmp/asked"], asked.as_bytes()).ok();
    assert_eq!(pair.dig(from, "+short -f /tmp/asked"), wanted, "{from}\n{}", logs(pair));
}

fn what_is_acknowledged_survives_a_power_cut_of_its_keeper(lab: &Lab) {
    let pair = up(lab);
    let client = CLIENT.replace("SERVER", &pair.resolver("bob")).replace("NAME", "bob");
    lab.exec("h2", &["bash", "-c", &format!("({client}) </dev/null >/tmp/client.log 2>&1 &")]).ok();
    let more = |than: usize| assert!(until(120, || acked(&pair, "h2").len() > than), "{}", logs(&pair));
    for _ in 0..CUTS {
        more(acked(&pair, "h2").len() + 5);
        let before = acked(&pair, "h2");
        let last = format!("{}.internal TXT", before.last().unwrap());
        assert!(until(60, || !pair.short("bob", &last).is_empty()), "{}", logs(&pair));
        lab.verb(&["kill", "h1"]);
        // The other host answers from what it has.
        assert_eq!(pair.short("bob", "printer.internal"), ["192.0.2.40"]);
        all_there(&pair, "bob", &before);
        let refused = || lab.script("h2", "cat /tmp/client.log").stdout.contains("SERVFAIL");
        assert!(until(60, refused), "{}", logs(&pair));
        lab.script("h2", ": >/tmp/client.log").ok();
        lab.verb(&["boot", "h1", "--wait"]);
        pair.attach();
    }
    more(acked(&pair, "h2").len() + 5);
    lab.script("h2", "touch /tmp/enough").ok();
    assert!(until(120, || lab.script("h2", "pgrep -f '[n]supdate -t 30'").code != 0));
    assert!(until(60, || serial(&pair, "ann").is_some_and(|one| serial(&pair, "bob") == Some(one))));
    let names = acked(&pair, "h2");
    println!("{} updates acknowledged around {CUTS} power cuts", names.len());
    for from in ["ann", "bob"] {
        all_there(&pair, from, &names);
    }
    // Each once: a name has one line in the journal of either host, and both have the same names.
    let lines = |host: &str| {
        let all = lab
            .script(host, "grep -o '\"name\":\"bob[0-9]*' /var/lib/lsx/dns/pair/data/names/journal | sort");
        all.ok().stdout
    };
    let (one, other) = (lines("h1"), lines("h2"));
    assert_eq!(one, other);
    let mut known: Vec<&str> = one.lines().collect();
    let count = known.len();
    known.dedup();
    assert_eq!(known.len(), count, "{one}");
    pair.dns(&["check", &pair.file]).ok();
    pair.down();
}

//! What `check` asks and says, and verbs for parts of the stack.

use crate::town::Town;
use lsx_tests::lab::{Lab, Ran, until};
use serde_json::Value;

pub(crate) const CASES: &[crate::Case] = &[
    ("check_says_what_it_could_not_ask", check_says_what_it_could_not_ask),
    ("parts_of_a_stack_are_left_alone", parts_of_a_stack_are_left_alone),
];

/// The row of a network and host.
#[track_caller]
fn row(checked: &Ran, host: &str, network: &str) -> Value {
    let told = checked.json();
    let rows = told["rows"].as_array().unwrap();
    let found = rows.iter().find(|row| row["host"] == host && row["network"] == network);
    found.unwrap_or_else(|| panic!("no row of {network} on {host}: {told}")).clone()
}

/// The number of findings with a text.
fn findings(checked: &Ran, text: &str) -> usize {
    let told = checked.json();
    let all = told["findings"].as_array().unwrap();
    all.iter().filter(|at| at["message"].as_str().unwrap().contains(text)).count()
}

fn check_says_what_it_could_not_ask(lab: &Lab) {
    let town = Town::up(lab);
    let logging = || town.changed("rate: 100000", "rate: 100000\n  log: true");
    let logged = logging();
    assert!(town.changes(&logged) > 0);
    // Every name, also those that an instance must not get; the server's log has them.
    let good = town.dns(&["check", &logged]).ok();
    for (host, network) in [("h2", "front"), ("h1", "back"), ("h2", "back"), ("h1", "lone"), ("h1", "front")]
    {
        let row = row(&good, host, network);
        assert!(row["asked"].as_u64().unwrap() > 20 && row.get("why").is_none(), "{row}");
        assert_eq!((&row["asked"], &row["asked"]), (&row["names"], &row["answered"]), "{row}");
    }
    let ann = town.address("ann.front.internal");
    let log = || lab.script("h1", "cat /var/lib/lsx/dns/town/log/names/log").ok().stdout;
    for (name, kind, code) in [
        ("db.back.internal", "A", "NXDOMAIN"),
        ("web-1.back.internal", "A", "NOERROR"),
        ("_http._tcp.back.internal", "SRV", "NOERROR"),
        ("long.internal", "TXT", "NOERROR"),
    ] {
        let has = |line: &str| {
            let json = line.find('{').and_then(|at| serde_json::from_str::<Value>(&line[at..]).ok());
            json.is_some_and(|at| {
                at["name"] == name && at["from"] == ann && at["type"] == kind && at["code"] == code
            })
        };
        assert!(until(60, || log().lines().any(has)), "{name}: {}", log());
    }
    // A document that says something else is a difference, in the plan and in the answer.
    let other = town.changed("printer: 192.0.2.40", "printer: 192.0.2.41");
    let differs = town.dns(&["check", &other]).exits(2);
    assert!(findings(&differs, "for printer.internal A and gets 192.0.2.40") >= 3, "{}", differs.stdout);
    // Nobody is there to ask.
    let logged = logging();
    lab.script(town.host_of("ann"), "ip netns del town.ann").ok();
    let silent = town.dns(&["check", &logged]).exits(2);
    let row = row(&silent, "h2", "front");
    assert_eq!((&row["asked"], &row["from"]), (&0.into(), &"ann".into()), "{row}");
    assert_eq!(row["why"], "ann does not run here", "{row}");
    assert_eq!(findings(&silent, "names were not asked in network front: ann does not run here"), 1);
    let table = town.dns(&["check", &logged, "--table"]).exits(2);
    assert!(table.stdout.contains("ann does not run"), "{}", table.stdout);
    town.attach();
    town.dns(&["check", &logged]).ok();
    town.down();
}

fn parts_of_a_stack_are_left_alone(lab: &Lab) {
    let town = Town::up(lab);
    let other = town.changed("printer: 192.0.2.40", "printer: 192.0.2.41");
    // Names are one part, for all networks.
    let changed = |words: &[&str]| {
        let up = town.dns(&[&["up", &other], words].concat()).ok().json();
        up["status"]["dns"]["changed"].as_u64().unwrap()
    };
    assert_eq!(changed(&["--only", "networks.front,instances.web"]), 0);
    assert_eq!(town.short("ann", "printer.internal"), ["192.0.2.40"]);
    assert!(changed(&["--only", "dns", "--offline", "h2"]) > 0);
    assert_eq!(town.short("ann", "printer.internal"), ["192.0.2.41"]);
    assert_eq!(town.short("both", "printer.internal"), ["192.0.2.40"]);
    let skipped = town.dns(&["check", &other, "--offline", "h2"]).ok();
    let told = row(&skipped, "h1", "lone");
    let why = "its name server runs on h2, which was left out";
    assert_eq!((&told["asked"], &told["why"]), (&0.into(), &why.into()), "{told}");
    assert_eq!(row(&skipped, "h1", "front")["asked"], row(&skipped, "h1", "front")["names"]);
    town.dns(&["check", &other]).exits(2);
    // Of one host.
    assert_eq!(changed(&["--only", "hosts.h1"]), 0);
    assert!(changed(&["--only", "hosts.h2"]) > 0);
    assert_eq!(town.short("both", "printer.internal"), ["192.0.2.41"]);
    town.dns(&["check", &other]).ok();
    town.dns(&["down", &other, "--offline", "h2"]).ok();
    town.nothing_left("h1");
    assert_eq!(town.short("both", "printer.internal"), ["192.0.2.41"]);
    town.down();
}

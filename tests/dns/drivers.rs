//! The drivers bind and dnsmasq: their files, as their own programs check them, and what they cannot do.

use crate::laws::stacks;
use crate::tool;
use common::plan::{FOLDER, Program};
use common::stack::{ReadOptions, read, resolve};
use lsx_dns::model::Config;
use lsx_dns::render;
use std::process::Command;

/// The program's own command finds nothing wrong in its files.
#[track_caller]
fn good(program: &Program, of: &str) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display().to_string();
    for (name, text) in program.files.iter().chain(&program.fixed) {
        std::fs::write(folder.path().join(name), text.replace(FOLDER, &place)).unwrap();
    }
    let words: Vec<String> = program.check.iter().map(|word| word.replace(FOLDER, &place)).collect();
    let ran = Command::new(&words[0]).args(&words[1..]).output().unwrap();
    let said = [ran.stdout, ran.stderr].concat();
    assert!(ran.status.success(), "{of}: {}\n{program:#?}", String::from_utf8_lossy(&said));
}

fn configs(text: &str) -> Vec<Config> {
    let (stack, _) = read(text, "stack.yaml", &ReadOptions::default()).unwrap_or_else(|f| panic!("{f}"));
    let resolved = resolve(&stack).unwrap_or_else(|f| panic!("{f}"));
    let of = |host: &common::stack::resolved::HostAt| {
        lsx_dns::plan::config(&stack, &resolved, &host.name, &["192.0.2.53".parse().unwrap()])
    };
    resolved.hosts.iter().filter_map(of).collect()
}

#[test]
fn their_programs_take_the_files_of_every_example() {
    let mut all = 0;
    for (file, text) in stacks() {
        for config in configs(&text) {
            good(&render::bind(&config), &file);
            good(&render::dnsmasq(&config), &file);
            let alone = Config { forward: Vec::new(), beyond: [].into(), log: true, cache: 0, ..config };
            good(&render::bind(&alone), &file);
            good(&render::dnsmasq(&alone), &file);
            all += 1;
        }
    }
    assert!(all > 3, "{all}");
}

const STACK: &str = "
stack: t
hosts: { h1: 192.0.2.11 }
networks: { front: { cidr: 10.1.0.0/24, gateway: h1 }, back: { cidr: 10.2.0.0/24, gateway: h1 } }
instances: { web: { hosts: [h1], count: 2, networks: back, ready: { tcp: 80 } }, ann: { host: h1, networks: front } }
dns:
  driver: DRIVER
  records: { part: { ns: printer }, printer: 192.0.2.40, away: { cname: www.example.org. }, \"*.apps\": 192.0.2.41 }
";

#[test]
fn what_a_driver_cannot_do_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stack.yaml");
    let refused = |driver: &str| {
        let text = STACK.replace("DRIVER", driver);
        std::fs::write(&file, text).unwrap();
        tool().run(["render", "--stack", &file.display().to_string()]).end()
    };
    let told = refused("dnsmasq").refused(65).stderr;
    for words in [
        "stack.yaml:7:11: dns.driver: the driver dnsmasq answers",
        "dns.driver: the driver dnsmasq answers everybody alike, but",
        "may not see the same names",
        "the driver dnsmasq cannot leave out replicas that are not ready",
        "write health: off",
        "dns.records.part: the driver dnsmasq cannot delegate a zone",
        "dns.records.away: the driver dnsmasq has aliases only of names of the stack",
        "dns.records.*.apps: the driver dnsmasq has no wildcards",
    ] {
        assert!(told.contains(words), "{words}\n{told}");
    }
    let told = refused("bind").refused(65).stderr;
    assert!(told.contains("the driver bind cannot leave out replicas that are not ready"), "{told}");
    assert!(!told.contains("wildcards"), "{told}");
    let own = refused("embedded").with(0).document();
    assert_eq!((&own["schema"], &own["driver"]), (&"lsx.dns.render/1".into(), &"embedded".into()));
    assert!(own["files"]["names.json"].as_str().unwrap().contains("away.internal"), "{own}");
    let text = STACK.replace("DRIVER", "bind\n  health: off");
    std::fs::write(&file, text).unwrap();
    let bind = tool().run(["render", "h1", "--stack", &file.display().to_string()]).end().with(0).document();
    assert_eq!(bind["argv"][0], "named", "{bind}");
    assert!(
        bind["files"]["named.conf"].as_str().unwrap().contains("match-clients { 10.1.0.0/24; };"),
        "{bind}"
    );
}

//! LStacker's own example: every name that the original wrote into hosts files is answered, in both directions.

use crate::tool;
use common::stack::{ReadOptions, read, resolve};
use domain::base::Name;
use domain::base::iana::Rtype;
use lsx_dns::zone::{Outcome, Tables};
use lsx_tests::{lstackers_hosts, top};
use std::net::Ipv4Addr;

const FILE: &str = "tests/fixtures/stack/lstacker/stack.yaml";

#[test]
fn names_of_the_original_are_answered() {
    let text = std::fs::read_to_string(top(FILE)).unwrap();
    let (mut stack, _) = read(&text, FILE, &ReadOptions::default()).unwrap_or_else(|f| panic!("{f}"));
    stack.dns = Some(common::stack::Dns::default());
    let resolved = resolve(&stack).unwrap_or_else(|f| panic!("{f}"));
    let config = lsx_dns::plan::config(&stack, &resolved, "lxd1", &[]).unwrap();
    let tables = Tables::new(&config, 1).unwrap();
    let hosts = lstackers_hosts();
    assert_eq!(hosts.len(), 7);
    let ask = |source: Ipv4Addr, name: &str, kind| match tables.answer(
        source,
        &Name::vec_from_str(name).unwrap(),
        kind,
        false,
    ) {
        Outcome::Answer(answer) => answer.records,
        Outcome::Forward { .. } => panic!("{name} is forwarded"),
    };
    for (address, name) in &hosts {
        let address: Ipv4Addr = address.parse().unwrap();
        // As its own instance asks.
        let records = ask(address, name, Rtype::A);
        let all: Vec<String> = records.iter().map(|record| record.data().to_string()).collect();
        assert_eq!(all, [address.to_string()], "{name}");
        let [a, b, c, d] = address.octets();
        let back = ask(address, &format!("{d}.{c}.{b}.{a}.in-addr.arpa"), Rtype::PTR);
        assert_eq!(back.len(), 1, "{name}");
        assert_eq!(back[0].data().to_string().trim_end_matches('.'), name);
    }
    // The hosts files of its networks have them, too.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stack.json");
    let document = common::stack::resolved_document(&stack, &resolved);
    std::fs::write(&file, serde_json::to_string(&document).unwrap()).unwrap();
    let mut written = Vec::new();
    for network in &resolved.networks {
        let args = ["hosts", &network.name, "--stack", &file.display().to_string()];
        let text = tool().run(args).end().with(0).stdout;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (address, names) = line.split_once('\t').unwrap();
            let own = |name: &&str| name.ends_with(&format!(".{}", network.domain));
            written.extend(names.split(' ').filter(own).map(|name| (address.to_owned(), name.to_owned())));
        }
    }
    for pair in &hosts {
        assert!(written.contains(pair), "{pair:?}");
    }
}

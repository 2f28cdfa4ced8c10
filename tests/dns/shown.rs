//! The verbs `explain`, `zone` and `hosts`.

use crate::{resolved, tool};
use lsx_tests::top;
use std::process::Command;

const STACK: &str = "tests/fixtures/dns/up/stack.yaml";

fn stack() -> String {
    top(STACK).display().to_string()
}

#[test]
fn the_line_that_gives_an_answer_is_named() {
    let file = stack();
    let explained = |words: &[&str]| {
        let args = [&["explain", "--stack", &file], words].concat();
        tool().run(args).end().with(0).document()
    };
    let lines = std::fs::read_to_string(&file).unwrap();
    let line = |word: &str| 1 + lines.lines().position(|line| line.trim_start().starts_with(word)).unwrap();
    for (words, path, word) in [
        (&["db.storage.internal", "--from", "production"][..], "instances.db", "db:"),
        (&["web.production.internal", "--from", "web-2"], "instances.web", "web:"),
        (&["h2.host.internal"], "hosts.h2", "hosts:"),
        (&["printer.internal"], "dns.records.printer", "records:"),
        (&["_http._tcp.internal", "srv", "--from", "production"], "dns.services.http", "services:"),
        (&["ns.internal", "--from", "production"], "networks.production.gateway", "production:"),
        (&["192.0.2.12"], "hosts.h2", "hosts:"),
    ] {
        let told = explained(words);
        assert_eq!(told["schema"], "lsx.dns.explain/1");
        let source = &told["sources"][0];
        assert_eq!(source["path"], path, "{words:?}: {told}");
        let at = source["at"].as_str().unwrap();
        assert!(at.starts_with(&format!("{file}:{}:", line(word))), "{words:?}: {at}");
        assert!(source.get("why").is_none(), "{told}");
    }
    // What is hidden is told with the reason, and so is what nobody has.
    let hidden = explained(&["web-1.production.internal", "--from", "storage"]);
    let source = &hidden["sources"][0];
    assert_eq!((&hidden["expected"]["code"], &source["path"]), (&"NXDOMAIN".into(), &"instances.web".into()));
    assert!(
        source["why"].as_str().unwrap().starts_with("no allow leads from storage to 10.104.0."),
        "{hidden}"
    );
    let missing = explained(&["nothing.internal"]);
    assert_eq!(missing["sources"][0]["why"], "nothing in the document", "{missing}");
    let other = explained(&["www.example.org"]);
    assert_eq!(other["sources"][0]["why"], "asked from those of the host", "{other}");
}

#[test]
fn zone_files_are_what_other_servers_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut read = 0;
    for (file, text) in crate::laws::stacks() {
        let (_, resolved) = resolved(&text);
        let stack = folder.path().join("stack.yaml");
        std::fs::write(&stack, &text).unwrap();
        let stack = stack.display().to_string();
        for network in resolved.networks.iter().filter(|at| at.gateway.is_some()) {
            let config = crate::config(&text, network.gateway.as_ref().unwrap());
            for zone in &config.zones {
                let args = ["zone", zone, "--from", &network.name, "--stack", &stack, "--serial", "7"];
                let out = folder.path().join("zone").display().to_string();
                let _ = tool().run([&args[..], &["-o", &out]].concat()).end().with(0);
                // Whether names outside have addresses is another question.
                let checked = Command::new("named-checkzone")
                    .args(["-i", "local-sibling", zone, &out])
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&checked.stdout);
                let zone_text = std::fs::read_to_string(&out).unwrap();
                assert!(checked.status.success(), "{file} {zone} {}: {said}\n{zone_text}", network.name);
                assert!(said.contains("loaded serial 7"), "{said}");
                read += 1;
            }
        }
    }
    assert!(read > 20, "{read}");
    let ended = tool().run(["zone", "intern", "--stack", &stack()]).end().refused(64);
    assert!(ended.stderr.contains("no zone intern") && ended.stderr.contains("internal"), "{}", ended.stderr);
}

#[test]
fn hosts_files_have_the_names_that_a_network_may_reach() {
    let of = |network: &str| {
        let text = tool().run(["hosts", network, "--stack", &stack()]).end().with(0).stdout;
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    let production = of("production");
    assert!(production.contains(&"192.0.2.11\th1.host.internal".to_owned()), "{production:?}");
    assert!(production.contains(&"10.105.0.144\tdb.storage.internal".to_owned()), "{production:?}");
    let web = "10.104.0.227\tweb-1.production.internal web.production.internal web-1 web";
    assert!(production.contains(&web.to_owned()), "{production:?}");
    let storage = of("storage");
    assert!(storage.contains(&"10.105.0.144\tdb.storage.internal db".to_owned()), "{storage:?}");
    assert!(storage.iter().all(|line| !line.contains("web")), "{storage:?}");
    let ended = tool().run(["hosts", "prodction", "--stack", &stack()]).end().refused(64);
    assert!(ended.stderr.contains("no network prodction") && ended.stderr.contains("production"));
}

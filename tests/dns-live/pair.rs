//! Clients change names of servers on two hosts: the one of h1 keeps them.

use crate::town::{HOSTS, Town, run};
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[
    ("servers_on_two_hosts_have_the_same_names", servers_on_two_hosts_have_the_same_names),
    ("nobody_else_reaches_the_server_that_keeps_names", nobody_else_reaches_the_server_that_keeps_names),
    ("while_no_server_keeps_names_others_answer", while_no_server_keeps_names_others_answer),
    ("what_is_acknowledged_anywhere_survives_kills", what_is_acknowledged_anywhere_survives_kills),
    ("names_move_to_another_host_whole_or_not_at_all", names_move_to_another_host_whole_or_not_at_all),
];

pub(crate) const KEY: &str = "/tmp/desk.key";

/// The stack, and the key of its client on both hosts.
pub(crate) fn up(lab: &Lab) -> Town<'_> {
    lab.file("seed", "0123456789abcdef0123456789abcdef\n");
    let pair = Town::of(lab, "pair", include_str!("pair.yaml"));
    let key = pair.dns(&["key", "desk", "--stack", &pair.file]).ok().stdout;
    for host in HOSTS {
        lab.exec_with(host, &["bash", "-c", &format!("umask 77; cat >{KEY}")], key.as_bytes()).ok();
    }
    pair
}

/// What nsupdate says, in an instance's place, to its own name server.
pub(crate) fn update(pair: &Town<'_>, from: &str, key: &str, lines: &str) -> (bool, String) {
    let text = format!("server {}\n{lines}\nsend\n", pair.resolver(from));
    let command = format!("ip netns exec pair.{from} nsupdate -t 30 {key}");
    let ran = pair.lab.exec_with(pair.host_of(from), &["bash", "-c", &command], text.as_bytes());
    (ran.code == 0, format!("{}{}", ran.stdout, ran.stderr))
}

#[track_caller]
pub(crate) fn updated(pair: &Town<'_>, from: &str, lines: &str) {
    let (done, said) = update(pair, from, &format!("-k {KEY}"), lines);
    assert!(done && said.is_empty(), "{from} {lines}: {said}\n{}", logs(pair));
}

pub(crate) fn logs(pair: &Town<'_>) -> String {
    let tail = |host| pair.lab.script(host, "tail -n 20 /var/lib/lsx/dns/pair/log/names/log").stdout;
    HOSTS.map(tail).concat()
}

pub(crate) fn serial(pair: &Town<'_>, from: &str) -> Option<String> {
    pair.short(from, "internal SOA").first()?.split(' ').nth(2).map(str::to_owned)
}

/// Both servers have this, sooner or later.
#[track_caller]
pub(crate) fn both(pair: &Town<'_>, words: &str, wanted: &[&str]) {
    for from in ["ann", "bob"] {
        let there = until(60, || pair.short(from, words) == wanted);
        assert!(there, "{from} {words}: {:?}\n{}", pair.short(from, words), logs(pair));
    }
}

fn servers_on_two_hosts_have_the_same_names(lab: &Lab) {
    let pair = up(lab);
    // To the server that does not keep them, by UDP and TCP; the one that does has them at once.
    updated(&pair, "bob", "update add one.internal 60 A 192.0.2.1\nupdate add two.internal 60 TXT two");
    assert_eq!(pair.short("ann", "one.internal"), ["192.0.2.1"]);
    both(&pair, "one.internal", &["192.0.2.1"]);
    let (done, said) = update(
        &pair,
        "bob",
        &format!("-v -k {KEY}"),
        "prereq yxrrset one.internal A 192.0.2.1\nupdate add three.internal 60 A 192.0.2.3",
    );
    assert!(done, "{said}");
    both(&pair, "three.internal", &["192.0.2.3"]);
    updated(&pair, "ann", "update delete one.internal");
    both(&pair, "one.internal", &[]);
    both(&pair, "two.internal TXT", &["\"two\""]);
    assert!(until(60, || serial(&pair, "ann").is_some_and(|one| serial(&pair, "bob") == Some(one))));
    // The rules are the same everywhere.
    let add = "update add no.internal 60 A 192.0.2.9";
    for from in ["ann", "bob"] {
        for (key, lines, code) in [
            ("", add, "REFUSED"),
            ("-k /tmp/wrong.key", add, "BADSIG"),
            (&format!("-k {KEY}"), "update add printer.internal 60 A 192.0.2.9", "REFUSED"),
            (&format!("-k {KEY}"), "prereq nxdomain two.internal\nupdate delete two.internal", "YXDOMAIN"),
        ] {
            let wrong = format!("sed 's/secret \"./secret \"Z/' {KEY} >/tmp/wrong.key");
            lab.script(pair.host_of(from), &wrong).ok();
            let (done, said) = update(&pair, from, key, lines);
            assert!(!done && said.contains(code), "{from} {key} {lines}: {said}");
        }
    }
    both(&pair, "no.internal", &[]);
    // Another document, on both.
    let file = pair.changed("printer: 192.0.2.40", "printer: 192.0.2.41");
    assert!(pair.changes(&file) > 0);
    assert_eq!(pair.changes(&file), 0);
    both(&pair, "printer.internal", &["192.0.2.41"]);
    assert!(until(60, || serial(&pair, "ann").is_some_and(|one| serial(&pair, "bob") == Some(one))));
    both(&pair, "two.internal TXT", &["\"two\""]);
    pair.down();
}

fn nobody_else_reaches_the_server_that_keeps_names(lab: &Lab) {
    let pair = up(lab);
    let port = &pair.resolved["tunnel_port"];
    let dig =
        |from: &str| format!("{from} dig +tcp +tries=1 +time=3 @198.18.0.11 -p {port} printer.internal");
    // The router of the other host does, and asks like a stranger: nothing is told without the key.
    let told = lab.script("h2", &dig("ip netns exec lsx-pair")).ok().stdout;
    assert!(told.contains("status: REFUSED") && !told.contains("192.0.2.40"), "{told}");
    // Neither does its own host, nor the operator's machine, nor an instance of this stack or of another one.
    let alien = lab.file("alien.yaml", include_str!("alien.yaml"));
    let up = run(lab, 0, &["up", &alien]).ok().json();
    lab.script("h2", "ip netns add alien.eve").ok();
    let at = &up["resolved"]["instances"][0];
    let mut nic = at["nics"][0].clone();
    nic["stack"] = "alien".into();
    nic["instance"] = at["name"].clone();
    nic["netns"] = "alien.eve".into();
    lab.exec_with("h2", &[&pair.net_on("h2"), "attach"], format!("{nic}\n").as_bytes()).ok();
    let reaches = "ip netns exec alien.eve ping -c 1 -W 5 198.18.0.11";
    assert!(until(60, || lab.script("h2", reaches).code == 0), "eve reaches the host itself");
    for (host, from) in [("h2", "ip netns exec alien.eve"), ("h2", "ip netns exec pair.bob"), ("h1", "")] {
        let told = lab.script(host, &format!("{} || true", dig(from))).ok().stdout;
        assert!(!told.contains("status:"), "{host} {from}: {told}");
    }
    let stranger = lab.run(&["bash", "-c", &format!("{} || true", dig(""))]).ok().stdout;
    assert!(!stranger.contains("status:"), "{stranger}");
    let at = at["name"].as_str().unwrap();
    lab.script("h2", &format!("ip netns del alien.{at}")).ok();
    assert!(until(60, || run(lab, 0, &["down", &alien]).code == 0));
    // What is missing is told, and made again.
    lab.script("h1", "nft flush chain inet lsx-pair prerouting").ok();
    run(lab, 0, &["plan", "--exit-code", &pair.file]).exits(2);
    run(lab, 0, &["up", &pair.file]).ok();
    let told = lab.script("h2", &dig("ip netns exec lsx-pair")).ok().stdout;
    assert!(told.contains("status: REFUSED"), "{told}");
    pair.down();
}

/// Kills the worker and the supervisor of a host.
pub(crate) fn kill(pair: &Town<'_>, host: &str) {
    let both = format!("kill -9 {} {}", pair.recorded(host, "supervisor"), pair.recorded(host, "pid"));
    pair.lab.script(host, &both).ok();
}

fn while_no_server_keeps_names_others_answer(lab: &Lab) {
    let pair = up(lab);
    updated(&pair, "bob", "update add one.internal 60 A 192.0.2.1");
    both(&pair, "one.internal", &["192.0.2.1"]);
    kill(&pair, "h1");
    let (done, said) = update(&pair, "bob", &format!("-k {KEY}"), "update add two.internal 60 A 192.0.2.2");
    assert!(!done && said.contains("SERVFAIL"), "{said}");
    assert_eq!(pair.short("bob", "one.internal"), ["192.0.2.1"]);
    // So it is for a worker that begins meanwhile.
    let worker = pair.recorded("h2", "pid");
    lab.script("h2", &format!("kill -9 {worker}")).ok();
    assert!(until(60, || pair.recorded("h2", "pid") != worker));
    assert!(until(60, || pair.short("bob", "one.internal") == ["192.0.2.1"]), "{}", logs(&pair));
    assert_eq!(pair.short("bob", "printer.internal"), ["192.0.2.40"]);
    // It is back.
    assert!(pair.changes(&pair.file) > 0);
    updated(&pair, "bob", "update add three.internal 60 A 192.0.2.3");
    both(&pair, "three.internal", &["192.0.2.3"]);
    both(&pair, "one.internal", &["192.0.2.1"]);
    both(&pair, "two.internal", &[]);
    // Its log says since when it was behind.
    assert!(logs(&pair).contains("names of clients may be out of date"), "{}", logs(&pair));
    pair.down();
}

/// Adds names one after the other until /tmp/enough is there, and writes down which were acknowledged.
pub(crate) const CLIENT: &str = r#"
rm -f /tmp/enough /tmp/acked; touch /tmp/acked
i=0
while [ ! -e /tmp/enough ]; do
    i=$((i + 1))
    printf 'server SERVER\nzone internal\nupdate add NAME%s.internal 60 TXT v%s\nsend\n' $i $i |
        ip netns exec pair.NAME nsupdate -t 30 -k /tmp/desk.key && echo NAME$i >>/tmp/acked
done
"#;

/// The names that were acknowledged to the client on a host.
pub(crate) fn acked(pair: &Town<'_>, host: &str) -> Vec<String> {
    let all = pair.lab.script(host, "cat /tmp/acked 2>/dev/null || true").ok().stdout;
    all.lines().map(str::to_owned).collect()
}

fn what_is_acknowledged_anywhere_survives_kills(lab: &Lab) {
    let pair = up(lab);
    for (host, from) in [("h1", "ann"), ("h2", "bob")] {
        let client = CLIENT.replace("SERVER", &pair.resolver(from)).replace("NAME", from);
        lab.exec(host, &["bash", "-c", &format!("({client}) </dev/null >/tmp/client.log 2>&1 &")]).ok();
    }
    let acked = |host: &str| acked(&pair, host);
    let more = |host: &str, than: usize| assert!(until(120, || acked(host).len() > than), "{}", logs(&pair));
    for round in 0..4 {
        let before = HOSTS.map(|host| acked(host).len());
        HOSTS.iter().zip(before).for_each(|(host, before)| more(host, before + 3));
        // The worker, of either host, or worker and supervisor of the one that keeps the names.
        match round {
            0 | 2 => lab
                .script(HOSTS[round / 2], &format!("kill -9 {}", pair.recorded(HOSTS[round / 2], "pid")))
                .ok(),
            _ => {
                kill(&pair, "h1");
                assert!(pair.changes(&pair.file) > 0);
                continue;
            }
        };
    }
    let before = HOSTS.map(|host| acked(host).len());
    HOSTS.iter().zip(before).for_each(|(host, before)| more(host, before + 3));
    for host in HOSTS {
        lab.script(host, "touch /tmp/enough").ok();
        assert!(until(120, || lab.script(host, "pgrep -f '[n]supdate -t 30'").code != 0));
    }
    assert!(until(60, || serial(&pair, "ann").is_some_and(|one| serial(&pair, "bob") == Some(one))));
    let names: Vec<String> = HOSTS.iter().flat_map(|host| acked(host)).collect();
    println!("{} updates acknowledged by two servers while they were killed", names.len());
    let asked: String = names.iter().map(|name| format!("{name}.internal TXT\n")).collect();
    let wanted: String = names.iter().map(|name| format!("\"v{}\"\n", &name[3..])).collect();
    for from in ["ann", "bob"] {
        let host = pair.host_of(from);
        lab.exec_with(host, &["bash", "-c", "cat >/tmp/asked"], asked.as_bytes()).ok();
        let told = pair.dig(from, "+short -f /tmp/asked");
        assert_eq!(told, wanted, "{from}\n{}", logs(&pair));
    }
    pair.down();
}

fn names_move_to_another_host_whole_or_not_at_all(lab: &Lab) {
    let pair = up(lab);
    updated(&pair, "bob", "update add one.internal 60 A 192.0.2.1");
    both(&pair, "one.internal", &["192.0.2.1"]);
    // Not while they are kept elsewhere.
    let moved = pair.changed("  rate:", "  host: h2\n  rate:");
    let refused = pair.dns(&["up", &moved]).exits(65);
    assert!(
        refused.stderr.contains("are kept by h1") && refused.stderr.contains("lsx-dns down"),
        "{}",
        refused.stderr
    );
    // Not to one that was left behind.
    lab.script(
        "h2",
        &format!("kill -9 {} {}", pair.recorded("h2", "supervisor"), pair.recorded("h2", "pid")),
    )
    .ok();
    updated(&pair, "ann", "update add two.internal 60 A 192.0.2.2");
    pair.dns(&["down", &moved]).ok();
    let refused = pair.dns(&["up", &moved]).exits(65);
    assert!(refused.stderr.contains("h1 has newer names"), "{}", refused.stderr);
    let journal = "/var/lib/lsx/dns/pair/data/names/journal";
    let bytes = lab.script("h1", &format!("cat {journal}")).ok().stdout;
    lab.exec_with("h2", &["bash", "-c", &format!("cat >{journal}")], bytes.as_bytes()).ok();
    pair.dns(&["up", &moved]).ok();
    both(&pair, "one.internal", &["192.0.2.1"]);
    both(&pair, "two.internal", &["192.0.2.2"]);
    // h1 now passes on, which needs the way from there.
    run(lab, 0, &["up", &moved]).ok();
    updated(&pair, "ann", "update add three.internal 60 A 192.0.2.3");
    assert_eq!(pair.short("bob", "three.internal"), ["192.0.2.3"]);
    both(&pair, "three.internal", &["192.0.2.3"]);
    let refused = pair.dns(&["up", &pair.changed("  rate:", "  rate:")]).exits(65);
    assert!(refused.stderr.contains("are kept by h2"), "{}", refused.stderr);
    pair.dns(&["down", &moved]).ok();
    pair.down();
}

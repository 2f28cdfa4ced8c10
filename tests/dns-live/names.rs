//! What instances get for names.

use crate::load::Upstream;
use crate::town::{HOSTS, Town};
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[
    ("instances_get_the_names_that_they_may_reach", instances_get_the_names_that_they_may_reach),
    (
        "names_of_others_are_forwarded_and_private_ones_are_not",
        names_of_others_are_forwarded_and_private_ones_are_not,
    ),
    ("answers_of_others_are_kept", answers_of_others_are_kept),
    ("a_source_above_its_rate_proves_its_address", a_source_above_its_rate_proves_its_address),
    ("records_of_all_types_follow_their_views", records_of_all_types_follow_their_views),
    ("answers_have_the_form_that_clients_need", answers_have_the_form_that_clients_need),
];

fn instances_get_the_names_that_they_may_reach(lab: &Lab) {
    let town = Town::up(lab);
    let (web1, web2) = (town.address("web-1.back.internal"), town.address("web-2.back.internal"));
    let mut webs = vec![web1.clone(), web2.clone()];
    webs.sort();
    // ann is on the other host than the gateway, and in another network than the servers.
    assert_eq!(town.short("ann", "web.back.internal"), webs);
    assert_eq!(town.short("ann", "+tcp web-1.back.internal"), std::slice::from_ref(&web1));
    assert_eq!(town.short("ann", "h2.host.internal"), ["198.18.0.12"]);
    assert_eq!(town.short("ann", "printer.internal"), ["192.0.2.40"]);
    assert_eq!(town.short("ann", &format!("-x {web1}")), ["web-1.back.internal."]);
    assert_eq!(town.short("ann", "_http._tcp.back.internal SRV").len(), 2);
    let hidden = town.dig("ann", "db.back.internal");
    assert!(hidden.contains("status: NXDOMAIN") && hidden.contains("IN\tSOA\tns.internal."), "{hidden}");
    // In its own network it is there, also over two hosts.
    assert_eq!(town.short("web-1", "db.back.internal"), [town.address("db.back.internal")]);
    assert!(town.dig("web-1", "ann.front.internal").contains("status: NXDOMAIN"));
    // An instance of two networks has the gateway of one, on another host than itself, and sees both.
    assert_eq!(town.resolver("both"), "10.142.0.1");
    assert_eq!(town.short("both", "ann.front.internal"), [town.address("ann.front.internal")]);
    assert_eq!(town.short("both", "both.lone.internal"), [town.address("both.lone.internal")]);
    // The tool asks as an instance does.
    let query = |words: &[&str]| town.dns(&[&["query", "--stack", &town.file], words].concat());
    let told = query(&["web-1.back.internal", "--from", "front", "--tcp"]).ok().json();
    assert_eq!((&told["same"], &told["zone"]), (&true.into(), &"internal".into()), "{told}");
    assert_eq!(told["answer"]["records"][0]["data"], web1.as_str(), "{told}");
    let told = query(&["db.back.internal", "--from", "ann"]).ok().json();
    assert_eq!((&told["same"], &told["answer"]["code"]), (&true.into(), &"NXDOMAIN".into()), "{told}");
    let other = town.changed("printer: 192.0.2.40", "printer: 192.0.2.41");
    let differs = town.dns(&["query", "printer.internal", "--from", "both", "--stack", &other]);
    assert_eq!((differs.code, differs.json()["same"].clone()), (2, false.into()), "{}", differs.stderr);
    let again = town.changed("printer: 192.0.2.40", "printer: 192.0.2.40");
    assert_eq!(again, town.file);
    // Twice changes nothing, and the tool says what runs.
    assert_eq!(town.changes(&town.file), 0);
    town.dns(&["check", &town.file]).ok();
    for host in HOSTS {
        let tool = lab.script(host, "ls -t /var/lib/lsx/bin/*/lsx-dns | head -1").ok().stdout;
        let seen = lab.exec(host, &[tool.trim(), "observe"]).ok().json();
        let server =
            seen["objects"].as_array().unwrap().iter().find(|o| o["key"] == "service:names").unwrap();
        let digest = lab.script(host, "sha256sum < /run/lsx/town/dns/names.service.json").ok().stdout;
        assert_eq!(server["object"]["running"], true, "{server}");
        assert!(digest.starts_with(server["object"]["config"].as_str().unwrap()), "{server}");
        // The worker has no root, and cannot get it.
        let status = format!("cat /proc/{}/status", town.recorded(host, "pid"));
        let status = lab.script(host, &status).ok().stdout;
        let line = |key: &str| status.lines().find_map(|l| l.strip_prefix(key)).unwrap().trim().to_owned();
        assert!(line("Uid:").split_whitespace().all(|id| id.parse::<u32>().unwrap() > 1_000_000), "{status}");
        assert_eq!((line("CapEff:"), line("NoNewPrivs:")), ("0".repeat(16), "1".to_owned()));
    }
    town.down();
}

fn answers_have_the_form_that_clients_need(lab: &Lab) {
    let town = Town::up(lab);
    // Larger than a datagram: cut, and whole by TCP; dig asks again by itself.
    let cut = town.dig("ann", "+ignore long.internal TXT");
    assert!(cut.contains(" tc ") && cut.contains("ANSWER: 0"), "{cut}");
    assert_eq!(town.short("ann", "long.internal TXT").len(), 15);
    assert!(town.dig("ann", "+noedns +ignore long.internal TXT").contains(" tc "));
    for (words, has) in [
        ("internal ANY", "status: REFUSED"),
        ("internal AXFR", "failed"),
        ("+opcode=NOTIFY internal", "status: NOTIMP"),
        ("+ednsopt=10:0123456789abcdef web.back.internal", "status: NOERROR"),
        ("+edns=1 +noednsnegotiation web.back.internal", "status: BADVERS"),
        ("-c CH version.bind TXT", "status: REFUSED"),
        ("internal SOA", "flags: qr aa rd ra;"),
        ("web.back.internal AAAA", "ANSWER: 0, AUTHORITY: 1"),
        ("WEB.BACK.INTERNAL", "WEB.BACK.INTERNAL."),
        ("5.9.9.10.in-addr.arpa PTR", "status: NXDOMAIN"),
    ] {
        let said = town.dig("ann", words).to_string();
        let said = if has == "failed" { said.to_lowercase() } else { said };
        assert!(said.contains(has), "{words}\n{said}");
    }
    // A stranger: the host itself, which is no source of the stack.
    let space = "ip netns exec lsx-town";
    let stranger = lab
        .script("h1", &format!("{space} dig -b 127.0.0.1 @127.0.0.1 +tries=1 +time=1 internal SOA || true"));
    assert!(!stranger.stdout.contains("status:"), "only gateways' addresses answer: {}", stranger.stdout);
    town.down();
}

fn records_of_all_types_follow_their_views(lab: &Lab) {
    let town = Town::up(lab);
    let web1 = town.address("web-1.back.internal");
    for (words, answers) in [
        ("all.internal A", &["192.0.2.50", "192.0.2.51"][..]),
        ("all.internal AAAA", &["2001:db8::50"]),
        ("all.internal MX", &["10 printer.internal.", "20 mail.example.org."]),
        ("all.internal TXT", &["\"a \\\"b\\\" \\\\ c\""]),
        ("all.internal SRV", &["1 5 443 web-1.back.internal."]),
        ("all.internal PTR", &["printer.internal."]),
        ("all.internal CAA", &["0 issue \"ca.example.org\""]),
        ("away.internal CNAME", &["www.example.org."]),
        // Delegated: the answer says whom to ask, with its address.
        ("part.internal NS", &[]),
        ("internal NS", &["ns.internal."]),
        ("internal MX", &["10 printer.internal."]),
        ("internal A", &["192.0.2.60"]),
        ("any.apps.internal A", &["192.0.2.61"]),
        ("deep.any.apps.internal A", &["192.0.2.61"]),
        // A name that is there has no wildcard.
        ("shop.apps.internal A", &[]),
        ("shop.apps.internal TXT", &["\"one\""]),
        ("_http._tcp.internal SRV", &["0 0 80 web-1.back.internal.", "0 0 80 web-2.back.internal."]),
        ("_http._tcp.back.internal SRV", &["0 0 80 web-1.back.internal.", "0 0 80 web-2.back.internal."]),
        ("_http._tcp.web.back.internal SRV", &["0 0 80 web-1.back.internal.", "0 0 80 web-2.back.internal."]),
        ("secret.internal A", &["192.0.2.62"]),
        ("secret.internal TXT", &["\"for front\""]),
    ] {
        assert_eq!(town.short("ann", words), answers, "{words}");
    }
    assert_eq!(town.short("ann", &format!("-x {web1}")), ["web-1.back.internal."]);
    let part = town.dig("ann", "x.part.internal");
    assert!(part.contains("IN\tNS\tprinter.internal.") && part.contains("ANSWER: 0"), "{part}");
    // Other networks do not see it, whatever its type, and no wildcard stands in for it.
    for kind in ["A", "TXT"] {
        assert!(town.dig("web-1", &format!("secret.internal {kind}")).contains("status: NXDOMAIN"), "{kind}");
    }
    assert!(town.dig("both", "any.apps.internal").contains("192.0.2.61"));
    assert!(town.dig("web-1", "any.apps.internal").contains("status: NXDOMAIN"));
    town.dns(&["check", &town.file]).ok();
    town.down();
}

fn names_of_others_are_forwarded_and_private_ones_are_not(lab: &Lab) {
    let town = Town::up(lab);
    let upstream = Upstream::start(lab, "198.18.0.1");
    assert_eq!(town.short("ann", "www.example.org"), ["203.0.113.7"]);
    assert_eq!(town.short("both", "+tcp example.net"), ["203.0.113.7"]);
    assert_eq!(town.short("ann", "away.internal"), ["203.0.113.7", "www.example.org."]);
    for name in ["nothing.internal", "db.back.internal", "printer.local", "-x 10.9.9.9", "-x 192.168.1.1"] {
        assert!(town.dig("ann", name).contains("status: NXDOMAIN"), "{name}");
    }
    assert!(town.dig("ann", "+norecurse example.com").contains("status: REFUSED"));
    let mut asked = upstream.asked();
    asked.sort();
    assert_eq!(asked, ["example.net", "www.example.org"]);
    // Nobody is there any more.
    assert!(town.dig("ann", "+tries=1 +time=15 example.com").contains("status: SERVFAIL"));
    assert_eq!(town.short("ann", "h1.host.internal"), ["198.18.0.11"]);
    town.down();
}

fn answers_of_others_are_kept(lab: &Lab) {
    let town = Town::up(lab);
    let upstream = Upstream::start(lab, "198.18.0.1");
    let address = ["203.0.113.7"];
    assert_eq!(town.short("ann", "short.example.org"), address);
    for words in ["www.example.org", "+tcp WWW.example.org", "+noedns www.example.org"] {
        assert_eq!(town.short("ann", words), address);
        assert!(town.dig("ann", "missing.example.org").contains("status: NXDOMAIN"));
    }
    // Nothing is taken that was not asked for.
    assert!(!town.dig("ann", "www.example.net").contains("bank"));
    let asked = upstream.asked();
    for name in ["www.example.org", "missing.example.org"] {
        assert_eq!(asked.iter().filter(|at| at.eq_ignore_ascii_case(name)).count(), 1, "{name}: {asked:?}");
    }
    // Nobody is there any more: the time of an answer is counted down, and what is over is still given, with a remark.
    let kept = || town.dig("ann", "www.example.org");
    assert!(until(60, || !kept().contains("\t90\tIN")), "{}", kept());
    assert!(kept().contains(address[0]) && !kept().contains("EDE"), "{}", kept());
    let old = || town.dig("ann", "+time=15 short.example.org").contains("EDE: 3 (Stale Answer)");
    assert!(until(60, old), "{}", town.dig("ann", "+time=15 short.example.org"));
    assert_eq!(town.short("ann", "+tcp short.example.org"), address);
    // What never came is an error, with a reason.
    let failed = town.dig("ann", "+time=15 never.example.org");
    assert!(failed.contains("status: SERVFAIL") && failed.contains("EDE: 22"), "{failed}");
    town.down();
}

fn a_source_above_its_rate_proves_its_address(lab: &Lab) {
    let town = Town::up(lab);
    let cookie = town.dig("ann", "web.back.internal web.back.internal");
    assert!(cookie.contains("(good)"), "{cookie}");
    let slow = town.changed("rate: 100000", "rate: 1");
    assert!(town.changes(&slow) > 0);
    // Many questions of one process, so that they take much less than a second each.
    let many = |words: &str| town.dig("ann", &format!("{words} {}", "h1.host.internal ".repeat(40)));
    let limited = many("+nocookie +ignore");
    assert!(limited.contains(" tc ") && limited.contains("EDE: 31"), "{limited}");
    for words in ["+nocookie", "+nocookie +tcp", "+cookie"] {
        let all = many(&format!("+short {words}"));
        let answers = all.lines().filter(|line| *line == "198.18.0.11").count();
        assert_eq!(answers, 40, "{words}: {all}");
    }
    // The tool asks as other clients do.
    town.dns(&["check", &slow]).ok();
    town.down();
}

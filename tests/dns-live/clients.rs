//! Clients of other makers: Knot's, NLnet Labs' and BIND's, and the C library of an instance.

use crate::town::Town;
use lsx_tests::lab::Lab;

pub(crate) const CASES: &[crate::Case] =
    &[("clients_of_other_makers_get_the_same", clients_of_other_makers_get_the_same)];

fn clients_of_other_makers_get_the_same(lab: &Lab) {
    let town = Town::up(lab);
    let server = town.resolver("ann");
    let (web1, web2) = (town.address("web-1.back.internal"), town.address("web-2.back.internal"));
    let host = town.host_of("ann");
    let said = |command: &str| lab.script(host, &format!("ip netns exec town.ann {command}")).stdout;
    let sorted = |command: &str| {
        let said = said(command);
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let mut both = vec![web1.clone(), web2];
    both.sort();
    for words in ["", "+tcp", "+noedns", "+cookie", "+bufsize=4096 +dnssec"] {
        assert_eq!(sorted(&format!("kdig @{server} +short {words} web.back.internal")), both, "{words}");
    }
    let kdig = said(&format!("kdig @{server} +nsid db.back.internal"));
    assert!(kdig.contains("status: NXDOMAIN") && kdig.contains("SOA\tns.internal."), "{kdig}");
    assert!(!kdig.contains("NSID"), "who serves is nobody's business: {kdig}");
    let service = said(&format!("kdig @{server} +short SRV _http._tcp.back.internal"));
    assert_eq!(service.lines().count(), 2, "{service}");
    let drill = said(&format!("drill -t @{server} web-1.back.internal"));
    assert!(drill.contains("rcode: NOERROR") && drill.contains(&web1), "{drill}");
    let drill = said(&format!("drill @{server} -x {web1}"));
    assert!(drill.contains("PTR\tweb-1.back.internal."), "{drill}");
    let drill = said(&format!("drill -t @{server} TXT long.internal"));
    assert!(drill.contains("14xxx"), "{drill}");
    assert_eq!(said(&format!("delv -i @{server} +short web-1.back.internal")).trim(), web1);
    let delv = said(&format!("delv -i @{server} web-1.back.internal AAAA"));
    assert!(delv.contains("negative response") || delv.contains("ncache nxrrset"), "{delv}");
    // glibc: the file that an instance has, with a search list.
    let file = format!("nameserver {server}\nsearch front.internal back.internal\noptions timeout:5\n");
    let folder = "/etc/netns/town.ann";
    lab.script(host, &format!("mkdir -p {folder}; printf '%s' '{file}' > {folder}/resolv.conf")).ok();
    let hosts = |name: &str| {
        let mut all: Vec<String> = said(&format!("getent ahostsv4 {name}"))
            .lines()
            .filter(|line| line.contains("STREAM"))
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect();
        all.sort();
        all
    };
    assert_eq!(hosts("web.back.internal"), both);
    assert_eq!(hosts("web-1"), std::slice::from_ref(&web1), "found in the second domain of the list");
    assert_eq!(hosts("ann"), [town.address("ann.front.internal")]);
    assert!(hosts("db").is_empty() && hosts("nobody.back.internal").is_empty());
    assert!(said(&format!("getent hosts {web1}")).contains("web-1.back.internal"));
    lab.script(host, &format!("rm -r {folder}; rmdir /etc/netns 2>/dev/null || true")).ok();
    town.down();
}

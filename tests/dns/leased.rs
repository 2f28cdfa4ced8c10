//! Names that clients of DHCP tell, among all others.

use domain::base::Name;
use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::{Record, Ttl};
use domain::rdata::A;
use lsx_dns::zone::{Client, Outcome, Owner, Tables};

/// Two networks with DHCP, of which back may reach front; a third that may not.
const STACK: &str = "
stack: t
hosts: { h1: 192.0.2.11 }
networks:
  front: { cidr: 10.1.0.0/24, gateway: h1, dhcp_range: 10.1.0.100-10.1.0.199 }
  back: { cidr: 10.2.0.0/24, gateway: h1, dhcp_range: 10.2.0.100-10.2.0.199 }
  side: { cidr: 10.3.0.0/24, gateway: h1 }
allow: [{ from: back, to: front }]
instances:
  ann: { host: h1, networks: [{ name: front, address: 10.1.0.7 }] }
dns:
  records: { git: 192.0.2.9, \"*.back\": 192.0.2.10, hidden.front: { a: 192.0.2.11, networks: side } }
  dhcp:
    front: { lease: 90s, reserve: { printer: { mac: \"02:00:5e:00:53:01\", address: 10.1.0.150 } } }
    back: { lease: 1h }
";

fn name(text: &str) -> Owner {
    Name::vec_from_str(text).unwrap()
}

fn lease(tables: &mut Tables, all: &[(&str, &str)]) {
    let client = |address: &str| Client { address: address.parse().unwrap(), ttl: 30 };
    tables.set_leases(all.iter().map(|(text, address)| (name(text), client(address))).collect());
}

/// The data of the answer, or its code.
fn says(tables: &Tables, source: &str, asked: &str) -> String {
    let kind = if asked.ends_with(".arpa") { Rtype::PTR } else { Rtype::A };
    let outcome = tables.answer(source.parse().unwrap(), &name(asked), kind, true);
    let Outcome::Answer(answer) = outcome else { panic!("{outcome:?}") };
    match answer.code {
        Rcode::NOERROR => answer.records.iter().map(|record| record.data().to_string()).collect(),
        code => code.to_string(),
    }
}

const DESK: &str = "desk.front.internal";
const BACK: &str = "120.0.1.10.in-addr.arpa";

fn tables() -> Tables {
    Tables::new(&crate::config(STACK, "h1"), 7).unwrap()
}

#[test]
fn those_who_may_reach_a_client_see_its_name() {
    let mut tables = tables();
    lease(&mut tables, &[(DESK, "10.1.0.120")]);
    for source in ["10.1.0.7", "10.1.0.120", "10.2.0.130"] {
        assert_eq!(says(&tables, source, "DESK.front.internal"), "10.1.0.120", "{source}");
        assert_eq!(says(&tables, source, BACK).trim_end_matches('.'), DESK, "{source}");
    }
    for asked in [DESK, BACK] {
        assert_eq!(says(&tables, "10.3.0.7", asked), "NXDOMAIN");
    }
    // Another address, and then none.
    let version = tables.version();
    lease(&mut tables, &[(DESK, "10.1.0.121")]);
    assert_eq!(says(&tables, "10.1.0.7", DESK), "10.1.0.121");
    assert_eq!(says(&tables, "10.1.0.7", BACK), "NXDOMAIN");
    assert_eq!(says(&tables, "10.1.0.7", "121.0.1.10.in-addr.arpa").trim_end_matches('.'), DESK);
    let next = tables.version();
    lease(&mut tables, &[(DESK, "10.1.0.121")]);
    assert!(version < next && next == tables.version());
    lease(&mut tables, &[]);
    for asked in [DESK, "121.0.1.10.in-addr.arpa"] {
        assert_eq!(says(&tables, "10.1.0.7", asked), "NXDOMAIN");
    }
}

#[test]
fn a_client_has_no_name_of_anybody_else() {
    let mut tables = tables();
    let names = ["ann", "printer", "git", "hidden"];
    let before: Vec<String> =
        names.iter().map(|label| says(&tables, "10.1.0.120", &format!("{label}.front.internal"))).collect();
    for (label, before) in names.iter().zip(before) {
        let told = format!("{label}.front.internal");
        lease(&mut tables, &[(&told, "10.1.0.120")]);
        assert_eq!(says(&tables, "10.1.0.7", &told), before, "{told}");
        assert_eq!(says(&tables, "10.1.0.7", BACK), "NXDOMAIN", "{told}");
    }
    // Nor one that a wildcard of the document has.
    lease(&mut tables, &[("desk.back.internal", "10.2.0.120")]);
    assert_eq!(says(&tables, "10.2.0.7", "desk.back.internal"), "192.0.2.10");
    assert_eq!(says(&tables, "10.2.0.7", "120.0.2.10.in-addr.arpa"), "NXDOMAIN");
}

#[test]
fn an_update_takes_a_name_from_a_client_for_its_time() {
    let mut tables = tables();
    lease(&mut tables, &[(DESK, "10.1.0.120")]);
    let data = A::new("192.0.2.7".parse().unwrap());
    for taken in [DESK, "desk.internal", "*.front.internal"] {
        let record = Record::new(name(taken), Class::IN, Ttl::from_secs(60), data.clone().into());
        tables.set_name(&name(taken), &[record]);
        let expected = if taken == "desk.internal" { "NXDOMAIN" } else { "192.0.2.7" };
        assert_eq!(says(&tables, "10.1.0.7", DESK), expected, "{taken}");
        assert_eq!(says(&tables, "10.1.0.7", BACK), "NXDOMAIN", "{taken}");
        tables.set_name(&name(taken), &[]);
        assert_eq!(says(&tables, "10.1.0.7", DESK), "10.1.0.120", "{taken}");
        assert_eq!(says(&tables, "10.1.0.7", BACK).trim_end_matches('.'), DESK, "{taken}");
    }
}

#[test]
fn networks_with_dhcp_have_names_of_clients() {
    let config = crate::config(STACK, "h1");
    let all: Vec<(String, &str, u32)> =
        config.leased.iter().map(|at| (at.cidr.to_string(), at.domain.as_str(), at.ttl)).collect();
    let (front, back) = ("10.1.0.0/24".to_owned(), "10.2.0.0/24".to_owned());
    assert_eq!(all, [(back, "back.internal", 60), (front, "front.internal", 30)]);
}

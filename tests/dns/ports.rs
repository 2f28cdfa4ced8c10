//! SRV records of instances' ports.

use crate::config;
use domain::base::Name;
use domain::base::iana::Rtype;
use lsx_dns::model::Data;
use lsx_dns::zone::{Outcome, Tables};

const STACK: &str = "
stack: t
hosts: { h1: 192.0.2.11, h2: 192.0.2.12 }
networks:
  front: { cidr: 10.1.0.0/24, gateway: h1 }
  back: { cidr: 10.2.0.0/24, gateway: h1 }
allow: [{ from: front, to: instance/web }]
instances:
  web: { hosts: [h1, h2], count: 2, networks: back, ports: [\"80\", \"8443-8444:8443-8444\"], ready: { http: \":8000/up\" } }
  db: { host: h1, networks: [back, front], hostname: store, ready: { banner: \"5432:x\" }, ports: [\"5353:53/udp\", \"2222:22/tcp\", \"5000:80/udp\"] }
  ann: { host: h1, networks: front }
  shop: { host: h1, networks: back, ready: { tcp: 6379 } }
dns:
  records: { _redis._tcp.shop.back: { srv: [\"1 2 3 db.back\"] } }
";

#[test]
fn ports_with_known_names_are_services() {
    let config = config(&STACK.replace("db.back", "store.back"), "h1");
    let mut all: Vec<String> = config
        .records
        .iter()
        .filter_map(|entry| match &entry.data {
            Data::Srv(priority, weight, port, target) => {
                Some(format!("{} {priority} {weight} {port} {target}", entry.name))
            }
            _ => None,
        })
        .collect();
    all.sort();
    let expected = [
        // What the document writes counts.
        "_redis._tcp.shop.back.internal 1 2 3 store.back.internal",
        "_domain._udp.store.back.internal 0 0 53 store.back.internal",
        "_domain._udp.store.front.internal 0 0 53 store.front.internal",
        "_http._tcp.web.back.internal 0 0 80 web-1.back.internal",
        "_http._tcp.web.back.internal 0 0 80 web-2.back.internal",
        "_http._tcp.web.back.internal 0 0 8000 web-1.back.internal",
        "_http._tcp.web.back.internal 0 0 8000 web-2.back.internal",
        "_postgresql._tcp.store.back.internal 0 0 5432 store.back.internal",
        "_postgresql._tcp.store.front.internal 0 0 5432 store.front.internal",
        "_ssh._tcp.store.back.internal 0 0 22 store.back.internal",
        "_ssh._tcp.store.front.internal 0 0 22 store.front.internal",
    ];
    let mut expected = expected.map(str::to_owned);
    expected.sort();
    assert_eq!(all, expected);
    // They are seen where the instance is reached.
    let tables = Tables::new(&config, 1).unwrap();
    let count = |name: &str, source: &str| {
        let name = Name::vec_from_str(name).unwrap();
        match tables.answer(source.parse().unwrap(), &name, Rtype::SRV, true) {
            Outcome::Answer(answer) => answer.records.len(),
            Outcome::Forward { .. } => panic!("{name} is forwarded"),
        }
    };
    assert_eq!(count("_http._tcp.web.back.internal", "10.1.0.200"), 4);
    assert_eq!(count("_ssh._tcp.store.back.internal", "10.1.0.200"), 0);
    assert_eq!(count("_ssh._tcp.store.back.internal", "10.2.0.200"), 1);
}

//! Requests as clients may send them: whatever they are, nobody is told of others.

use super::*;
use crate::http::request::{self, Read};
use crate::model::{Interface, Machine, Meta};
use lsx_tests::{Dice, soak};
use std::collections::BTreeMap;

const ANN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const BOB: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 4);

fn server(tokens: bool) -> Server {
    let machine = |name: &str, address: Ipv4Addr| Machine {
        name: name.to_owned(),
        of: name.to_owned(),
        id: format!("id-of-{name}"),
        hostname: name.to_owned(),
        host: "h1".to_owned(),
        interfaces: vec![Interface {
            name: "eth0".to_owned(),
            network: "front".to_owned(),
            mac: format!("02:00:00:00:00:0{}", address.octets()[3]),
            address: ipnet::Ipv4Net::new(address, 24).unwrap(),
            fqdn: format!("{name}.front.internal"),
            mtu: 1450,
            gateway: None,
            resolver: Vec::new(),
            search: Vec::new(),
        }],
        user_data: vec![format!("file.{name}")],
        keys: vec![format!("file.{name}")],
        ..Machine::default()
    };
    let instances = vec![machine("ann", ANN), machine("bob", BOB)];
    let meta = Meta { stack: "town".to_owned(), tokens, instances, ..Meta::default() };
    let file = |name: &str| (format!("file.{name}"), format!("secret of {name}").into_bytes());
    let mut secrets = BTreeMap::from(["ann", "bob"].map(file));
    Server::new(&meta, &mut secrets).unwrap()
}

fn ask(server: &Server, source: Ipv4Addr, text: &str, now: u64) -> (u16, String) {
    let Read::Whole(request, _) = request::read(text.as_bytes()) else { panic!("{text}") };
    let reply = to(server, source, &request, now);
    (reply.status, String::from_utf8(reply.bytes().to_vec()).unwrap())
}

#[test]
fn a_token_is_asked_for_where_it_is_required() {
    let server = server(true);
    let id = "GET /latest/meta-data/instance-id HTTP/1.1\r\n";
    assert_eq!(ask(&server, ANN, &format!("{id}\r\n"), 0).0, 401);
    let put = "PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 10\r\n\r\n";
    let (status, token) = ask(&server, ANN, put, 5);
    assert_eq!(status, 200);
    let with = format!("{id}X-aws-ec2-metadata-token: {token}\r\n\r\n");
    assert_eq!(ask(&server, ANN, &with, 15), (200, "id-of-ann".to_owned()));
    assert_eq!(ask(&server, ANN, &with, 16).0, 401, "it is over");
    assert_eq!(ask(&server, BOB, &with, 5).0, 401);
    assert_eq!(ask(&server, STRANGER, put, 5).0, 404);
}

#[test]
fn every_listed_path_is_there() {
    let server = server(false);
    let get = |path: &str| ask(&server, ANN, &format!("GET /{path} HTTP/1.1\r\n\r\n"), 0);
    let mut left = vec!["latest/".to_owned()];
    let mut leaves = 0;
    while let Some(path) = left.pop() {
        let (status, text) = get(&path);
        assert_eq!(status, 200, "{path}");
        for line in text.lines() {
            match line.split_once('=') {
                Some((number, _)) => left.push(format!("{path}{number}/")),
                None if line.ends_with('/') => left.push(format!("{path}{line}")),
                None if path.ends_with("public-keys/") => panic!("{line}"),
                None => {
                    assert_eq!(get(&format!("{path}{line}")).0, 200, "{path}{line}");
                    leaves += 1;
                }
            }
        }
    }
    assert!(leaves > 15, "{leaves}");
}

/// Parts of requests.
const PARTS: [&str; 24] = [
    "GET ",
    "HEAD ",
    "PUT ",
    "POST ",
    "/latest",
    "/2021-03-23",
    "/1.0",
    "/nocloud",
    "/meta-data/",
    "/user-data",
    "/config/user.user-data",
    "/public-keys/0/openssh-key",
    "/../",
    "/dynamic/instance-identity/document",
    "?a=/b",
    "/api/token",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "Host: 169.254.169.254\r\n",
    "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n",
    "X-Forwarded-For: 10.0.0.3\r\n",
    "Content-Length: 0\r\n",
    "bob",
    "\r\n",
];

/// The first words of a good request, then parts in any order, and at times other bytes.
fn make(dice: &mut Dice) -> Vec<u8> {
    let below: String = (0..dice.below(3)).map(|_| PARTS[8 + dice.below(8)]).collect();
    let path = format!("{}{below}", PARTS[4 + dice.below(4)]);
    let lines: String = (0..dice.below(3)).map(|_| PARTS[18 + dice.below(4)]).collect();
    let method = PARTS[[0, 0, 0, 0, 1, 2, 3][dice.below(7)]];
    let mut bytes = format!("{method}{path} HTTP/1.1\r\n{lines}\r\n").into_bytes();
    for _ in 0..[0, 0, 0, 1, 3][dice.below(5)] {
        let at = dice.below(bytes.len());
        match dice.below(3) {
            0 => bytes[at] = u8::try_from(dice.below(256)).unwrap(),
            1 => bytes.truncate(at.max(1)),
            _ => drop(bytes.splice(at..at, PARTS[dice.below(PARTS.len())].bytes())),
        }
    }
    bytes
}

#[test]
fn soak_metadata() {
    let (open, closed) = (server(false), server(true));
    soak("dns-metadata", 5_000, 20, make, |bytes| {
        let Read::Whole(request, length) = request::read(bytes) else { return false };
        assert!(length <= bytes.len());
        let own = to(&open, ANN, &request, 1);
        let text = String::from_utf8_lossy(own.bytes()).into_owned();
        assert!(!text.contains("of-bob") && !text.contains("of bob"), "{text}");
        assert!(own.head(true).ends_with("\r\n\r\n") && own.head(false).matches("\r\n\r\n").count() == 1);
        let strange = to(&open, STRANGER, &request, 1);
        assert_ne!(strange.status, 200);
        let token = to(&closed, ANN, &request, 1);
        assert!(token.status != 200 || request.method == "PUT", "{request:?}");
        matches!(own.status, 200 | 404)
    });
}

//! The live check of boot files: in each network that gets them, an instance asks for each by TFTP and by HTTP, from its own place. It never
//! takes the last bytes, so that nothing counts as booted.

use super::volume::Refused;
use crate::model::{BOOT, Key};
use crate::plan::{TFTP, dhcp};
use common::host::{limit, namespace, spaces};
use common::tool::{Checked, Each, Finding, Goal, PlanInput};
use common::{Failure, Failures, Kind, fleet, printable};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

/// The time for each answer, how often a datagram is sent, and the longest answer.
const ANSWER: Duration = Duration::from_secs(5);
const TRIES: usize = 3;
const LENGTH: u64 = 64 * 1024;
/// The name that HTTP has in rows, beside `tftp`.
const BOTH: [&str; 2] = ["tftp", "http"];

/// What an instance of a network asks.
#[derive(Debug, Serialize, Deserialize)]
struct Ask {
    network: String,
    /// The host of the server.
    gateway: String,
    server: Ipv4Addr,
    http: u16,
    files: BTreeSet<String>,
    /// The first of them that runs asks: name, address and hardware address.
    askers: Vec<(String, Ipv4Addr, String)>,
}

/// Who has asked, and why there was no file by TFTP and HTTP, if so, for each file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Told {
    from: Option<String>,
    why: Vec<[Option<String>; 2]>,
}

/// Lets instances ask, and adds what they got.
pub(crate) fn check(input: &PlanInput<BTreeMap<String, Key>>, each: Each<'_>, checked: &mut Checked) {
    if !input.only.section("dns") {
        return;
    }
    let all = asks(input);
    if all.is_empty() {
        return;
    }
    let inputs = all.iter().map(|(host, asks)| (host.clone(), json!(asks))).collect();
    for (host, answer) in each("bootfiles", inputs) {
        let asks = all.get(&host).map(Vec::as_slice).unwrap_or_default();
        match answer.and_then(|told| Ok(fleet::shape::<Vec<Told>>(told)?)) {
            Err(failures) => checked.found(finding(&host, failures.to_string(), None)),
            Ok(told) => {
                asks.iter().zip(told).for_each(|(ask, told)| judge(checked, &host, ask, &told, input))
            }
        }
    }
}

/// By the host of the instances that ask.
fn asks(input: &PlanInput<BTreeMap<String, Key>>) -> BTreeMap<String, Vec<Ask>> {
    let mut all: BTreeMap<String, Vec<Ask>> = BTreeMap::new();
    let Goal::Up(stack, resolved) = &input.goal else { return all };
    for gateway in &input.hosts {
        let boot = dhcp::of(stack, resolved, &gateway.name).and_then(|dhcp| dhcp.boot);
        let Some(boot) = boot.filter(|boot| !boot.files.is_empty()) else { continue };
        for network in &boot.networks {
            let mut here: BTreeMap<&str, Vec<(String, Ipv4Addr, String)>> = BTreeMap::new();
            let takes_part = |host: &str| input.hosts.iter().any(|at| at.name == host);
            for at in resolved.instances.iter().filter(|at| takes_part(&at.host)) {
                let by = at
                    .nics
                    .iter()
                    .find(|nic| nic.network == network.name && !nic.address.addr().is_unspecified());
                let asker = by.map(|nic| (at.name.clone(), nic.address.addr(), nic.mac.to_lowercase()));
                here.entry(&at.host).or_default().extend(asker);
            }
            for (host, askers) in here.into_iter().filter(|(_, askers)| !askers.is_empty()) {
                all.entry(host.to_owned()).or_default().push(Ask {
                    network: network.name.clone(),
                    gateway: gateway.name.clone(),
                    server: network.address,
                    http: boot.http,
                    files: boot.files.values().cloned().collect(),
                    askers,
                });
            }
        }
    }
    all
}

fn judge(
    checked: &mut Checked,
    host: &str,
    ask: &Ask,
    told: &Told,
    input: &PlanInput<BTreeMap<String, Key>>,
) {
    let Some(from) = &told.from else {
        let names: Vec<&str> = ask.askers.iter().map(|(name, _, _)| name.as_str()).collect();
        let why = format!("{} does not run here", names.join(", "));
        checked.row(json!({
            "host": host, "network": ask.network, "from": names.first(), "server": ask.server, "asked": 0, "answered": 0, "why": why
        }));
        return;
    };
    for (number, (by, port)) in BOTH.into_iter().zip([TFTP, ask.http]).enumerate() {
        let at = format!("{}:{port}", ask.server);
        let wrong = told.why.iter().filter(|why| why[number].is_some()).count();
        let asked = told.why.len();
        checked.row(json!({
            "host": host, "network": ask.network, "from": from, "server": at, "names": ask.files.len(), "asked": asked,
            "answered": asked - wrong
        }));
        for (file, why) in ask.files.iter().zip(&told.why) {
            let Some(why) = &why[number] else {
                checked.passed();
                continue;
            };
            let message = format!("{from} asks {by}://{at} for the boot file {file} and gets none: {why}");
            let hint = if why == Refused::Missing.why() {
                "put it into the volume of dns.boot, or write its name right in dns.boot.files".to_owned()
            } else {
                let log = format!("/var/lib/lsx/dns/{}/log/{BOOT}/log", input.stack);
                format!("the log of the server is {log} on {}", ask.gateway)
            };
            checked.found(finding(host, message, Some(hint)));
        }
    }
}

fn finding(host: &str, message: String, hint: Option<String>) -> Finding {
    Finding { code: "dns.bootfile".to_owned(), host: host.to_owned(), message, hint }
}

/// What instances of this host get.
///
/// # Errors
/// A question that cannot be read.
pub(crate) fn answered(input: Value) -> Result<Value, Failures> {
    let wrong = |e: serde_json::Error| Failures::from(Failure::new(Kind::Bug, "dns.call", e.to_string()));
    let asks: Vec<Ask> = serde_json::from_value(input).map_err(wrong)?;
    let spaces = spaces::by_address();
    let told = |ask: &Ask| {
        let here =
            ask.askers.iter().find_map(|(name, at, mac)| Some((name, spaces.get(&(*at, mac.clone()))?)));
        let Some((name, space)) = here else { return Told::default() };
        let why = namespace::inside(space.as_fd(), || {
            let (mut tftp, mut http) = (None, None);
            let one = |file: &String| {
                [asked(&mut tftp, || by_tftp(ask, file)), asked(&mut http, || by_http(ask, file))]
            };
            ask.files.iter().map(one).collect()
        });
        let failed = |e: io::Error| [(); 2].map(|()| Some(format!("its namespace cannot be entered: {e}")));
        let why = why.unwrap_or_else(|e| vec![failed(e)]);
        Told { from: Some(name.clone()), why }
    };
    Ok(json!(asks.iter().map(told).collect::<Vec<_>>()))
}

/// Why there is no file: there is no server, or it has none.
enum No {
    Server(String),
    File(String),
}

impl From<io::Error> for No {
    fn from(e: io::Error) -> No {
        No::Server(e.to_string())
    }
}

/// Why there is no file, if so. A server that is not there is asked once.
fn asked(away: &mut Option<String>, ask: impl FnOnce() -> Result<(), No>) -> Option<String> {
    if away.is_some() {
        return away.clone();
    }
    match ask() {
        Ok(()) => None,
        Err(No::File(why)) => Some(why),
        Err(No::Server(why)) => away.insert(why).clone().into(),
    }
}

/// Asks by TFTP for the file's size, and ends the transfer when it is told. The answer is the server's, if it refuses a machine that has
/// booted.
fn by_tftp(ask: &Ask, file: &str) -> Result<(), No> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(ANSWER))?;
    let request = [b"\0\x01", file.as_bytes(), b"\0octet\0tsize\x000\0"].concat();
    let mut bytes = [0; 600];
    for _ in 0..TRIES {
        socket.send_to(&request, (ask.server, TFTP))?;
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            if from.ip() != ask.server {
                continue;
            }
            return match bytes[..length].split_first_chunk::<2>() {
                Some(([0, 3 | 6], _)) => {
                    let _ = socket.send_to(b"\0\x05\0\0a check\0", from);
                    Ok(())
                }
                Some(([0, 5], rest)) => {
                    let why = rest.get(2..).unwrap_or_default();
                    refused(&String::from_utf8_lossy(why.strip_suffix(b"\0").unwrap_or(why)))
                }
                _ => Err(No::Server("the answer is none of TFTP".to_owned())),
            };
        }
    }
    Err(No::Server("no answer".to_owned()))
}

/// Asks by HTTP for the head of the file.
fn by_http(ask: &Ask, file: &str) -> Result<(), No> {
    let (status, _) = http(ask, file, "HEAD")?;
    match status.as_str() {
        "200" => Ok(()),
        // Only the text tells why; a file is not given after this.
        "403" | "404" => refused(http(ask, file, "GET")?.1.trim()),
        _ => Err(No::File(format!("its status is {status}"))),
    }
}

/// A path in a request (RFC 3986 2.1).
fn encoded(path: &str) -> String {
    let one = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    path.bytes().map(one).collect()
}

/// Status and text.
fn http(ask: &Ask, file: &str, method: &str) -> Result<(String, String), No> {
    let exchange = || -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&SocketAddrV4::new(ask.server, ask.http).into(), ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        // Nothing but the first byte is wanted if there is a file after all.
        let range = if method == "GET" { "Range: bytes=0-0\r\n" } else { "" };
        let head = format!(
            "{method} /{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{range}\r\n",
            encoded(file.trim_start_matches('/')),
            ask.server
        );
        stream.write_all(head.as_bytes())?;
        limit::read(stream, LENGTH, "the answer").map_err(|failure| io::Error::other(failure.message))
    };
    let bytes = exchange()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let none = || No::Server("the answer is none of HTTP".to_owned());
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(none)?;
    let status = head.lines().next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    Ok((printable::text(status).into_owned(), printable::text(body).into_owned()))
}

/// A server that refuses an instance since it has booted serves.
fn refused(why: &str) -> Result<(), No> {
    if why == Refused::Booted.why() { Ok(()) } else { Err(No::File(printable::text(why).into_owned())) }
}

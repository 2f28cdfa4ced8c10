//! Which DHCP servers answer in a network: asked as a client that takes no offer, so nothing is given out.

use crate::model::DHCP;
use crate::plan;
use common::host::namespace::{self, NamespaceRef};
use common::stack::Resolved;
use common::tool::{Checked, Each, Finding, Goal, PlanInput};
use common::{Failure, Failures, Kind, fleet};
use nix::sys::socket::{setsockopt, sockopt::BindToDevice};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long other servers may take at least, and the own one at most; how often the question is sent.
const LISTEN: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_secs(1);
/// Ports of client and server (RFC 2131 4.1).
const CLIENT: u16 = 68;
const SERVER: u16 = 67;
/// A locally administered address that no machine has.
const MAC: [u8; 6] = [0x02, 0x6c, 0x73, 0x78, 0xff, 0xfe];
/// The longest message that is read, and the most servers that are told.
const MESSAGE: usize = 1500;
const MOST: usize = 20;
/// Before the options (RFC 2131 2).
const HEAD: usize = 236;
const MAGIC: [u8; 4] = [99, 130, 83, 99];

/// A network of the router of a stack.
#[derive(Debug, Serialize, Deserialize)]
struct Ask {
    stack: String,
    network: String,
    link: String,
    server: Ipv4Addr,
}

/// The servers that answered.
#[derive(Debug, Serialize, Deserialize)]
struct Heard {
    network: String,
    servers: BTreeSet<Ipv4Addr>,
    why: Option<String>,
}

/// Asks in every network with DHCP, and adds what was found.
pub(crate) fn check<G>(input: &PlanInput<G>, each: Each<'_>, checked: &mut Checked) {
    let Goal::Up(stack, resolved) = &input.goal else { return };
    if !input.only.section("dns") {
        return;
    }
    let asks = |host: &String| {
        let dhcp = plan::dhcp::of(stack, resolved, host)?;
        let ask = |network: crate::model::Leased| {
            let server = server(resolved, &network.name)?;
            Some(Ask { stack: stack.name.clone(), network: network.name, link: network.link, server })
        };
        Some((host.clone(), dhcp.networks.into_iter().filter_map(ask).collect::<Vec<_>>()))
    };
    let all: BTreeMap<String, Vec<Ask>> = input.hosts.iter().filter_map(|host| asks(&host.name)).collect();
    if all.is_empty() {
        return;
    }
    let inputs = all.iter().map(|(host, asks)| (host.clone(), json!(asks))).collect();
    for (host, answer) in each("discover", inputs) {
        match answer.and_then(|heard| Ok(fleet::shape::<Vec<Heard>>(heard)?)) {
            Err(failures) => checked.found(finding(&host, failures.to_string(), None)),
            Ok(heard) => {
                let asks = all.get(&host).map(Vec::as_slice).unwrap_or_default();
                asks.iter().zip(heard).for_each(|(ask, heard)| judge(checked, &host, ask, &heard));
            }
        }
    }
}

fn server(resolved: &Resolved, network: &str) -> Option<Ipv4Addr> {
    resolved.networks.iter().find(|at| at.name == network)?.gateway_address
}

/// The own server has to answer, and no other one.
fn judge(checked: &mut Checked, host: &str, ask: &Ask, heard: &Heard) {
    let Ask { stack, network, server, .. } = ask;
    let answered = usize::from(heard.servers.contains(server));
    checked.row(json!({
        "host": host, "network": network, "server": SocketAddrV4::new(*server, SERVER), "asked": 1, "answered": answered
    }));
    if answered == 1 {
        checked.passed();
    } else {
        let why = heard.why.clone().unwrap_or_else(|| "it does not answer".to_owned());
        let message = format!("the DHCP server of network {network} offers no address: {why}");
        let hint = format!("its log is /var/lib/lsx/dns/{stack}/log/{DHCP}/log; it may have no address left");
        checked.found(finding(host, message, Some(hint)));
    }
    for other in heard.servers.iter().filter(|other| *other != server).take(MOST) {
        let message = format!("{other} is another DHCP server in network {network}");
        let hint = "end it: its clients may get addresses of others".to_owned();
        checked.found(finding(host, message, Some(hint)));
    }
}

fn finding(host: &str, message: String, hint: Option<String>) -> Finding {
    Finding { code: "dns.lease".to_owned(), host: host.to_owned(), message, hint }
}

/// The servers that answer in networks of this host.
///
/// # Errors
/// A question that cannot be read, or no router.
pub(crate) fn discovered(input: Value) -> Result<Value, Failures> {
    let wrong = |e: serde_json::Error| Failures::from(Failure::new(Kind::Bug, "dns.call", e.to_string()));
    let asks: Vec<Ask> = serde_json::from_value(input).map_err(wrong)?;
    let heard = |ask: &Ask| {
        let mut servers = BTreeSet::new();
        let mut inside = || {
            let space = namespace::open(NamespaceRef::Name(&format!("lsx-{}", ask.stack)))?;
            namespace::inside(space.as_fd(), || listen(ask, &mut servers))?
        };
        let why = inside().err().map(|e| e.to_string());
        Heard { network: ask.network.clone(), servers, why }
    };
    Ok(json!(asks.iter().map(heard).collect::<Vec<_>>()))
}

/// Asks, and collects the servers that offer an address.
fn listen(ask: &Ask, servers: &mut BTreeSet<Ipv4Addr>) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, CLIENT))?;
    socket.set_broadcast(true)?;
    setsockopt(&socket, BindToDevice, &OsString::from(&ask.link))?;
    let mut id = [0; 4];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
    let (began, mut sent) = (Instant::now(), None::<Instant>);
    let mut reply = [0; MESSAGE];
    loop {
        let enough = if servers.contains(&ask.server) { LISTEN } else { LONGEST };
        let Some(left) = enough.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) else { break };
        if sent.is_none_or(|sent| sent.elapsed() >= AGAIN) {
            socket.send_to(&discover(id), (Ipv4Addr::BROADCAST, SERVER))?;
            sent = Some(Instant::now());
        }
        socket.set_read_timeout(Some(left.min(AGAIN)))?;
        match socket.recv_from(&mut reply) {
            Ok((length, _)) if servers.len() <= MOST => servers.extend(offer(&reply[..length], id)),
            Ok(_) => break,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// A DISCOVER whose answer is to be sent to all (RFC 2131 2 and 3.1).
fn discover(id: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![1, 1, 6, 0];
    bytes.extend(id);
    bytes.extend([0, 0, 0x80, 0]);
    bytes.resize(28, 0);
    bytes.extend(MAC);
    bytes.resize(HEAD, 0);
    bytes.extend(MAGIC);
    bytes.extend([53, 1, 1, 255]);
    bytes.resize(300, 0); // as old relays expect (RFC 1542 2.1)
    bytes
}

/// The server of an OFFER to this question.
fn offer(bytes: &[u8], id: [u8; 4]) -> Option<Ipv4Addr> {
    let (head, rest) = (bytes.get(..HEAD)?, bytes.get(HEAD..)?);
    if head[0] != 2 || head[4..8] != id || head[28..34] != MAC {
        return None;
    }
    let mut options = rest.strip_prefix(&MAGIC)?;
    let (mut kind, mut server) = (None, None);
    while let Some((&code, rest)) = options.split_first().filter(|(code, _)| **code != 255) {
        if code == 0 {
            options = rest;
            continue;
        }
        let (&length, rest) = rest.split_first()?;
        let value = rest.get(..usize::from(length))?;
        match (code, value) {
            (53, [of]) => kind = Some(*of),
            (54, [a, b, c, d]) => server = Some(Ipv4Addr::new(*a, *b, *c, *d)),
            _ => {}
        }
        options = rest.get(usize::from(length)..)?;
    }
    server.filter(|_| kind == Some(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsx_tests::{Dice, soak};

    const ID: [u8; 4] = [1, 2, 3, 4];

    fn answer(options: &[u8]) -> Vec<u8> {
        let mut bytes = discover(ID);
        bytes[0] = 2;
        bytes.truncate(HEAD + 4);
        bytes.extend(options);
        bytes
    }

    #[test]
    fn an_offer_to_this_question_names_its_server() {
        let good = answer(&[0, 53, 1, 2, 1, 4, 255, 255, 255, 0, 54, 4, 10, 0, 0, 1, 255]);
        assert_eq!(offer(&good, ID), Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(offer(&good, [9; 4]), None);
        assert_eq!(offer(&discover(ID), ID), None, "a question");
        for cut in 0..good.len() - 1 {
            let _ = offer(&good[..cut], ID);
        }
        for options in [
            &[53, 1, 5, 54, 4, 10, 0, 0, 1, 255][..],
            &[53, 1, 2, 54, 200, 1],
            &[53, 1, 2, 54, 3, 1, 2, 3, 255],
            &[53],
        ] {
            assert_eq!(offer(&answer(options), ID), None, "{options:?}");
        }
    }

    /// Options as servers send them, in any order, then damaged.
    fn offered(dice: &mut Dice) -> Vec<u8> {
        const OPTIONS: [&[u8]; 8] = [
            &[53, 1, 2],
            &[54, 4, 10, 0, 0, 1],
            &[1, 4, 255, 255, 255, 0],
            &[0],
            &[51, 4, 0, 0, 14, 16],
            &[119, 3, 1, b'a', 0],
            &[53, 1, 5],
            &[121, 0],
        ];
        let mut options = [OPTIONS[0], OPTIONS[1]].concat();
        for _ in 0..dice.below(4) {
            let option = OPTIONS[dice.below(OPTIONS.len())];
            if dice.below(2) == 0 {
                options.extend(option)
            } else {
                drop(options.splice(0..0, option.iter().copied()))
            }
        }
        let mut bytes = answer(&options);
        bytes.extend([255].iter().take(dice.below(2)));
        for _ in 0..[0, 0, 1, 3][dice.below(4)] {
            let at = dice.below(bytes.len());
            match dice.below(3) {
                0 => bytes[at] ^= 1 << dice.below(8),
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at.max(HEAD).min(bytes.len()), u8::try_from(dice.below(256)).unwrap()),
            }
        }
        bytes
    }

    #[test]
    fn soak_offers() {
        soak("dns-offer", 5_000, 20, offered, |bytes| {
            let server = offer(bytes, ID);
            // It is one to this question, and its server stands in it.
            assert!(
                server.is_none() || (bytes[0] == 2 && bytes[4..8] == ID && bytes[28..34] == MAC),
                "{bytes:?}"
            );
            let named =
                |at: &Ipv4Addr| bytes.windows(6).any(|some| some == [&[54, 4], &at.octets()[..]].concat());
            assert!(server.is_none_or(|at| named(&at)), "{bytes:?}");
            server.is_some()
        });
    }
}

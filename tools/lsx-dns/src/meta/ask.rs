//! The live check of metadata: each instance asks who it is, from its own namespace, with a token.

use crate::model::{Key, META};
use crate::plan;
use common::host::{limit, namespace, spaces};
use common::tool::{Checked, Each, Finding, Goal, PlanInput};
use common::{Failure, Failures, Kind, fleet, printable};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

/// The address of metadata in clouds.
const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(169, 254, 169, 254), 80);
/// The time for each step of an answer, and the longest answer.
const ANSWER: Duration = Duration::from_secs(10);
const LENGTH: u64 = 64 * 1024;
/// The most instances of a host that ask.
const MOST: usize = 200;

/// An instance that asks.
#[derive(Debug, Serialize, Deserialize)]
struct Ask {
    name: String,
    network: String,
    address: Ipv4Addr,
    mac: String,
    /// The identity that it should be told.
    id: String,
}

/// What came: the identity, or why none did.
type Told = Result<String, String>;

/// Lets instances ask, and adds what they were told.
pub(crate) fn check(input: &PlanInput<BTreeMap<String, Key>>, each: Each<'_>, checked: &mut Checked) {
    if !input.only.section(META) {
        return;
    }
    let all = asks(input, checked);
    if all.is_empty() {
        return;
    }
    let inputs = all.iter().map(|(host, asks)| (host.clone(), json!(asks))).collect();
    for (host, answer) in each("metadata", inputs) {
        let asks = all.get(&host).map(Vec::as_slice).unwrap_or_default();
        match answer.and_then(|told| Ok(fleet::shape::<Vec<Told>>(told)?)) {
            Err(failures) => checked.found(finding(&host, failures.to_string(), None)),
            Ok(told) => asks.iter().zip(told).for_each(|(ask, told)| judge(checked, &host, ask, told, input)),
        }
    }
}

/// Those whose default route leads to a router with the service, by the hosts where they run. Others cannot ask, which a row tells.
fn asks(input: &PlanInput<BTreeMap<String, Key>>, checked: &mut Checked) -> BTreeMap<String, Vec<Ask>> {
    let mut all: BTreeMap<String, Vec<Ask>> = BTreeMap::new();
    let Goal::Up(stack, resolved) = &input.goal else { return all };
    for gateway in &input.hosts {
        let Some(meta) = plan::meta::of(stack, resolved, &gateway.name) else { continue };
        let meta = plan::meta::identified(meta, &input.gathered);
        let listens = |at: Option<Ipv4Addr>| meta.listen.iter().any(|listen| Some(*listen.ip()) == at);
        for machine in meta.instances.iter().filter(|at| input.hosts.iter().any(|host| host.name == at.host))
        {
            let Some(by) = machine.interfaces.iter().find(|by| listens(by.gateway)) else {
                let why = "its default route is not by a network of `meta`";
                let row = json!({"host": machine.host, "from": machine.name, "server": SERVER, "asked": 0, "answered": 0, "why": why});
                checked.row(row);
                continue;
            };
            let here = all.entry(machine.host.clone()).or_default();
            if here.len() < MOST {
                let (name, network, mac) = (machine.name.clone(), by.network.clone(), by.mac.clone());
                here.push(Ask { name, network, address: by.address.addr(), mac, id: machine.id.clone() });
            }
        }
    }
    all
}

fn judge(checked: &mut Checked, host: &str, ask: &Ask, told: Told, input: &PlanInput<BTreeMap<String, Key>>) {
    let right = told.as_ref().is_ok_and(|id| *id == ask.id);
    checked.row(json!({
        "host": host, "network": ask.network, "from": ask.name, "server": SERVER, "asked": 1, "answered": usize::from(right)
    }));
    if right {
        checked.passed();
        return;
    }
    let what = match told {
        Ok(id) => format!("is told that it is {id}, not {}", ask.id),
        Err(why) => format!("is not told who it is: {why}"),
    };
    let hint =
        format!("the log of the server is /var/lib/lsx/dns/{}/log/{META}/log on the gateway", input.stack);
    checked.found(finding(host, format!("{} asks {SERVER} and {what}", ask.name), Some(hint)));
}

fn finding(host: &str, message: String, hint: Option<String>) -> Finding {
    Finding { code: "dns.metadata".to_owned(), host: host.to_owned(), message, hint }
}

/// What instances of this host are told.
///
/// # Errors
/// A question that cannot be read.
pub(crate) fn answered(input: Value) -> Result<Value, Failures> {
    let wrong = |e: serde_json::Error| Failures::from(Failure::new(Kind::Bug, "dns.call", e.to_string()));
    let asks: Vec<Ask> = serde_json::from_value(input).map_err(wrong)?;
    let spaces = spaces::by_address();
    let told = |ask: &Ask| -> Told {
        let space = spaces.get(&(ask.address, ask.mac.clone())).ok_or("it does not run here")?;
        let told = namespace::inside(space.as_fd(), identity).and_then(|told| told);
        told.map_err(|e| e.to_string())
    };
    Ok(json!(asks.iter().map(told).collect::<Vec<_>>()))
}

/// The identity that the instance of this namespace is told.
fn identity() -> io::Result<String> {
    let token = answer("PUT /latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 60")?;
    answer("GET /latest/meta-data/instance-id", &format!("X-aws-ec2-metadata-token: {token}"))
}

/// The text of an answer with status 200.
fn answer(request: &str, header: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SERVER.into(), ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let head =
        format!("{request} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{header}\r\n\r\n", SERVER.ip());
    stream.write_all(head.as_bytes())?;
    let bytes =
        limit::read(stream, LENGTH, "the answer").map_err(|failure| io::Error::other(failure.message))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(printable::text(status).into_owned()));
    }
    Ok(printable::text(body).into_owned())
}

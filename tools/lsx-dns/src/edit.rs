//! The verb `update`: changes names by a signed update, and tells what the server says. It is signed on the operator's machine: the key
//! does not leave it. It is sent by TCP, so that it is carried out once.

mod change;
mod message;
mod updated;

pub(crate) use change::Part;
pub(crate) use message::{Said, compose};
pub(crate) use updated::{Updated, Wanted};

use crate::query;
use crate::update::keys::{self, Written};
use crate::zone::{Owner, name};
use crate::{Dns, ask, key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use change::Item;
use common::cli::Global;
use common::host::{file, limit};
use common::stack::Stack;
use common::verb::{self, ScopeArgs, StackArgs};
use common::{Failure, Failures, Kind, document, fleet, log, stdio};
use domain::base::Message;
use domain::base::iana::Rtype;
use domain::base::name::ToName;
use domain::rdata::Soa;
use message::Signed;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The time for a reply: a server writes to its disk before it.
const REPLY: Duration = Duration::from_secs(15);

/// What is wanted, by flags.
pub(crate) struct Order<'a> {
    pub(crate) changes: &'a [String],
    /// A client of the document.
    pub(crate) client: Option<&'a str>,
    /// A file with a key.
    pub(crate) key: Option<&'a Path>,
    /// A server that is reached from here.
    pub(crate) server: Option<SocketAddr>,
    pub(crate) zone: Option<&'a str>,
    /// A network or an instance.
    pub(crate) from: Option<&'a str>,
}

/// A message that is sent from an instance.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) address: Ipv4Addr,
    pub(crate) mac: String,
    pub(crate) server: SocketAddrV4,
    /// In base64.
    message: String,
}

fn usage(code: &str, message: String) -> Failure {
    Failure::new(Kind::Usage, code, message)
}

fn silent(server: SocketAddr, error: &io::Error) -> Failure {
    Failure::new(Kind::Unreachable, "dns.update", format!("{server} does not answer: {error}"))
}

/// What a server said.
struct Done {
    server: SocketAddr,
    from: Option<String>,
    zone: String,
    key: String,
    said: Option<Said>,
}

/// Sends an update, and reads the reply.
///
/// # Errors
/// Mistakes of the document, of flags and of changes; a host or a server that does not answer.
pub(crate) fn run(
    order: &Order<'_>,
    stack: &StackArgs,
    scope: &ScopeArgs,
    global: &Global,
) -> Result<(Updated, Said), Failures> {
    let wanted = wanted(order)?;
    let begun = Instant::now();
    let done = match order.server {
        Some(server) => from_here(order, server, stack, &wanted)?,
        None => from_instance(order, (stack, scope, global), &wanted)?,
    };
    let said = done.said.ok_or_else(|| silent(done.server, &io::ErrorKind::InvalidData.into()))?;
    let updated = Updated {
        schema: document::schema("dns", "update"),
        server: done.server.to_string(),
        from: done.from,
        zone: done.zone,
        key: done.key,
        changes: wanted.changes,
        code: said.code.to_string(),
        // Without its number.
        error: said.error.map(|error| error.to_string().chars().take_while(|c| *c != '(').collect()),
        signed: said.sure,
        ms: (begun.elapsed().as_secs_f64() * 10_000.0).round() / 10.0,
    };
    Ok((updated, said))
}

/// The changes, with at least one.
fn wanted(order: &Order<'_>) -> Result<Wanted, Failures> {
    let mut wanted = if order.changes == ["-"] {
        let (text, file) = stdio::read(None)?;
        Wanted::read(&text, &file)?
    } else {
        let item =
            |text: &String| Item::parse(text).map_err(|why| usage("usage.change", format!("{text}: {why}")));
        Wanted { zone: None, changes: order.changes.iter().map(item).collect::<Result<_, _>>()? }
    };
    if wanted.changes.is_empty() {
        let hint = format!("{}; or - and a document from a pipe", change::FORMS);
        return Err(usage("usage.change", "no change is named".to_owned()).hint(hint).into());
    }
    wanted.zone = order.zone.map(|zone| zone.trim_end_matches('.').to_owned()).or(wanted.zone);
    Ok(wanted)
}

impl Wanted {
    /// A name of the zone.
    fn first(&self) -> &str {
        self.changes.first().map(|item| item.name.trim_end_matches('.')).unwrap_or_default()
    }
}

/// By this machine's own network.
fn from_here(
    order: &Order<'_>,
    server: SocketAddr,
    args: &StackArgs,
    wanted: &Wanted,
) -> Result<Done, Failures> {
    let written = match order.key {
        Some(path) => from_file(path)?,
        None => of_client(order, &verb::read_stack(args)?.0, args)?,
    };
    let zone = wanted.zone.clone().map_or_else(|| zone_at(server, wanted.first()), Ok)?;
    let signed = signed(&zone, wanted, &written)?;
    let reply = ask::exchange(server, &signed.bytes, REPLY).map_err(|e| silent(server, &e))?;
    Ok(Done { server, from: None, zone, key: written.name, said: signed.read(reply, now()) })
}

/// In the place of an instance, to its name server.
fn from_instance(
    order: &Order<'_>,
    (args, scope, global): (&StackArgs, &ScopeArgs, &Global),
    wanted: &Wanted,
) -> Result<Done, Failures> {
    let (stack, resolved, _, mut hosts) = verb::host_set_of(&Dns, args, scope, global)?;
    let written = match order.key {
        Some(path) => from_file(path)?,
        None => of_client(order, &stack, args)?,
    };
    let asker = query::asker(&resolved, order.from)?;
    if !hosts.has(&asker.instance.host) {
        return Err(asker.left_out().into());
    }
    let of_name = || query::zone_of(&stack, &resolved, &asker, wanted.first());
    let zone = wanted.zone.clone().map_or_else(of_name, Ok)?;
    let signed = signed(&zone, wanted, &written)?;
    let (host, name) = (asker.instance.host.clone(), asker.instance.name.clone());
    let message = STANDARD.encode(&signed.bytes);
    let sent = Sent { address: asker.address, mac: asker.mac.to_owned(), server: asker.server, message };
    let replies = hosts.call("update", BTreeMap::from([(host, json!(sent))]));
    let reply = replies.into_values().next().unwrap_or_else(|| Err(asker.left_out().into()));
    let reply = STANDARD.decode(fleet::shape::<String>(reply?)?).unwrap_or_default();
    let said = signed.read(reply, now());
    Ok(Done { server: asker.server.into(), from: Some(name), zone, key: written.name, said })
}

fn from_file(path: &Path) -> Result<Written, Failure> {
    let shown = path.display();
    let wrong = |why: String| Failure::new(Kind::Data, "dns.key", format!("{shown} is no key: {why}"));
    let bytes = file::read_at_most(path, limit::SECRET)?.ok_or_else(|| {
        let failure = Failure::new(Kind::Empty, "document.missing", format!("{shown}: no such file"));
        failure.hint("--key names a file with a key, as tsig-keygen NAME prints it")
    })?;
    let written = keys::read("", &bytes).map_err(wrong)?;
    if written.name.is_empty() {
        let failure = wrong("it does not say the name of the key".to_owned());
        return Err(failure.hint("write it as tsig-keygen NAME does"));
    }
    Ok(written)
}

fn of_client(order: &Order<'_>, stack: &Stack, args: &StackArgs) -> Result<Written, Failures> {
    let client = order.client.ok_or_else(|| {
        let failure = usage("usage.key", "an update needs a key".to_owned());
        failure.hint("--client NAME, a client of dns.update; or --key FILE")
    })?;
    key::of(client, stack, args)
}

fn signed(zone: &str, wanted: &Wanted, key: &Written) -> Result<Signed, Failure> {
    let wrong = |why: String| usage("usage.change", why);
    let zone = name(zone).map_err(wrong)?;
    let first = key.keys().map_err(wrong)?.into_iter().next();
    let key = first.ok_or_else(|| wrong("the key has no algorithm".to_owned()))?;
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty()).map_err(|e| {
        Failure::new(Kind::Failed, "dns.update", format!("the kernel gives no random number: {e}"))
    })?;
    message::write(&zone, &wanted.changes, Arc::new(key), (u16::from_be_bytes(id), now())).map_err(wrong)
}

/// Seconds since 1970.
fn now() -> u64 {
    log::clock().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The zone of a name, as a server says.
fn zone_at(server: SocketAddr, first: &str) -> Result<String, Failure> {
    let mut at = Some(name(first).map_err(|why| usage("usage.name", why))?);
    while let Some(one) = at {
        let query = ask::query(&one.to_string(), Rtype::SOA).map_err(|e| silent(server, &e))?;
        let reply = ask::exchange(server, query.as_slice(), REPLY).map_err(|e| silent(server, &e))?;
        let reply =
            Message::from_octets(reply).map_err(|_| silent(server, &io::ErrorKind::InvalidData.into()))?;
        if let Some(zone) = zone_in(&reply, &one) {
            return Ok(zone.to_string());
        }
        at = one.parent().map(|parent| parent.to_vec()).filter(|parent| !parent.is_root());
    }
    let message = format!("{server} does not say which zone {first} is in");
    Err(Failure::new(Kind::Failed, "dns.update", message).hint("name it: --zone ZONE"))
}

/// The zone of a name in a reply.
fn zone_in(reply: &Message<Vec<u8>>, one: &Owner) -> Option<Owner> {
    [reply.answer(), reply.authority()].into_iter().flatten().find_map(|section| {
        let mut all = section.limit_to::<Soa<_>>().flatten();
        all.find_map(|record| Some(record.owner().to_vec()).filter(|zone| one.ends_with(zone)))
    })
}

/// Sends a message from the namespace of this thread; the reply in base64.
///
/// # Errors
/// No reply.
pub(crate) fn sent(sent: &Sent) -> io::Result<String> {
    let message = STANDARD.decode(&sent.message).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(STANDARD.encode(ask::exchange(sent.server.into(), &message, REPLY)?))
}

#[cfg(test)]
mod tests;

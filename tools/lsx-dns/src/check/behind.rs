//! Servers of several hosts have the same names: each one that follows reaches the server that keeps them, from its router and with their
//! common key, and has at least what that server had when the check began.

use crate::model::{Key, SERVERS, SERVERS_SECRET};
use crate::update::keys;
use crate::{Dns, ask, observe, plan};
use common::host::namespace::{self, NamespaceRef};
use common::host::{file, limit, received, wait};
use common::tool::{Checked, Each, Finding, Goal, PlanInput, Tool as _};
use common::{fleet, log, printable};
use domain::base::Message;
use domain::base::MessageBuilder;
use domain::base::iana::{Class, Rtype};
use domain::rdata::tsig::Time48;
use domain::tsig::ClientTransaction;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

/// The time for each part of an answer, and for what was changed just before.
const ANSWER: Duration = Duration::from_secs(3);
const CATCH_UP: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(50);

/// What a host with a server that follows is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ask {
    stack: String,
    /// Where its router reaches the server that keeps the names.
    at: SocketAddrV4,
    /// The serial that that server has, if it is known.
    kept: Option<u32>,
}

/// What it says.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Told {
    /// Its own serial; none if it has no names yet.
    serial: Option<u32>,
    /// Why the server that keeps the names cannot be asked.
    why: Option<String>,
}

/// Asks the host that keeps the names, and then the others.
pub(super) fn check(input: &PlanInput<BTreeMap<String, Key>>, each: Each<'_>, checked: &mut Checked) {
    let Goal::Up(_, resolved) = &input.goal else { return };
    let servers = |host: &str| plan::servers(resolved, host);
    let Some(keeper) = servers("").map(|servers| servers.host) else { return };
    let here = input.hosts.iter().any(|host| host.name == keeper);
    let asked = here.then(|| (keeper.clone(), json!(input.stack)));
    let mut kept = None;
    for (host, answer) in each("serial", asked.into_iter().collect()) {
        match answer.and_then(|serial| Ok(fleet::shape::<Option<u32>>(serial)?)) {
            Ok(serial) => kept = Some(serial.unwrap_or_default()),
            Err(failures) => checked.found(finding(&host, failures.to_string(), None)),
        }
    }
    let ask = |host: &String| {
        let at = servers(host)?.at?;
        Some((host.clone(), Ask { stack: input.stack.clone(), at, kept }))
    };
    let gateways = resolved.networks.iter().filter_map(|network| network.gateway.as_ref());
    let others = gateways.filter(|host| input.hosts.iter().any(|at| at.name == **host));
    let asks: BTreeMap<String, Ask> = others.filter_map(ask).collect();
    let inputs = asks.iter().map(|(host, ask)| (host.clone(), json!(ask))).collect();
    for (host, answer) in each("behind", inputs) {
        let Some(ask) = asks.get(&host) else { continue };
        match answer.and_then(|told| Ok(fleet::shape::<Told>(told)?)) {
            Ok(told) => judge(checked, (&host, &keeper), ask, &told),
            Err(failures) => checked.found(finding(&host, failures.to_string(), None)),
        }
    }
}

fn judge(checked: &mut Checked, (host, keeper): (&str, &str), ask: &Ask, told: &Told) {
    let own = told.serial.unwrap_or_default();
    let behind = ask.kept.is_some_and(|kept| own < kept);
    let kept = ask.kept.map_or_else(|| "not asked".to_owned(), |kept| kept.to_string());
    let why = match &told.why {
        Some(why) => Some(format!(
            "does not get what clients change from {} of {keeper}, which keeps it: {}",
            ask.at,
            printable::text(why)
        )),
        None if behind => {
            Some(format!("lacks names that clients have changed on {keeper}, which keeps them"))
        }
        None => None,
    };
    let mut row = json!({"host": host, "server": ask.at, "keeper": keeper, "serial": own});
    if let Some(serial) = ask.kept {
        row["kept"] = json!(serial);
    }
    let why = why.map(|why| format!("{why}; its serial is {own}, and that of {keeper} {kept}"));
    if let Some(why) = &why {
        row["why"] = json!(why);
    }
    checked.row(row);
    let Some(why) = why else { return checked.passed() };
    let hint = match &told.why {
        Some(_) => format!(
            "see that the server on {keeper} runs (`lsx-dns up`), and that TCP from {host} to {} is open (`lsx-net up`; other firewalls)",
            ask.at
        ),
        None => format!(
            "the log of the server says why: /var/lib/lsx/dns/{}/log/{}/log on {host}",
            ask.stack,
            crate::model::NAMES
        ),
    };
    checked.found(finding(host, format!("{host} {why}"), Some(hint)));
}

fn finding(host: &str, message: String, hint: Option<String>) -> Finding {
    Finding { code: "dns.behind".to_owned(), host: host.to_owned(), message, hint }
}

/// What this host has, and whether its router reaches the server that keeps the names.
pub(super) fn told(ask: &Ask) -> Told {
    let router = format!("lsx-{}", ask.stack);
    let asked = namespace::open(NamespaceRef::Name(&router))
        .map_err(|e| format!("its router cannot be entered: {e}"))
        .and_then(|router| {
            let told = namespace::inside(router.as_fd(), || reaches(ask));
            told.unwrap_or_else(|e| Err(format!("its router cannot be entered: {e}")))
        });
    let mut serial = None;
    let reached = || {
        serial = observe::serial(&ask.stack);
        ask.kept.is_none_or(|kept| serial.unwrap_or_default() >= kept)
    };
    // Without a way nothing comes any more.
    let limit = if asked.is_ok() { CATCH_UP } else { Duration::ZERO };
    wait::until(limit, STEP, reached);
    Told { serial, why: asked.err() }
}

/// Asks in the namespace of this thread. Any answer with the right signature will do: it is one of a server with the same key and time.
fn reaches(ask: &Ask) -> Result<(), String> {
    let path = received::secret_path(&ask.stack, Dns::NAME, SERVERS_SECRET);
    let secret = file::read_at_most(&path, limit::SECRET).map_err(|failure| failure.message)?;
    let secret = secret.ok_or("this host has no key for it")?;
    let keys = keys::read(SERVERS, &secret).and_then(|written| written.keys());
    let keys = keys.map_err(|why| format!("the key on this host cannot be read: {why}"))?;
    let key = keys.into_iter().next().ok_or("this host has no key for it")?;
    let mut builder = MessageBuilder::new_vec();
    let mut id = [0; 2];
    let random = rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty());
    random.map_err(|e| e.to_string())?;
    builder.header_mut().set_id(u16::from_be_bytes(id));
    let mut builder = builder.question();
    let wrong = |e: &dyn std::fmt::Display| format!("it cannot be asked: {e}");
    let root = domain::base::Name::<Vec<u8>>::root_vec();
    builder.push((root, Rtype::SOA, Class::IN)).map_err(|e| wrong(&e))?;
    let mut builder = builder.additional();
    let now = Time48::from_u64(now());
    let transaction = ClientTransaction::request(Arc::new(key), &mut builder, now).map_err(|e| wrong(&e))?;
    let reply = ask::exchange(ask.at.into(), &builder.finish(), ANSWER).map_err(|e| because(&e))?;
    let mut reply = Message::from_octets(reply).map_err(|_| "its answer is no message of DNS".to_owned())?;
    let checked = transaction.answer(&mut reply, Time48::from_u64(self::now()));
    checked.map_err(|e| {
        format!("its answer is not signed rightly ({e}); key and clock must be the same on both hosts")
    })
}

fn now() -> u64 {
    log::clock().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// In words for people.
fn because(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer".to_owned(),
        io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            "the connection was closed without an answer".to_owned()
        }
        _ => e.to_string(),
    }
}

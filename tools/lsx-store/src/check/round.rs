//! Asks the S3 server as instances of this host do, from their namespaces. On the host of the server, each bucket is listed, read and written as its users may:
//! nothing is left of it, and no client sees it.

use super::order::{Asker, Order, Tried};
use crate::client::sign::Key;
use crate::client::{self, Ask, Client, Endpoint};
use crate::model::{Right, ServedBucket};
use crate::{Store, object, secrets};
use common::host::{file, limit, namespace, received, spaces, volume};
use common::tool::Tool as _;
use common::{Failure, Failures, Kind};
use s3s::crypto::{Checksum as _, Md5};
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::AsFd;
use std::time::Duration;
use ureq::Agent;

/// The time for an answer. A busy disk may take long for what it says is on it.
const ANSWER: Duration = Duration::from_secs(10);
/// What is sent as a part of an upload that never becomes an object.
const BYTES: &[u8] = b"lsx-store check\n";
/// The key of that upload.
const NAME: &str = ".lsx-store-check";

/// Asks from each network.
///
/// # Errors
/// A message of another version.
pub(crate) fn asked(input: Value) -> Result<Value, Failures> {
    let order: Order =
        serde_json::from_value(input).map_err(|e| Failure::new(Kind::Bug, "store.call", e.to_string()))?;
    let spaces = spaces::by_address();
    let (mut all, mut buckets) = (Vec::new(), true);
    for from in &order.from {
        let known = |asker: &&Asker| spaces.contains_key(&(asker.address, asker.mac.clone()));
        let asker = from.askers.iter().find(known);
        let name = asker.map_or_else(|| format!("network {}", from.network), |asker| asker.name.clone());
        let mut round = Round::new(&order, from.server, name);
        let space = asker.and_then(|asker| spaces.get(&(asker.address, asker.mac.clone())));
        match space.map(|space| namespace::inside(space.as_fd(), || round.all(buckets))) {
            // Every address is one of the same server: its buckets are asked for at the first that answers.
            Some(Ok(answered)) => buckets &= !answered,
            Some(Err(e)) => {
                round.unasked(format!("the network namespace of the instance cannot be entered: {e}"))
            }
            None => {
                let names: Vec<&str> = from.askers.iter().map(|asker| asker.name.as_str()).collect();
                round.unasked(format!("{} does not run here", names.join(", ")));
            }
        }
        all.append(&mut round.all);
    }
    Ok(json!(all))
}

/// Requests to one address.
struct Round<'a> {
    client: Client,
    order: &'a Order,
    at: SocketAddrV4,
    from: String,
    all: Vec<Tried>,
    bucket: Option<String>,
}

/// Stops what asks an address: it does not answer.
struct Silent;

impl<'a> Round<'a> {
    fn new(order: &'a Order, at: SocketAddrV4, from: String) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(ANSWER))
            .build();
        let region = order.objects.region.clone();
        let endpoint = Endpoint { scheme: "http".to_owned(), host: at.to_string(), region };
        let client = Client::new(Agent::new_with_config(config), endpoint);
        Round { client, order, at, from, all: Vec::new(), bucket: None }
    }

    /// Asks all that is to be asked; whether there was an answer to everything.
    fn all(&mut self, buckets: bool) -> bool {
        let done = self.server().and_then(|()| if buckets { self.buckets() } else { Ok(()) });
        done.is_ok()
    }

    fn unasked(&mut self, why: String) {
        self.add("cannot be asked", Some(why), Some("run `lsx-ct up`, then check again".to_owned()));
    }

    /// Whoever has no key must not get anything.
    fn server(&mut self) -> Result<(), Silent> {
        let ask = || Ask { method: "GET", ..Ask::default() };
        self.refused("does not refuse requests without a signature", &ask(), None, &["AccessDenied"])?;
        let access = self.order.objects.users.keys().next().map_or("nobody", String::as_str);
        let forged = Key { access: access.to_owned(), secret: "0123456789abcdef".to_owned(), token: None };
        let codes = ["SignatureDoesNotMatch", "InvalidAccessKeyId"];
        self.refused("does not refuse forged signatures", &ask(), Some(&forged), &codes)
    }

    fn refused(
        &mut self,
        what: &str,
        ask: &Ask<'_>,
        key: Option<&Key>,
        codes: &[&str],
    ) -> Result<(), Silent> {
        let said = self.said(ask, key)?;
        let why = match (said.0, client::refusal(said.0, &said.1)) {
            (403, refusal) if codes.contains(&refusal.code.as_str()) => None,
            (_, refusal) => Some(format!("it answers {}", refusal.words())),
        };
        let hint =
            "another program may listen there: `ip netns exec lsx-STACK ss -ltnp` on this host shows it";
        self.add(what, why, Some(hint.replace("STACK", &self.order.stack)));
        Ok(())
    }

    fn buckets(&mut self) -> Result<(), Silent> {
        let order = self.order;
        for (name, bucket) in &order.objects.buckets {
            self.bucket = Some(name.clone());
            let user = |right: Option<Right>| {
                let may = |rights: &Vec<Right>| right.is_none_or(|right| rights.contains(&right));
                bucket.allow.iter().find(|(_, rights)| may(rights)).map(|(user, _)| user.as_str())
            };
            let mut some = None;
            if let Some(user) = user(None) {
                self.done("cannot be found", user, &self.to("HEAD", name))?;
            }
            if let Some(user) = user(Some(Right::List)) {
                let ask = self
                    .to("GET", name)
                    .with("list-type", "2")
                    .with("max-keys", "1")
                    .with("encoding-type", "url");
                some = self.done("cannot be listed", user, &ask)?.and_then(|body| client::listed(&body));
            }
            let first = some.and_then(|page| page.items.into_iter().next());
            if let (Some(user), Some(item)) = (user(Some(Right::Get)), first) {
                self.read(name, user, &item.key)?;
            }
            if let Some(user) = user(Some(Right::Put)) {
                self.written(name, user, bucket)?;
            }
        }
        Ok(())
    }

    fn to<'n>(&self, method: &'n str, bucket: &'n str) -> Ask<'n> {
        Ask { method, bucket: Some(bucket), ..Ask::default() }
    }

    /// Reads one byte. An object that is empty, or was deleted just now, is none the worse for it.
    fn read(&mut self, bucket: &str, user: &str, key: &str) -> Result<(), Silent> {
        let ask = Ask { key: Some(key), ..self.to("GET", bucket) }.header("range", "bytes=0-0");
        let Some(by) = self.key("cannot be read", user) else { return Ok(()) };
        let (status, body) = self.said(&ask, Some(&by))?;
        let good = matches!(status, 200 | 206 | 404 | 416);
        self.judge("cannot be read", user, good, (status, &body));
        Ok(())
    }

    /// Writes a part of an upload that is given up: it takes the same way to the disk as an object, and no client lists it.
    fn written(&mut self, name: &str, user: &str, bucket: &ServedBucket) -> Result<(), Silent> {
        let what = "cannot be written";
        let of = |method| Ask { method, bucket: Some(name), key: Some(NAME), ..Ask::default() };
        let Some(body) = self.done(what, user, &of("POST").with("uploads", ""))? else { return Ok(()) };
        let Some(id) = client::upload_id(&body) else {
            self.add(what, Some("it names no upload".to_owned()), None);
            return Ok(());
        };
        let folder = volume::place(&self.order.stack, &bucket.volume).join(name);
        let lost = !object::has_upload(&folder, &id);
        let part = Ask { body: BYTES, ..of("PUT") }.with("partNumber", "1").with("uploadId", &id);
        if self.done(what, user, &part)?.is_some() {
            let what = "does not have what was written";
            if let Some(body) = self.done(what, user, &of("GET").with("uploadId", &id))? {
                let mut sum = Md5::new();
                sum.update(BYTES);
                let size = u64::try_from(BYTES.len()).unwrap_or_default();
                let wanted = ("1".to_owned(), size, object::hex(&sum.finalize()));
                let same = client::parts(&body).is_some_and(|parts| parts == [wanted]);
                self.add(what, (!same).then(|| "it is not what was sent".to_owned()), None);
            }
        }
        let why = lost.then(|| format!("the server does not write to {}", folder.display()));
        let hint = "its folder was moved or replaced under the server: put it back, then restart the server";
        self.add("is not in its volume", why, Some(hint.to_owned()));
        self.done("cannot give an upload up", user, &of("DELETE").with("uploadId", &id)).map(drop)
    }

    /// Sends a request that must succeed; what it answers.
    fn done(&mut self, what: &str, user: &str, ask: &Ask<'_>) -> Result<Option<Vec<u8>>, Silent> {
        let Some(key) = self.key(what, user) else { return Ok(None) };
        let (status, body) = self.said(ask, Some(&key))?;
        let good = (200..300).contains(&status);
        self.judge(what, user, good, (status, &body));
        Ok(good.then_some(body))
    }

    fn judge(&mut self, what: &str, user: &str, good: bool, (status, body): (u16, &[u8])) {
        let refusal = client::refusal(status, body);
        let hint = match (refusal.code.as_str(), status) {
            ("InsufficientStorage", _) => {
                "make room on the disk of its volume, or write a larger size for it"
            }
            ("ServiceUnavailable", _) => {
                "its disk is read-only: `dmesg` says why; mount it again, then check again"
            }
            ("SignatureDoesNotMatch" | "InvalidAccessKeyId", _) => {
                "the server has another key than this host's file: `lsx-store up` hands it over"
            }
            _ => "the log of the server says more: /var/lib/lsx/store/STACK/log/s3/log",
        };
        let why = (!good).then(|| format!("user {user} gets {}", refusal.words()));
        self.add(what, why, Some(hint.replace("STACK", &self.order.stack)));
    }

    /// The key of a user, as the server has it.
    fn key(&mut self, what: &str, user: &str) -> Option<Key> {
        let secret = self.order.objects.users.get(user)?;
        let path = received::secret_path(&self.order.stack, Store::NAME, secret);
        let read = file::read_at_most(&path, limit::SECRET).map_err(|failure| failure.message);
        let read = read.and_then(|value| value.ok_or_else(|| format!("{} is missing", path.display())));
        match read.and_then(|value| secrets::key(&value)) {
            Ok(secret) => Some(Key { access: user.to_owned(), secret, token: None }),
            Err(why) => {
                let why = Some(format!("the key of user {user} cannot be read: {why}"));
                self.add(what, why, Some("run `lsx-store up`".to_owned()));
                None
            }
        }
    }

    /// Sends a request. A server that does not answer is asked no more.
    fn said(&mut self, ask: &Ask<'_>, key: Option<&Key>) -> Result<(u16, Vec<u8>), Silent> {
        let answer = self.client.send(ask, key).and_then(|answer| {
            let status = answer.status().as_u16();
            Ok((status, client::whole(answer)?))
        });
        answer.map_err(|e| {
            let hint = "see that it runs: `lsx-store up`; its log is /var/lib/lsx/store/STACK/log/s3/log";
            self.add("does not answer", Some(because(&e)), Some(hint.replace("STACK", &self.order.stack)));
            Silent
        })
    }

    fn add(&mut self, what: &str, why: Option<String>, hint: Option<String>) {
        let hint = hint.filter(|_| why.is_some());
        let (from, bucket, what) = (self.from.clone(), self.bucket.clone(), what.to_owned());
        self.all.push(Tried { from, server: self.at, bucket, what, why, hint });
    }
}

/// In words for people.
fn because(e: &ureq::Error) -> String {
    match e {
        ureq::Error::Timeout(_) => format!("it is silent for {} s", ANSWER.as_secs()),
        ureq::Error::Io(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            "nothing listens there".to_owned()
        }
        other => format!("the connection fails: {}", client::shown(&other.to_string())),
    }
}

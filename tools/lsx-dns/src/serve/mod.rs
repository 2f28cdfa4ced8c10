//! The worker: answers on the sockets that it inherited.

mod batch;
mod cache;
mod change;
mod changes;
mod counter;
mod datagrams;
mod follow;
mod forward;
mod guard;
mod health;
mod late;
mod leased;
mod lend;
mod limit;
mod made;
mod news;
mod notify;
mod prepared;
mod quick;
mod reply;
mod said;
mod signed;
mod stream;
mod upstream;
mod write;

use crate::model::{self, Config};
use crate::update::keys::Keys;
use crate::zone::Tables;
use changes::Changes;
use common::Failure;
use common::host::service::work;
use common::host::service::worker::Worker;
use counter::Counter;
use follow::Keeper;
use forward::Forwarder;
use guard::Guard;
use health::Health;
use lend::Lender;
use limit::Verdict;
use prepared::{Prepared, State};
use quick::Quick;
use reply::{Question, Reply};
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::watch;

/// What all tasks share.
struct Server {
    tables: Arc<RwLock<Tables>>,
    prepared: Prepared,
    keys: Keys,
    /// The servers that may transfer the zones.
    transfer: Option<model::Transfer>,
    /// The server that keeps the names, if it is another one.
    keeper: Option<Arc<Keeper>>,
    guard: Guard,
    counter: Arc<Counter>,
    forwarder: Arc<Forwarder>,
    health: Arc<Health>,
}

/// Serves until the supervisor says that another worker has taken over.
///
/// # Errors
/// A configuration that cannot be used, or errors of the kernel.
pub(crate) fn work(mut worker: Worker) -> Result<(), Failure> {
    let (drain, drained) = watch::channel(false);
    let (server, (replicas, leases), changes) = match made::server(&mut worker, &drained) {
        Ok((server, others, changes)) => (Arc::new(server), others, changes),
        Err(why) => return Err(work::refuse(worker, crate::SERVE, why)),
    };
    let watched = replicas.map(|replicas| Arc::clone(&server.health).watch(replicas, drained.clone()));
    let (counted, told) = (Arc::clone(&server), drained.clone());
    work::run(
        worker,
        crate::SERVE,
        (drain, drained),
        move || counted.counts(),
        async |sockets, tasks| {
            watched.map(tokio::spawn);
            let own = changes.as_ref().map(|(changes, _)| changes);
            let notify = own.and_then(|changes| Some((server.notify(changes)?, changes.serials())));
            notify.map(|(notify, serials)| tokio::spawn(notify.run(serials, told.clone())));
            if let Some(mut leases) = leases {
                leases.look().await;
                tokio::spawn(leases.watch(told.clone()));
                let lender = own.map(|own| server.lender(own));
                lender.map(|lender| tokio::spawn(lender.run(told.clone())));
            }
            let follow = own.and_then(|own| Some(server.keeper.clone()?.follow(own.clone(), told.clone())));
            follow.map(tokio::spawn);
            // The thread of `changes` ends when all tasks have ended that can send it anything.
            let changes = made::begin(changes).await?;
            for (udp, tcp) in sockets {
                let udp = Arc::new(tokio::net::UdpSocket::from_std(udp)?);
                let tcp = tokio::net::TcpListener::from_std(tcp)?;
                let shared = || (Arc::clone(&server), changes.clone());
                tasks.spawn(datagrams::answer(shared(), udp, told.clone()));
                tasks.spawn(stream::accept(shared(), tcp, told.clone()));
            }
            Ok(())
        },
    )
}

impl Server {
    fn new(config: &Config, tables: Arc<RwLock<Tables>>, keys: Keys, now: u32) -> Result<Server, String> {
        let guard = Guard::new(config.rate, now).map_err(|e| e.to_string())?;
        let counter = Arc::new(Counter::new(config.log).map_err(|e| e.to_string())?);
        let forwarder = Arc::new(Forwarder::new(config.cache, Arc::clone(&counter)));
        let names = tables.read().unwrap_or_else(PoisonError::into_inner).names();
        let prepared = Prepared::new(names);
        let (transfer, health) = (config.transfer.clone(), Arc::default());
        let first = config.servers.as_ref().and_then(|servers| servers.at).zip(keys.servers.clone());
        let keeper = first.map(|(at, key)| Arc::new(Keeper::new(at, key)));
        Ok(Server { tables, prepared, keys, transfer, keeper, guard, counter, forwarder, health })
    }

    /// Writes the reply to a datagram to the end of `out`, if it gets one, and counts it; or returns what takes time.
    fn datagram(
        &self,
        bytes: &[u8],
        from: SocketAddrV4,
        at: IpAddr,
        out: &mut Vec<u8>,
    ) -> Option<(Question, Reply)> {
        let source = *from.ip();
        let (view, version) = {
            let tables = self.tables();
            (tables.view_of(source), tables.version())
        };
        let quick = view.filter(|_| !self.counter.logs()).and_then(|view| Some((view, Quick::read(bytes)?)));
        let Some((view, quick)) = quick else {
            let mut question = Question::read(bytes, false)?;
            let verdict = self.guard.admit(&mut question, source, view.is_some());
            return self.first(question, from, at, verdict, out);
        };
        let verdict = self.guard.count(source, true);
        let (start, passed) = (out.len(), verdict == Verdict::Pass);
        // A reply that is kept may be of a later version than it says, never of an earlier one.
        let state = State { version, down: self.health.down() };
        if passed && (self.prepared.reply(view, &quick, &state, out) || self.forwarder.quick(&quick, out)) {
            self.counter.quick(at, &out[start..]);
            return None;
        }
        let question = Question::read(bytes, false)?;
        let own = passed && self.tables().has(source, &question.name);
        let later = self.first(question, from, at, verdict, out);
        if own && later.is_none() {
            self.prepared.keep(view, &quick, &state, &out[start..]);
        }
        later
    }

    /// The same for a query of any form.
    fn first(
        &self,
        mut question: Question,
        from: SocketAddrV4,
        at: IpAddr,
        verdict: Verdict,
        out: &mut Vec<u8>,
    ) -> Option<(Question, Reply)> {
        let reply = match verdict {
            Verdict::Pass => self.reply(&mut question, from.into()),
            Verdict::Again => Reply::Now(question.again()),
            Verdict::Silence => Reply::Now(Vec::new()),
        };
        if verdict != Verdict::Pass {
            self.counter.add(|counts| counts.limited += 1);
        }
        match reply {
            Reply::Now(bytes) => {
                self.counter.reply(&question, from.into(), at, &bytes);
                out.extend_from_slice(&bytes);
                None
            }
            later => Some((question, later)),
        }
    }

    /// What tells the names of this host's leases to the other servers.
    fn lender(&self, changes: &Changes) -> Lender {
        let (changes, tables, keeper) = (changes.clone(), Arc::clone(&self.tables), self.keeper.clone());
        Lender { changes, tables, keeper }
    }

    /// What it has counted, as JSON.
    fn counts(&self) -> String {
        let mut counts = self.counter.counts();
        let (answers, bytes) = self.forwarder.size();
        counts.cached = u64::try_from(answers).unwrap_or(u64::MAX);
        counts.cached_bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        counts.unready = self.health.down().iter().copied().collect();
        serde_json::to_string(&counts).unwrap_or_default()
    }

    fn admit(&self, question: &mut Question, from: SocketAddr) -> Verdict {
        match from.ip() {
            IpAddr::V4(source) => self.guard.admit(question, source, self.tables().knows(source)),
            IpAddr::V6(_) => Verdict::Silence, // No socket has such addresses.
        }
    }

    fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn reply(&self, question: &mut Question, from: SocketAddr) -> Reply {
        let IpAddr::V4(source) = from.ip() else { return Reply::Now(question.refused()) };
        if let Some(reply) = question.open(&self.keys) {
            return reply;
        }
        if question.is_transfer() {
            return Reply::Transfer;
        }
        if question.is_for_news() {
            return Reply::News;
        }
        let reply = question.reply(&self.tables(), source, &self.health.down());
        match reply {
            Reply::Later(mut ask) => match self.forwarder.at_once(question, &mut ask) {
                Some(bytes) => Reply::Now(question.signed(bytes)),
                None => Reply::Later(ask),
            },
            Reply::Now(bytes) => Reply::Now(question.signed(bytes)),
            other => other,
        }
    }

    /// The reply that takes time.
    async fn later(
        &self,
        question: &mut Question,
        reply: Reply,
        (from, changes): (SocketAddr, Option<Changes>),
    ) -> Vec<u8> {
        match reply {
            Reply::Now(bytes) => bytes,
            Reply::Later(ask) => {
                let bytes = self.forwarder.ask(question, &ask, from.ip()).await;
                question.signed(bytes)
            }
            Reply::Change => match &self.keeper {
                Some(keeper) => question.passed_on(keeper).await,
                None => question.change(changes.as_ref()).await,
            },
            Reply::Transfer | Reply::News => Vec::new(), // They have messages of their own.
        }
    }
}

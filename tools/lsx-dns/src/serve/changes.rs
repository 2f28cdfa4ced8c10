//! The thread that carries out updates, and how tasks reach it. It ends when no task can send it anything any more.

use crate::model::Config;
use crate::update::keys::Who;
use crate::update::leased::Lending;
use crate::update::line::Line;
use crate::update::message::{self, Asked};
use crate::update::news::News;
use crate::update::replay::Signed;
use crate::update::rules::Rules;
use crate::update::state::State;
use crate::update::writer::{Names, Order, Request, Wanted};
use crate::zone::{Owner, Rr, Tables, name, record_of};
use common::host::wait;
use common::journal::{self, Journal};
use common::{document, log};
use domain::base::iana::{Class, Rcode};
use domain::base::{Message, Ttl};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// The number of updates that wait, and of those that are written together.
const WAITING: usize = 1000;
const TOGETHER: usize = 256;
/// How often the journal of a former worker is looked at, and a drained worker looks for updates that are under way.
const FOLLOW: Duration = Duration::from_millis(5);
const LOOK: Duration = Duration::from_millis(100);
/// How long a drained worker waits for updates on open connections.
const LAST: Duration = Duration::from_secs(3);

/// What an update is sent by.
#[derive(Clone)]
pub(super) struct Changes {
    to: SyncSender<Order>,
    zones: Arc<Vec<Owner>>,
    /// The serial, whenever it rises.
    told: watch::Receiver<u32>,
}

/// What the thread has.
pub(super) struct Work {
    names: Names,
    folder: OwnedFd,
    digest: String,
    from: Receiver<Order>,
    tables: Arc<RwLock<Tables>>,
    drained: watch::Receiver<bool>,
    /// The serial, for those who are told of it.
    told: watch::Sender<u32>,
    /// Whether another server keeps the names.
    follows: bool,
}

/// Reads the journal, and prepares the thread.
///
/// # Errors
/// A damaged journal, or a configuration that cannot be used.
pub(super) fn prepare(
    config: &Config,
    folder: OwnedFd,
    tables: &Arc<RwLock<Tables>>,
    drained: watch::Receiver<bool>,
) -> Result<(Changes, Work), String> {
    let state = state(config)?;
    let zones = Arc::new(state.zones.clone());
    let mut names = Names::new(state);
    let (lines, _) = journal::read::<Line>(&folder).map_err(|e| e.to_string())?;
    names.load(&lines, now())?;
    names.show_all(tables);
    let (to, from) = sync_channel(WAITING);
    // What a transfer of the zones shows; other settings do not change the serial.
    let shown =
        (&config.zones, &config.records, config.ttl, config.negative_ttl, &config.domain, &config.update);
    let digest = document::digest_of(&shown).map_err(|e| e.to_string())?;
    let told = watch::Sender::new(0);
    let changes = Changes { to, zones, told: told.subscribe() };
    let follows = config.servers.as_ref().is_some_and(|servers| servers.at.is_some());
    Ok((changes, Work { names, folder, digest, from, tables: Arc::clone(tables), drained, told, follows }))
}

/// The names of the stack.
fn state(config: &Config) -> Result<State, String> {
    let zones = config.zones.iter().map(|zone| name(zone)).collect::<Result<Vec<_>, _>>()?;
    let mut fixed: HashMap<Owner, Vec<_>> = zones.iter().map(|apex| (apex.clone(), Vec::new())).collect();
    let server = name(&format!("ns.{}", config.domain))?;
    for (apex, records) in &mut fixed {
        let data = domain::rdata::Ns::new(server.clone());
        records.push(Rr::new(apex.clone(), Class::IN, Ttl::from_secs(config.ttl), data.into()));
    }
    for entry in &config.records {
        let owner = name(&entry.name)?;
        let record = record_of(owner.clone(), entry.ttl.unwrap_or(config.ttl), &entry.data)?;
        let records = fixed.entry(owner).or_default();
        if !records.contains(&record) {
            records.push(record);
        }
    }
    let (rules, lending) = (Rules::new(&config.update)?, Lending::new(&config.leased)?);
    Ok(State { zones, fixed, rules, lending, live: BTreeMap::new() })
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    log::clock().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Changes {
    /// The apexes of the zones.
    pub(super) fn zones(&self) -> Vec<Owner> {
        self.zones.to_vec()
    }

    /// Reads an update.
    ///
    /// # Errors
    /// The code of the reply.
    pub(super) fn read(&self, message: &Message<Vec<u8>>) -> Result<Asked, Rcode> {
        message::read(message, &self.zones)
    }

    /// Carries it out; none if that is not known.
    pub(super) async fn carry_out(&self, who: Who, asked: Asked, signed: Signed) -> Option<Rcode> {
        let (reply, code) = oneshot::channel();
        match self.to.try_send(Order::Update(Request { who, asked, signed, reply })) {
            Ok(()) => code.await.ok(),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Some(Rcode::SERVFAIL),
        }
    }

    /// The records of a transfer; none without such a zone, or while another worker has the journal.
    pub(super) async fn transfer(&self, zone: Owner, since: Option<u32>) -> Option<Vec<Rr>> {
        let (reply, records) = oneshot::channel();
        self.to.try_send(Order::Transfer(Wanted { zone, since, reply })).ok()?;
        records.await.ok()?
    }

    /// The serial, whenever it rises.
    pub(super) fn serials(&self) -> watch::Receiver<u32> {
        self.told.clone()
    }

    /// The serial that this worker has, once it has the journal.
    pub(super) async fn serial(&self) -> Option<u32> {
        let (reply, serial) = oneshot::channel();
        self.to.try_send(Order::Serial(reply)).ok()?;
        serial.await.ok()
    }

    /// The names of leases of this host that the journal has.
    pub(super) async fn lent(&self) -> Option<BTreeMap<Owner, Vec<Rr>>> {
        let (reply, names) = oneshot::channel();
        self.to.try_send(Order::Lent(reply)).ok()?;
        names.await.ok()
    }

    /// What has changed since a serial.
    pub(super) async fn since(&self, serial: u32) -> Option<News> {
        let (reply, news) = oneshot::channel();
        self.to.try_send(Order::Since(serial, reply)).ok()?;
        news.await.ok()
    }

    /// Takes over what another server says.
    pub(super) async fn follow(&self, news: News) -> Result<(), String> {
        let gone = || "this worker ends".to_owned();
        let (reply, done) = oneshot::channel();
        self.to.try_send(Order::Follow(news, reply)).map_err(|_| gone())?;
        done.await.map_err(|_| gone())?
    }
}

impl Work {
    /// Runs in a thread of its own; `ready` is sent when it has the journal.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub(super) fn start(mut self) -> io::Result<oneshot::Receiver<()>> {
        let (ready, told) = oneshot::channel();
        let work = move || {
            let Some(mut journal) = self.take() else { return };
            let _ = ready.send(());
            self.serve(&mut journal);
        };
        std::thread::Builder::new().name("journal".to_owned()).spawn(work)?;
        Ok(told)
    }

    /// Follows the journal while a former worker has it, and takes it then; none if this worker is drained before.
    fn take(&mut self) -> Option<Journal<Line>> {
        let mut mark = None;
        let mut told = None;
        loop {
            match self.try_take(&mut mark) {
                Ok(Some(journal)) => return Some(journal),
                Ok(None) => {}
                Err(why) if told.as_ref() != Some(&why) => {
                    log::warning(&format!("names cannot be changed: {why}"));
                    told = Some(why);
                }
                Err(_) => {}
            }
            if *self.drained.borrow() {
                return None;
            }
            wait::until(FOLLOW, FOLLOW, || false);
        }
    }

    fn try_take(&mut self, mark: &mut Option<journal::Mark>) -> Result<Option<Journal<Line>>, String> {
        let folder = self.folder.try_clone().map_err(|e| e.to_string())?;
        if let Some((mut journal, lines)) = Journal::open(folder).map_err(|e| e.to_string())? {
            self.names.load(&lines, now())?;
            if !self.follows {
                let begun = self.names.begin(&mut journal, &self.digest, now());
                begun.map_err(|e| format!("cannot write the journal: {e}"))?;
            }
            self.names.show_all(&self.tables);
            self.told.send_replace(self.names.serial);
            return Ok(Some(journal));
        }
        if journal::mark(&self.folder) != *mark {
            let (lines, read) = journal::read(&self.folder).map_err(|e| e.to_string())?;
            self.names.load(&lines, now())?;
            self.names.show_all(&self.tables);
            *mark = read;
        }
        Ok(None)
    }

    /// What another server asks or says.
    fn other(&mut self, journal: &mut Journal<Line>, order: Order) {
        match order {
            Order::Serial(reply) => _ = reply.send(self.names.serial),
            Order::Lent(reply) => _ = reply.send(self.names.state.lent()),
            Order::Since(serial, reply) => _ = reply.send(self.names.news(serial)),
            Order::Follow(news, reply) => {
                let done = self.names.follow(journal, &news, (&self.tables, now()));
                if done.is_ok() && !news.is_empty() {
                    self.told.send_replace(self.names.serial);
                }
                let _ = reply.send(done);
            }
            Order::Update(_) | Order::Transfer(_) => {}
        }
    }

    fn serve(&mut self, journal: &mut Journal<Line>) {
        let (mut end, mut failed) = (None, false);
        loop {
            let first = match self.from.recv_timeout(LOOK) {
                Ok(first) => first,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    if *self.drained.borrow() {
                        let end = end.get_or_insert_with(|| Instant::now() + LAST);
                        if Instant::now() >= *end {
                            return;
                        }
                    }
                    continue;
                }
            };
            let (mut group, mut wanted, mut others) = (Vec::new(), Vec::new(), Vec::new());
            let more = std::iter::from_fn(|| self.from.try_recv().ok());
            for order in [first].into_iter().chain(more).take(TOGETHER) {
                match order {
                    Order::Update(request) => group.push(request),
                    Order::Transfer(one) => wanted.push(one),
                    other => others.push(other),
                }
            }
            let (written, changed) = self.names.group(journal, group, (&self.tables, now()));
            if changed {
                self.told.send_replace(self.names.serial);
            }
            for Wanted { zone, since, reply } in wanted {
                let _ = reply.send(self.names.transfer(&zone, since, &self.tables));
            }
            others.into_iter().for_each(|order| self.other(journal, order));
            if let Err(e) = &written
                && !failed
            {
                log::warning(&format!("names cannot be changed: cannot write the journal: {e}"));
            }
            failed = written.is_err();
        }
    }
}

//! Answers for names of others: those that are kept, else what their servers say. A question that several clients have at the
//! same time is asked once.

use super::cache::{Cache, Kept};
use super::counter::Counter;
use super::quick::{Body, Quick};
use super::reply::{Age, Ask, Question};
use super::said::{Key, Said};
use super::upstream::Upstream;
use common::host::service::places::Places;
use domain::base::iana::{ExtendedErrorCode, Rcode};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::timeout;

/// The time for all servers: clients ask again after five seconds (resolv.conf(5)).
const ALL: Duration = Duration::from_millis(4500);
/// The same for a client that could get an old answer (RFC 8767 5).
const OLD: Duration = Duration::from_millis(1800);
/// The number of questions that wait, and of different ones that are under way.
const QUESTIONS: usize = 1000;
/// For how many seconds a failure is kept (RFC 9520 3.2).
const FAILED: u32 = 5;

/// What is told to all that wait for a question.
type Told = watch::Receiver<Option<Arc<Said>>>;

pub(super) struct Forwarder {
    start: Instant,
    /// The time for all servers.
    all: Duration,
    counter: Arc<Counter>,
    places: Arc<Places>,
    upstream: Upstream,
    cache: Mutex<Cache>,
    under_way: Mutex<HashMap<Key, Told>>,
}

impl Forwarder {
    /// With a cache for this number of answers.
    pub(super) fn new(cache: u32, counter: Arc<Counter>) -> Forwarder {
        Forwarder {
            start: Instant::now(),
            all: ALL,
            counter,
            places: Places::new(QUESTIONS),
            upstream: Upstream::default(),
            cache: Mutex::new(Cache::new(usize::try_from(cache).unwrap_or(usize::MAX))),
            under_way: Mutex::default(),
        }
    }

    /// The reply if no server has to be asked first; otherwise the question gets the old answer that there is.
    pub(super) fn at_once(self: &Arc<Self>, question: &Question, ask: &mut Ask) -> Option<Vec<u8>> {
        let key = question.key(ask);
        let kept = self.cache().look(&key, self.start.elapsed());
        match kept {
            Kept::Fresh(said, age, soon) => {
                if soon && self.under_way().len() < QUESTIONS / 2 {
                    self.begin(&key, &ask.servers);
                }
                self.counter.add(|counts| counts.kept += 1);
                if said.written.0.get().is_none() && ask.before.is_empty() {
                    let new = question.relay(&[], &said, Age::Seconds(0));
                    let body = Body::of(&new, question.edns.is_some());
                    body.map(|body| said.written.0.set(Arc::new(body)));
                }
                Some(question.relay(&ask.before, &said, Age::Seconds(age)))
            }
            Kept::Stale(said, true) => {
                self.counter.add(|counts| counts.old += 1);
                Some(question.relay(&ask.before, &said, Age::Old))
            }
            Kept::Stale(said, false) => {
                ask.old = Some(said);
                None
            }
            Kept::Nothing => None,
        }
    }

    /// Writes a kept answer to the end of `out`, if that needs no more than a copy.
    pub(super) fn quick(&self, quick: &Quick<'_>, out: &mut Vec<u8>) -> bool {
        let Some(name) = quick.name() else { return false };
        let key = Key { name, kind: quick.kind(), secure: quick.secure, unchecked: quick.unchecked() };
        // What is kept for a name, other servers were asked for: no view has it.
        let Kept::Fresh(said, age, false) = self.cache().look(&key, self.start.elapsed()) else {
            return false;
        };
        let written = said.written.0.get().is_some_and(|body| body.write(quick, age, out));
        if written {
            self.counter.add(|counts| counts.kept += 1);
        }
        written
    }

    /// The reply to a question; an old one or SERVFAIL if no server answers.
    pub(super) async fn ask(self: &Arc<Self>, question: &Question, ask: &Ask, client: IpAddr) -> Vec<u8> {
        let without = |why| match &ask.old {
            Some(said) => {
                self.counter.add(|counts| counts.old += 1);
                question.relay(&ask.before, said, Age::Old)
            }
            None => {
                self.counter.add(|counts| counts.failed += 1);
                question.failed(why)
            }
        };
        self.counter.add(|counts| counts.forwarded += 1);
        let key = question.key(ask);
        let Some(_place) = self.places.take(client) else { return without(ExtendedErrorCode::OVER_QUOTA) };
        let begun = self.begin(&key, &ask.servers);
        let Some(mut told) = begun else { return without(ExtendedErrorCode::OVER_QUOTA) };
        let limit = if ask.old.is_some() { OLD } else { self.all };
        let said = timeout(limit, told.wait_for(Option::is_some)).await;
        let said = said.ok().and_then(Result::ok).and_then(|said| said.clone());
        match said.filter(|said| said.code != Rcode::SERVFAIL) {
            Some(said) => question.relay(&ask.before, &said, Age::Seconds(0)),
            None => without(ExtendedErrorCode::NO_REACHABLE_AUTHORITY),
        }
    }

    /// Asks, unless the same is under way; none if too much is. What comes is kept, also if nobody waits any more.
    fn begin(self: &Arc<Self>, key: &Key, servers: &[Ipv4Addr]) -> Option<Told> {
        let mut under_way = self.under_way();
        if let Some(told) = under_way.get(key).filter(|told| told.has_changed().is_ok()) {
            return Some(told.clone());
        }
        if under_way.len() >= QUESTIONS {
            return None;
        }
        let (tell, told) = watch::channel(None);
        under_way.insert(key.clone(), told.clone());
        let (me, key, servers) = (Arc::clone(self), key.clone(), servers.to_vec());
        tokio::spawn(async move {
            let said = timeout(me.all, me.upstream.ask(&key, &servers)).await.ok().flatten();
            let said = Arc::new(said.unwrap_or_else(|| Said::failed(FAILED)));
            me.cache().keep(&key, Arc::clone(&said), me.start.elapsed());
            me.under_way().remove(&key);
            let _ = tell.send(Some(said));
        });
        Some(told)
    }

    /// The number of answers in the cache, and what they take in memory, about.
    pub(super) fn size(&self) -> (usize, usize) {
        self.cache().size()
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Key, Told>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

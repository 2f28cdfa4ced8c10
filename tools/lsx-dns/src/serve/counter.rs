//! Counts queries and replies, and logs them if the document says so: one JSON object a line.

use super::reply::Question;
use crate::model::Counts;
use common::host::service::work;
use common::log;
use domain::base::iana::Rcode;
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, PoisonError};

/// The number of codes in the header of a message (RFC 1035 4.1.1).
const CODES: usize = 16;

pub(super) struct Counter {
    all: Mutex<All>,
    log: Option<SyncSender<String>>,
}

#[derive(Default)]
struct All {
    counts: Counts,
    codes: [u64; CODES],
    /// Lines of the log that were lost.
    lost: u64,
}

impl Counter {
    /// Begins; with a log if `log`.
    ///
    /// # Errors
    /// The kernel gives no thread for the log.
    pub(super) fn new(log: bool) -> std::io::Result<Counter> {
        let counts = Counts { since_at: log::now(), ..Counts::default() };
        let all = Mutex::new(All { counts, ..All::default() });
        Ok(Counter { all, log: log.then(work::lines).transpose()? })
    }

    /// Counts something else than a reply.
    pub(super) fn add(&self, what: impl FnOnce(&mut Counts)) {
        what(&mut self.all.lock().unwrap_or_else(PoisonError::into_inner).counts);
    }

    /// Whether queries are logged.
    pub(super) const fn logs(&self) -> bool {
        self.log.is_some()
    }

    /// Counts a query by a datagram and its reply, without a line in the log.
    pub(super) fn quick(&self, at: IpAddr, reply: &[u8]) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).count(false, at, reply);
    }

    /// Counts a query and its reply; `at` is the address of the server. Without a reply `bytes` is empty.
    pub(super) fn reply(&self, question: &Question, from: SocketAddr, at: IpAddr, bytes: &[u8]) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let code = all.count(question.stream, at, bytes);
        let Some(log) = &self.log else { return };
        let reply = (!bytes.is_empty()).then(|| name(code));
        let (name, kind) = (question.name.to_string(), question.kind.to_string());
        let mut line =
            json!({"from": from.ip(), "name": name, "type": kind, "code": reply, "tcp": question.stream});
        if all.lost > 0 {
            line["lost"] = json!(all.lost);
        }
        match log.try_send(format!("{line}\n")) {
            Ok(()) => all.lost = 0,
            Err(_) => all.lost += 1,
        }
    }

    /// What was counted.
    pub(super) fn counts(&self) -> Counts {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = all.counts.clone();
        let codes = all.codes.iter().enumerate().filter(|(_, number)| **number > 0);
        counts.codes = codes.map(|(code, number)| (name(code), *number)).collect();
        counts
    }
}

impl All {
    /// Returns the code of the reply.
    fn count(&mut self, tcp: bool, at: IpAddr, reply: &[u8]) -> usize {
        let code = usize::from(reply.get(3).copied().unwrap_or_default()) % CODES;
        self.counts.queries += 1;
        self.counts.tcp += u64::from(tcp);
        self.codes[code] += u64::from(!reply.is_empty());
        if let IpAddr::V4(at) = at {
            *self.counts.addresses.entry(at).or_default() += 1;
        }
        code
    }
}

fn name(code: usize) -> String {
    Rcode::masked_from_int(u8::try_from(code).unwrap_or_default()).to_string()
}

//! The answer to a query, as a document, and the part of the verb that runs on a host.

use crate::zone::Rr;
use crate::{ask, zone};
use domain::base::Message;
use domain::base::iana::Rcode;
use domain::rdata::ZoneRecordData;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

/// The number of records that are shown.
const RECORDS: usize = 1000;

/// A query of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) address: Ipv4Addr,
    pub(crate) mac: String,
    pub(crate) server: SocketAddrV4,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) tcp: bool,
}

/// What an instance gets for a name.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Queried {
    /// `lsx.dns.query/1`.
    pub(crate) schema: String,
    /// The stack.
    pub(crate) stack: String,
    /// The name that is asked, without the last dot.
    pub(crate) name: String,
    /// The type of records.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The instance that asks.
    pub(crate) from: String,
    /// Its network.
    pub(crate) network: String,
    /// Its address there.
    pub(crate) source: Ipv4Addr,
    /// The server that it asks.
    #[schemars(with = "String")]
    pub(crate) server: SocketAddrV4,
    /// The networks that the source is on, by which names are chosen.
    pub(crate) view: Vec<String>,
    /// The zone of the stack that the name is in, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
    /// The servers that are asked for a name of others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub(crate) forward: Vec<String>,
    /// What the document says; of names of others only the aliases that lead to them.
    pub(crate) expected: Answer,
    /// By `explain`: which parts of the document give the records, and which it has for others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub(crate) sources: Vec<Source>,
    /// Whether answers may lack replicas that are not ready.
    #[serde(skip)]
    pub(crate) partly: bool,
    /// Whether a client of DHCP may have told the name.
    #[serde(skip)]
    pub(crate) told: bool,
    /// What the instance got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<Answer>,
    /// Whether it is what the document says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) same: Option<bool>,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Answer {
    /// Its code, such as `NOERROR`.
    pub(crate) code: String,
    /// Why it is an error, for people (RFC 8914).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// The records, at most 1000.
    pub(crate) records: Vec<Record>,
    /// Milliseconds until the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ms: Option<f64>,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Record {
    /// Its name.
    pub(crate) name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Its data, as in zone files.
    pub(crate) data: String,
    /// TTL in seconds.
    pub(crate) ttl: u32,
}

/// A part of the document that gives a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Source {
    /// The record: name, type and data.
    pub(crate) record: String,
    /// The part: keys from the top of the document.
    pub(crate) path: String,
    /// File, line and column, if the document is a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    /// Why the asker does not get it, or gets it from elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

impl Queried {
    /// Compares what came with the document: code and records, except TTLs. Of names of others only the aliases are known, and of
    /// those that clients of DHCP tell nothing.
    pub(crate) fn compare(&mut self, answer: Answer) {
        let told = self.told && self.expected.records.is_empty() && !answer.records.is_empty();
        self.same = (!told).then(|| {
            if self.forward.is_empty() {
                self.expected.is_met(&answer, self.partly)
            } else {
                self.expected.lines().is_subset(&answer.lines())
            }
        });
        self.answer = Some(answer);
    }
}

impl Answer {
    /// Whether another answer has the same code and records, except TTLs; `partly`: or some of several records.
    pub(crate) fn is_met(&self, answer: &Answer, partly: bool) -> bool {
        let (expected, got) = (self.lines(), answer.lines());
        if partly && expected.len() > 1 {
            return !got.is_empty() && got.is_subset(&expected);
        }
        expected == got && self.code == answer.code
    }

    /// Its records without TTLs.
    fn lines(&self) -> BTreeSet<(String, String, String)> {
        let line = |at: &Record| (at.name.to_lowercase(), at.kind.clone(), at.data.clone());
        self.records.iter().map(line).collect()
    }

    /// Of the document.
    pub(crate) fn of(answer: &zone::Answer) -> Answer {
        let why = answer.why.map(|why| why.to_string());
        Answer { code: answer.code.to_string(), why, ..Answer::records(&answer.records) }
    }

    /// Records without an error.
    pub(crate) fn records(records: &[Rr]) -> Answer {
        let records = records.iter().take(RECORDS).map(line).collect();
        Answer { code: Rcode::NOERROR.to_string(), records, ..Answer::default() }
    }

    fn read(reply: &Message<Vec<u8>>) -> Option<Answer> {
        let why = reply.opt().and_then(|opt| opt.opt().extended_error()).map(|why| why.code().to_string());
        let mut records = Vec::new();
        for record in reply.answer().ok()?.take(RECORDS) {
            let record = record.ok()?.into_record::<ZoneRecordData<_, _>>().ok()??;
            let (name, kind, data) = (record.owner(), record.rtype(), record.data());
            let (name, kind, data) = (name.to_string(), kind.to_string(), data.to_string());
            records.push(Record { name, kind, data, ttl: record.ttl().as_secs() });
        }
        Some(Answer { code: reply.header().rcode().to_string(), why, records, ms: None })
    }
}

fn line(record: &Rr) -> Record {
    Record {
        name: record.owner().to_string(),
        kind: record.rtype().to_string(),
        data: record.data().to_string(),
        ttl: record.ttl().as_secs(),
    }
}

/// Asks from the namespace of this thread.
///
/// # Errors
/// No answer.
pub(crate) fn asked(server: SocketAddrV4, name: &str, kind: &str, tcp: bool) -> io::Result<Answer> {
    let kind = kind.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
    let query = ask::query(name, kind)?;
    let begun = Instant::now();
    let by = if tcp { ask::by_tcp } else { ask::by_udp };
    let reply = by(server, &query)?;
    let ms = (begun.elapsed().as_secs_f64() * 10_000.0).round() / 10.0;
    let answer = Answer::read(&reply).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Answer { ms: Some(ms), ..answer })
}

#[cfg(test)]
mod tests;

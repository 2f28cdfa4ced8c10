//! How a server of the stack on another host asks what has changed, and gets it: a signed question of a private type by TCP, which is
//! answered as soon as something has changed, and messages whose records together are JSON.

use super::changes::{self, Changes};
use super::reply::Question;
use crate::model::SERVERS;
use crate::transfer;
use crate::update::news::News;
use crate::zone::{Owner, Rdata, Rr, name};
use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, MessageBuilder, Ttl};
use domain::rdata::tsig::Time48;
use domain::tsig::{ClientSequence, Key};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The type of question and records (RFC 6895 3.1: private use).
const KIND: Rtype = Rtype::from_int(65_399);
/// The bytes of one record, of the length before all of them, and of all.
const RECORD: usize = 8000;
const LENGTH: usize = 4;
const ALL: usize = 512 * 1024 * 1024;
/// How long a question waits for something new.
pub(super) const HOLD: Duration = Duration::from_secs(10);

impl Question {
    /// Whether another server of the stack asks what has changed.
    pub(super) fn is_for_news(&self) -> bool {
        let serves = self.signature.as_ref().is_some_and(|signature| signature.who.serves);
        serves && self.stream && self.kind == KIND
    }

    /// The messages with what has changed, once something has or some time has passed; none if that is not known.
    pub(super) async fn news(&mut self, changes: &Changes) -> Vec<Vec<u8>> {
        let Some(since) = serial(&self.name) else { return Vec::new() };
        let mut told = changes.serials();
        let Some(mut news) = changes.since(since).await else { return Vec::new() };
        if news.is_empty() {
            told.borrow_and_update();
            let later = changes.since(since).await; // It may have risen before that.
            news = later.unwrap_or(news);
        }
        if news.is_empty() {
            let _ = timeout(HOLD, told.changed()).await;
            let Some(later) = changes.since(since).await else { return Vec::new() };
            news = later;
        }
        let sequence = self.signature.take().map(|signature| signature.sequence());
        let records = records(&news).unwrap_or_default();
        let all = transfer::messages(&self.message, &records, sequence, changes::now());
        all.unwrap_or_default().into_iter().map(|bytes| self.numbered(bytes)).collect()
    }
}

/// The name that is asked for what has changed since a serial.
fn asked(serial: u32) -> Option<Owner> {
    name(&format!("{serial}.{SERVERS}")).ok()
}

fn serial(asked: &Owner) -> Option<u32> {
    asked.to_string().strip_suffix(SERVERS)?.strip_suffix('.')?.parse().ok()
}

fn records(news: &News) -> Option<Vec<Rr>> {
    let json = serde_json::to_vec(news).ok()?;
    let mut bytes = u32::try_from(json.len()).ok()?.to_be_bytes().to_vec();
    bytes.extend(json);
    let record = |part: &[u8]| {
        let data = UnknownRecordData::from_octets(KIND, part.to_vec()).ok()?;
        Some(Rr::new(Owner::root_vec(), Class::IN, Ttl::ZERO, Rdata::Unknown(data)))
    };
    bytes.chunks(RECORD).map(record).collect()
}

/// A question for what has changed since a serial, and what its answers are checked with.
pub(super) fn question(serial: u32, key: &Arc<Key>) -> Option<(Vec<u8>, Answers)> {
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty()).ok()?;
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(u16::from_be_bytes(id));
    let mut builder = builder.question();
    builder.push((asked(serial)?, KIND, Class::IN)).ok()?;
    let mut builder = builder.additional();
    let now = Time48::from_u64(changes::now());
    let sequence = ClientSequence::request(Arc::clone(key), &mut builder, now).ok()?;
    Some((builder.finish(), Answers { sequence, bytes: Vec::new() }))
}

/// The answers to a question.
pub(super) struct Answers {
    sequence: ClientSequence<Arc<Key>>,
    bytes: Vec<u8>,
}

impl Answers {
    /// Takes one message, and says what has changed if it is the last one.
    ///
    /// # Errors
    /// A message without the right signature or form, or one that says that something is wrong.
    pub(super) fn add(&mut self, message: Vec<u8>) -> io::Result<Option<News>> {
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let mut message = Message::from_octets(message).map_err(|e| wrong(e.to_string()))?;
        let now = Time48::from_u64(changes::now());
        self.sequence.answer(&mut message, now).map_err(|e| wrong(format!("its signature: {e}")))?;
        if message.header().rcode() != Rcode::NOERROR {
            return Err(wrong(format!("it says {}", message.header().rcode())));
        }
        let answer = message.answer().map_err(|e| wrong(e.to_string()))?;
        for record in answer {
            let record = record.map_err(|e| wrong(e.to_string()))?;
            if record.rtype() != KIND {
                return Err(wrong(format!("it has a record {}", record.rtype())));
            }
            let record = record.into_record::<UnknownRecordData<_>>().map_err(|e| wrong(e.to_string()))?;
            self.bytes.extend(record.iter().flat_map(|record| record.data().data().as_ref().iter()));
        }
        let Some((length, rest)) = self.bytes.split_first_chunk::<LENGTH>() else {
            return Err(wrong("it has no length".to_owned()));
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > ALL || rest.len() > length {
            return Err(wrong(format!("it has {length} bytes")));
        }
        if rest.len() < length {
            return Ok(None);
        }
        serde_json::from_slice(rest).map(Some).map_err(|e| wrong(e.to_string()))
    }
}

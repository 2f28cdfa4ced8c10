//! Queries and replies as messages (RFC 1035 4, RFC 6891).

use crate::zone::{Answer, Outcome, Owner, Rr, Tables};
use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::message_builder::{AdditionalBuilder, PushError};
use domain::base::name::{FlattenInto, ToName};
use domain::base::{Message, MessageBuilder, StaticCompressor};
use domain::rdata::ZoneRecordData;
use std::net::Ipv4Addr;

/// The largest datagram: one that no link fragments (RFC 9715).
pub(super) const DATAGRAM: u16 = 1232;
/// The largest datagram without EDNS (RFC 1035 4.2.1).
const PLAIN: u16 = 512;
/// The bytes of an OPT record without options.
const OPT: usize = 11;

type Builder = MessageBuilder<StaticCompressor<Vec<u8>>>;

/// One query.
pub(super) struct Question {
    message: Message<Vec<u8>>,
    pub(super) name: Owner,
    pub(super) kind: Rtype,
    class: Class,
    /// The size of datagrams that the client takes, if it has EDNS.
    edns: Option<u16>,
    stream: bool,
    /// The error that it gets.
    wrong: Option<OptRcode>,
}

/// What other servers are asked.
pub(super) struct Ask {
    pub(super) before: Vec<Rr>,
    pub(super) name: Owner,
    pub(super) servers: Vec<Ipv4Addr>,
}

pub(super) enum Reply {
    Now(Vec<u8>),
    Later(Ask),
}

impl Question {
    /// Reads a query; none for what gets no reply: something else than a query, or too little of one.
    pub(super) fn read(bytes: &[u8], stream: bool) -> Option<Question> {
        let message = Message::from_octets(bytes.to_vec()).ok()?;
        let header = message.header();
        if header.qr() {
            return None;
        }
        let mut question = Question {
            name: Owner::root_vec(),
            kind: Rtype::ANY,
            class: Class::IN,
            edns: None,
            stream,
            wrong: None,
            message,
        };
        if header.opcode() != Opcode::QUERY {
            question.wrong = Some(OptRcode::NOTIMP);
        } else if question.parse().is_none() {
            question.wrong = Some(OptRcode::FORMERR);
        }
        Some(question)
    }

    fn parse(&mut self) -> Option<()> {
        let asked = self.message.sole_question().ok()?;
        (self.name, self.kind, self.class) = (asked.qname().to_vec(), asked.qtype(), asked.qclass());
        let mut options = 0;
        for record in self.message.additional().ok()? {
            options += usize::from(record.ok()?.rtype() == Rtype::OPT);
        }
        if options > 1 {
            return None;
        }
        if options == 1 {
            let opt = self.message.opt()?;
            self.edns = Some(opt.udp_payload_size().max(PLAIN));
            if opt.version() != 0 {
                self.wrong = Some(OptRcode::BADVERS);
            }
        }
        Some(())
    }

    /// The reply for a source, or what has to be asked first.
    pub(super) fn reply(&self, tables: &Tables, source: Ipv4Addr) -> Reply {
        if let Some(code) = self.wrong {
            return Reply::Now(self.error(code));
        }
        if self.class != Class::IN {
            return Reply::Now(self.refused());
        }
        match tables.answer(source, &self.name, self.kind, self.message.header().rd()) {
            Outcome::Answer(answer) => Reply::Now(self.write(&answer)),
            Outcome::Forward { before, name, servers } => Reply::Later(Ask { before, name, servers }),
        }
    }

    pub(super) fn refused(&self) -> Vec<u8> {
        self.error(OptRcode::REFUSED)
    }

    pub(super) fn failed(&self) -> Vec<u8> {
        self.error(OptRcode::SERVFAIL)
    }

    fn error(&self, code: OptRcode) -> Vec<u8> {
        self.build(code, |builder| Ok(builder.additional())).unwrap_or_default()
    }

    fn write(&self, answer: &Answer) -> Vec<u8> {
        let whole = self.build(answer.code.into(), |builder| {
            let mut records = builder;
            records.header_mut().set_aa(answer.own);
            answer.records.iter().try_for_each(|record| records.push(record))?;
            let mut authority = records.authority();
            answer.authority.iter().try_for_each(|record| authority.push(record))?;
            Ok(authority.additional())
        });
        whole.unwrap_or_else(|| self.cut(answer.code.into(), answer.own))
    }

    /// The answer of another server, with the aliases before it.
    pub(super) fn relay(&self, before: &[Rr], theirs: &Message<Vec<u8>>) -> Option<Vec<u8>> {
        let code = theirs.header().rcode();
        let mut records = before.iter().map(|record| (0, record.clone())).collect::<Vec<_>>();
        let mut section = theirs.answer().ok()?;
        for part in 0..3 {
            for record in section.by_ref() {
                let record = record.ok()?;
                if record.rtype() == Rtype::OPT {
                    continue;
                }
                let record = record.into_record::<ZoneRecordData<_, _>>().ok()??;
                let record: Rr = record.try_flatten_into().ok()?;
                records.push((part, record));
            }
            match section.next_section().ok()? {
                Some(next) => section = next,
                None => break,
            }
        }
        let whole = self.build(code.into(), |mut answer| {
            let part = |wanted: usize| records.iter().filter(move |(part, _)| *part == wanted);
            part(0).try_for_each(|(_, record)| answer.push(record))?;
            let mut authority = answer.authority();
            part(1).try_for_each(|(_, record)| authority.push(record))?;
            let mut additional = authority.additional();
            part(2).try_for_each(|(_, record)| additional.push(record))?;
            Ok(additional)
        });
        Some(whole.unwrap_or_else(|| self.cut(code.into(), false)))
    }

    /// A reply that says that the client has to ask again by TCP.
    fn cut(&self, code: OptRcode, own: bool) -> Vec<u8> {
        let cut = self.build(code, |mut builder| {
            builder.header_mut().set_tc(true);
            builder.header_mut().set_aa(own);
            Ok(builder.additional())
        });
        cut.unwrap_or_default()
    }

    /// A reply of the size that the client takes; none if it would be larger.
    fn build(
        &self,
        code: OptRcode,
        fill: impl FnOnce(
            domain::base::message_builder::AnswerBuilder<StaticCompressor<Vec<u8>>>,
        ) -> Result<AdditionalBuilder<StaticCompressor<Vec<u8>>>, PushError>,
    ) -> Option<Vec<u8>> {
        let size = match (self.stream, self.edns) {
            (true, _) => u16::MAX,
            (false, Some(size)) => size.min(DATAGRAM),
            (false, None) => PLAIN,
        };
        let room = usize::from(size) - if self.edns.is_some() { OPT } else { 0 };
        let mut builder = Builder::from_target(StaticCompressor::new(Vec::with_capacity(512))).ok()?;
        builder.set_push_limit(room);
        let mut answer = builder.start_error(&self.message, Rcode::NOERROR);
        answer.header_mut().set_rcode(code.rcode());
        answer.header_mut().set_ra(true);
        let mut additional = fill(answer).ok()?;
        if self.edns.is_some() {
            additional.clear_push_limit();
            let opt = additional.opt(|opt| {
                opt.set_udp_payload_size(DATAGRAM);
                opt.set_rcode(code);
                Ok(())
            });
            opt.ok()?;
        }
        Some(additional.finish().into_target())
    }
}

#[cfg(test)]
mod tests;

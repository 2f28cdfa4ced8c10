//! Queries, and what they get (RFC 1035 4, RFC 6891).

use super::quick::PLAIN;
use super::said::{Key, Said};
use super::signed::Signature;
use crate::zone::{Outcome, Owner, Rr, Tables};
use domain::base::Message;
use domain::base::iana::{Class, ExtendedErrorCode, Opcode, OptRcode, Rtype};
use domain::base::name::ToName;
use domain::base::opt::Cookie;
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// One query.
pub(super) struct Question {
    pub(super) message: Message<Vec<u8>>,
    /// The number that its reply gets: a signed message may have been given another one on its way (RFC 8945 4.2).
    id: [u8; 2],
    pub(super) name: Owner,
    pub(super) kind: Rtype,
    class: Class,
    /// The size of datagrams that the client takes, if it has EDNS.
    pub(super) edns: Option<u16>,
    /// Its cookie; once its source is known, the one that the client gets.
    pub(super) cookie: Option<Cookie>,
    /// Whether it wants signatures (RFC 3225).
    pub(super) secure: bool,
    pub(super) stream: bool,
    /// The error that it gets.
    wrong: Option<OptRcode>,
    /// Its signature, once it is found to be right.
    pub(super) signature: Option<Box<Signature>>,
    /// A signed update as it came.
    pub(super) as_it_came: Vec<u8>,
}

/// What other servers are asked.
pub(super) struct Ask {
    pub(super) before: Vec<Rr>,
    pub(super) name: Owner,
    pub(super) servers: Vec<Ipv4Addr>,
    /// An answer whose time is over.
    pub(super) old: Option<Arc<Said>>,
}

/// How long ago an answer came, in seconds, or that its time is over.
#[derive(Clone, Copy)]
pub(super) enum Age {
    Seconds(u32),
    Old,
}

pub(super) enum Reply {
    Now(Vec<u8>),
    Later(Ask),
    /// What comes of an update.
    Change,
    /// A transfer of a zone.
    Transfer,
    /// What has changed, for another server of the stack.
    News,
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
            id: header.id().to_be_bytes(),
            name: Owner::root_vec(),
            kind: Rtype::ANY,
            class: Class::IN,
            edns: None,
            cookie: None,
            secure: false,
            stream,
            wrong: None,
            signature: None,
            as_it_came: Vec::new(),
            message,
        };
        if header.opcode() != Opcode::QUERY {
            question.wrong = Some(OptRcode::NOTIMP);
        } else if question.parse().is_none() {
            question.wrong = Some(OptRcode::FORMERR);
        }
        Some(question)
    }

    /// A reply with the number that the client waits for.
    pub(super) fn numbered(&self, mut reply: Vec<u8>) -> Vec<u8> {
        if let Some(id) = reply.get_mut(..2) {
            id.copy_from_slice(&self.id);
        }
        reply
    }

    fn parse(&mut self) -> Option<()> {
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
            self.secure = opt.dnssec_ok();
            self.cookie = opt.opt().iter::<Cookie>().next().transpose().ok()?; // of a wrong length: RFC 7873 5.2.2
            if opt.version() != 0 {
                self.wrong = Some(OptRcode::BADVERS);
            }
        }
        if self.message.header_counts().qdcount() == 0 && self.cookie.is_some() {
            self.wrong = self.wrong.or(Some(OptRcode::NOERROR)); // It asks for a cookie (RFC 7873 5.4).
            return Some(());
        }
        let asked = self.message.sole_question().ok()?;
        (self.name, self.kind, self.class) = (asked.qname().to_vec(), asked.qtype(), asked.qclass());
        Some(())
    }

    /// The reply for a source, without addresses that are `down`, or what has to be asked first.
    pub(super) fn reply(&self, tables: &Tables, source: Ipv4Addr, down: &HashSet<Ipv4Addr>) -> Reply {
        if let Some(code) = self.wrong {
            return Reply::Now(self.error(code, None));
        }
        if self.class != Class::IN {
            return Reply::Now(self.error(OptRcode::REFUSED, Some(ExtendedErrorCode::NOT_SUPPORTED)));
        }
        match tables.answer(source, &self.name, self.kind, self.message.header().rd()) {
            Outcome::Answer(mut answer) => {
                tables.leave_out(source, &mut answer, down);
                Reply::Now(self.write(&answer))
            }
            Outcome::Forward { before, name, servers } => {
                Reply::Later(Ask { before, name, servers, old: None })
            }
        }
    }

    /// What other servers are asked for it.
    pub(super) fn key(&self, ask: &Ask) -> Key {
        let unchecked = self.message.header().cd();
        Key { name: ask.name.clone(), kind: self.kind, secure: self.secure, unchecked }
    }
}

#[cfg(test)]
pub(super) mod tests;

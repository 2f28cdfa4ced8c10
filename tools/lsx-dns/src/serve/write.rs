//! Replies as messages (RFC 1035 4, RFC 6891), no larger than the client takes.

use super::quick::{DATAGRAM, PLAIN};
use super::reply::{Age, Question};
use super::said::Said;
use crate::zone::{Answer, Rr};
use domain::base::iana::{ExtendedErrorCode, OptRcode, Rcode};
use domain::base::message_builder::{AdditionalBuilder, AnswerBuilder, PushError};
use domain::base::opt::ExtendedError;
use domain::base::{MessageBuilder, StaticCompressor, Ttl};

/// The bytes of an OPT record without options, of the option that says why (RFC 8914), and of a cookie (RFC 9018).
const OPT: usize = 11;
const WHY: usize = 6;
const COOKIE: usize = 28;
/// TTL of an answer whose time is over, in seconds (RFC 8767 4).
const OLD: u32 = 30;

type Target = StaticCompressor<Vec<u8>>;

/// The code of a reply, and more about it for people.
#[derive(Clone, Copy)]
struct Head {
    code: OptRcode,
    own: bool,
    why: Option<ExtendedErrorCode>,
}

impl Question {
    pub(super) fn refused(&self) -> Vec<u8> {
        self.error(OptRcode::REFUSED, Some(ExtendedErrorCode::PROHIBITED))
    }

    pub(super) fn failed(&self, why: ExtendedErrorCode) -> Vec<u8> {
        self.error(OptRcode::SERVFAIL, Some(why))
    }

    /// The reply that it should be asked again: with the cookie that comes with it (RFC 7873 5.2.3), or by TCP.
    pub(super) fn again(&self) -> Vec<u8> {
        if self.cookie.is_some() {
            return self.error(OptRcode::BADCOOKIE, None);
        }
        self.cut(Head { code: OptRcode::NOERROR, own: false, why: Some(ExtendedErrorCode::RATE_LIMITED) })
    }

    pub(super) fn error(&self, code: OptRcode, why: Option<ExtendedErrorCode>) -> Vec<u8> {
        let head = Head { code, own: false, why };
        self.build(head, |builder| Ok(builder.additional())).unwrap_or_default()
    }

    pub(super) fn write(&self, answer: &Answer) -> Vec<u8> {
        let head = Head { code: answer.code.into(), own: answer.own, why: answer.why };
        self.records(head, answer.records.iter(), &answer.authority, |ttl| ttl)
    }

    /// The answer of another server, with the aliases before it.
    pub(super) fn relay(&self, before: &[Rr], said: &Said, age: Age) -> Vec<u8> {
        let (code, missing) = (said.code, said.code == Rcode::NXDOMAIN);
        let why = match age {
            _ if code == Rcode::SERVFAIL => return self.failed(ExtendedErrorCode::CACHED_ERROR),
            Age::Seconds(_) => None,
            Age::Old if missing => Some(ExtendedErrorCode::STALE_NXDOMAIN_ANSWER),
            Age::Old => Some(ExtendedErrorCode::STALE_ANSWER),
        };
        let left = |ttl: Ttl| match age {
            Age::Seconds(age) => Ttl::from_secs(ttl.as_secs().saturating_sub(age)),
            Age::Old => Ttl::from_secs(OLD),
        };
        let head = Head { code: code.into(), own: false, why };
        self.records(head, before.iter().chain(&said.records), &said.authority, left)
    }

    /// A reply with records. If they do not fit, it says that the client has to ask again by TCP.
    fn records<'r>(
        &self,
        head: Head,
        answer: impl Iterator<Item = &'r Rr>,
        authority: &[Rr],
        ttl: impl Fn(Ttl) -> Ttl,
    ) -> Vec<u8> {
        let whole = self.build(head, |mut records| {
            records.header_mut().set_aa(head.own);
            for record in answer {
                // The name comes back as it was asked.
                let owner = if record.owner() == &self.name { &self.name } else { record.owner() };
                records.push((owner, record.class(), ttl(record.ttl()), record.data()))?;
            }
            let mut rest = records.authority();
            for record in authority {
                rest.push((record.owner(), record.class(), ttl(record.ttl()), record.data()))?;
            }
            Ok(rest.additional())
        });
        whole.unwrap_or_else(|| self.cut(head))
    }

    fn cut(&self, head: Head) -> Vec<u8> {
        let cut = self.build(head, |mut builder| {
            builder.header_mut().set_tc(true);
            builder.header_mut().set_aa(head.own);
            Ok(builder.additional())
        });
        cut.unwrap_or_default()
    }

    /// A reply of the size that the client takes; none if it would be larger.
    fn build(
        &self,
        head: Head,
        fill: impl FnOnce(AnswerBuilder<Target>) -> Result<AdditionalBuilder<Target>, PushError>,
    ) -> Option<Vec<u8>> {
        let size = match (self.stream, self.edns) {
            (true, _) => u16::MAX,
            (false, Some(size)) => size.min(DATAGRAM),
            (false, None) => PLAIN,
        };
        let why = head.why.filter(|_| self.edns.is_some());
        let options = why.map_or(0, |_| WHY) + self.cookie.as_ref().map_or(0, |_| COOKIE);
        let signature = self.signature.as_ref().map_or(0, |signature| signature.room());
        let room = usize::from(size) - signature - if self.edns.is_some() { OPT + options } else { 0 };
        let target = StaticCompressor::new(Vec::with_capacity(512));
        let mut builder = MessageBuilder::from_target(target).ok()?;
        builder.set_push_limit(room);
        let mut answer = builder.start_error(&self.message, Rcode::NOERROR);
        answer.header_mut().set_rcode(head.code.rcode());
        answer.header_mut().set_ra(true);
        answer.header_mut().set_cd(self.message.header().cd());
        let mut additional = fill(answer).ok()?;
        if self.edns.is_some() {
            additional.clear_push_limit();
            let opt = additional.opt(|opt| {
                opt.set_udp_payload_size(DATAGRAM);
                opt.set_rcode(head.code);
                opt.set_dnssec_ok(self.secure);
                if let Some(cookie) = &self.cookie {
                    opt.push(cookie)?;
                }
                why.map_or(Ok(()), |why| opt.push(&ExtendedError::<Vec<u8>>::from(why)))
            });
            opt.ok()?;
        }
        Some(additional.finish().into_target())
    }
}

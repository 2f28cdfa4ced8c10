//! Signed questions, and updates among them: what is refused, what is carried out, and the signed reply.

use super::changes::{self, Changes};
use super::follow::Keeper;
use super::reply::{Question, Reply};
use super::signed::{self, Opened};
use crate::model::Transfer;
use crate::transfer;
use crate::update::keys::Keys;
use crate::update::writer::LATE;
use domain::base::MessageBuilder;
use domain::base::iana::{Opcode, Rcode, Rtype};
use std::net::IpAddr;

impl Question {
    fn is_update(&self) -> bool {
        self.message.header().opcode() == Opcode::UPDATE
    }

    /// Checks its signature. The reply, if it is wrong or the question is an update.
    pub(super) fn open(&mut self, keys: &Keys) -> Option<Reply> {
        if keys.all.is_empty() {
            return None;
        }
        if self.is_update() {
            self.as_it_came = self.message.as_slice().to_vec();
        }
        match signed::open(keys, &mut self.message, changes::now()) {
            Opened::Wrong(reply) => return Some(Reply::Now(self.numbered(reply))),
            Opened::Plain if self.is_update() => return Some(Reply::Now(self.bare(Rcode::REFUSED))),
            Opened::Plain => return None,
            Opened::Signed(signature) => self.signature = Some(signature),
        }
        self.is_update().then_some(Reply::Change)
    }

    /// Whether it is for a transfer of a zone, which is answered by TCP.
    pub(super) fn is_transfer(&self) -> bool {
        let kind = matches!(self.kind, Rtype::AXFR | Rtype::IXFR);
        kind && self.stream && self.message.header().opcode() == Opcode::QUERY
    }

    /// The messages of a transfer, or the error.
    pub(super) async fn transfer(
        &mut self,
        (allowed, source): (Option<&Transfer>, IpAddr),
        changes: Option<&Changes>,
    ) -> Vec<Vec<u8>> {
        let signed = self.signature.as_ref().is_some_and(|signature| signature.who.transfers);
        let IpAddr::V4(source) = source else { return Vec::new() };
        let may = allowed.is_some_and(|all| all.to.contains(&source) && (signed || all.key.is_none()));
        let (true, Some(changes), Some((zone, since))) = (may, changes, transfer::asked(&self.message))
        else {
            let refused = self.refused();
            return vec![self.signed(refused)];
        };
        let since = since.filter(|_| self.kind == Rtype::IXFR);
        let Some(records) = changes.transfer(zone, since).await else {
            let reply = self.bare(Rcode::NOTAUTH);
            return vec![self.signed(reply)];
        };
        let sequence = self.signature.take().map(|signature| signature.sequence());
        let all = transfer::messages(&self.message, &records, sequence, changes::now());
        all.unwrap_or_default().into_iter().map(|bytes| self.numbered(bytes)).collect()
    }

    /// A reply with its signature, if the question has one.
    pub(super) fn signed(&mut self, reply: Vec<u8>) -> Vec<u8> {
        match self.signature.take() {
            Some(signature) => self.numbered(signature.sign(&reply, changes::now())),
            None => reply,
        }
    }

    /// Carries out an update; without a result there is no reply, and the client sends it again.
    pub(super) async fn change(&mut self, changes: Option<&Changes>) -> Vec<u8> {
        let (Some(changes), Some(signature)) = (changes, &self.signature) else {
            return self.bare(Rcode::REFUSED);
        };
        let (who, signed) = (signature.who.clone(), signature.signed());
        let code = match changes.read(&self.message) {
            Ok(asked) => match changes.carry_out(who, asked, signed).await {
                Some(LATE) => return self.numbered(signature.late(&self.message, changes::now())),
                code => code,
            },
            Err(code) => Some(code),
        };
        let Some(code) = code else { return Vec::new() };
        let reply = self.bare(code);
        self.signed(reply)
    }

    /// Passes an update on to the server that keeps the names.
    pub(super) async fn passed_on(&mut self, keeper: &Keeper) -> Vec<u8> {
        match keeper.pass(&self.as_it_came).await {
            Ok(reply) => self.numbered(reply),
            Err(_) => {
                let reply = self.bare(Rcode::SERVFAIL);
                self.signed(reply)
            }
        }
    }

    /// A reply with a code and the question, which is the zone of an update.
    fn bare(&self, code: Rcode) -> Vec<u8> {
        let answer = MessageBuilder::new_vec().start_error(&self.message, code);
        let mut additional = answer.additional();
        if self.edns.is_some() {
            let _ = additional.opt(|opt| {
                opt.set_udp_payload_size(super::quick::DATAGRAM);
                Ok(())
            });
        }
        additional.finish()
    }
}

#[cfg(test)]
mod tests;

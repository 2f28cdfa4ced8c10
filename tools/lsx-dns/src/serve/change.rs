//! Signed questions, and updates among them: what is refused, what is carried out, and the signed reply.

use super::changes::{self, Changes};
use super::reply::{Question, Reply};
use super::signed::{self, Opened};
use crate::update::keys::Keys;
use domain::base::MessageBuilder;
use domain::base::iana::{Opcode, Rcode};

impl Question {
    fn is_update(&self) -> bool {
        self.message.header().opcode() == Opcode::UPDATE
    }

    /// Checks its signature. The reply, if it is wrong or the question is an update.
    pub(super) fn open(&mut self, keys: &Keys) -> Option<Reply> {
        if keys.all.is_empty() {
            return None;
        }
        match signed::open(keys, &mut self.message, changes::now()) {
            Opened::Wrong(reply) => return Some(Reply::Now(reply)),
            Opened::Plain if self.is_update() => return Some(Reply::Now(self.bare(Rcode::REFUSED))),
            Opened::Plain => return None,
            Opened::Signed(signature) => self.signature = Some(signature),
        }
        self.is_update().then_some(Reply::Change)
    }

    /// A reply with its signature, if the question has one.
    pub(super) fn signed(&mut self, reply: Vec<u8>) -> Vec<u8> {
        match self.signature.take() {
            Some(signature) => signature.sign(&reply, changes::now()),
            None => reply,
        }
    }

    /// Carries out an update; without a result there is no reply, and the client sends it again.
    pub(super) async fn change(&mut self, changes: Option<&Changes>) -> Vec<u8> {
        let (Some(changes), Some(signature)) = (changes, &self.signature) else {
            return self.bare(Rcode::REFUSED);
        };
        let (who, signed) = (signature.who.clone(), signature.signed.clone());
        let code = match changes.read(&self.message) {
            Ok(asked) => changes.carry_out(who, asked, signed).await,
            Err(code) => Some(code),
        };
        let Some(code) = code else { return Vec::new() };
        let reply = self.bare(code);
        self.signed(reply)
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

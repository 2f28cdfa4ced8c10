//! Answers to `query` and `check`, as a server may send them.

use super::*;
use crate::zone::{Owner, name, record_of};
use domain::base::MessageBuilder;
use domain::base::iana::Rtype;
use lsx_tests::{Dice, soak};

/// Up to four records of the name, or of another one.
fn reply(dice: &mut Dice, query: &Message<Vec<u8>>) -> Vec<u8> {
    use crate::model::Data;
    let all = [
        Data::A([192, 0, 2, 1].into()),
        Data::Txt("x\u{1b}[2J \"\\\n".to_owned()),
        Data::Mx(10, "mail.internal".to_owned()),
        Data::Caa(0, "issue".to_owned(), "ca.example.org".to_owned()),
        Data::Other(65_280, "00ff1b".to_owned()),
    ];
    let code = [Rcode::NOERROR, Rcode::NXDOMAIN, Rcode::SERVFAIL][dice.below(3)];
    let mut builder = MessageBuilder::new_vec().start_answer(query, code).unwrap();
    for _ in 0..dice.below(5) {
        let owner: Owner = name(["a.internal", "b.internal"][dice.below(2)]).unwrap();
        builder.push(record_of(owner, 60, &all[dice.below(all.len())]).unwrap()).unwrap();
    }
    let mut builder = builder.additional();
    if dice.below(2) == 0 {
        let size = |opt: &mut domain::base::message_builder::OptBuilder<'_, Vec<u8>>| {
            opt.set_udp_payload_size(1232);
            Ok(())
        };
        builder.opt(size).unwrap();
    }
    builder.finish()
}

#[test]
fn soak_answers() {
    let query = ask::query("a.internal", Rtype::ANY).unwrap();
    let make = |dice: &mut Dice| {
        let whole = reply(dice, &query);
        dice.damaged(whole)
    };
    soak("dns-told", 5_000, 20, make, |bytes| {
        let Ok(message) = Message::from_octets(bytes.to_vec()) else { return false };
        let Some(answer) = Answer::read(&message) else { return false };
        assert!(answer.records.len() <= RECORDS);
        // What is shown stands on one line.
        let texts = answer.records.iter().flat_map(|at| [&at.name, &at.kind, &at.data]);
        texts.for_each(|text| assert!(!text.chars().any(char::is_control), "{text:?}"));
        // It comes from the host as a document.
        let read: Answer = serde_json::from_value(serde_json::to_value(&answer).unwrap()).unwrap();
        assert!(read == answer && answer.is_met(&read, false));
        true
    });
}

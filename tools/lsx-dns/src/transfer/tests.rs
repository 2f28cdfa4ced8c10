//! Damaged questions for transfers.

use super::*;
use crate::model::Data;
use crate::update::rules::Rules;
use crate::zone::{name, record_of};
use domain::base::iana::{Class, Rtype};
use domain::base::{Serial, Ttl};
use domain::rdata::Soa;
use lsx_tests::{Dice, soak};
use std::collections::HashMap;

const SERIAL: u32 = 20;

fn soa(serial: u32) -> Rr {
    let (apex, time) = (name("internal").unwrap(), Ttl::from_secs(60));
    let data = Soa::new(apex.clone(), apex.clone(), Serial(serial), time, time, time, time);
    Rr::new(apex, Class::IN, time, data.into())
}

fn text(owner: &str, length: usize) -> Rr {
    record_of(name(owner).unwrap(), 60, &Data::Txt("x".repeat(length))).unwrap()
}

/// Names of the stack with more text than one message has, and three updates.
fn names() -> (State, History) {
    let zone = name("internal").unwrap();
    let fixed = (0..5).map(|i| text(&format!("big-{i}.internal"), 9000));
    let mut fixed: HashMap<Owner, Vec<Rr>> =
        fixed.map(|record| (record.owner().clone(), vec![record])).collect();
    fixed.insert(zone.clone(), Vec::new());
    let mut state = State {
        zones: vec![zone],
        fixed,
        rules: Rules::new(&BTreeMap::new()).unwrap(),
        lending: Default::default(),
        live: BTreeMap::new(),
    };
    let mut history = History::default();
    for serial in 17..SERIAL {
        let owner = format!("a-{}.internal", serial % 2);
        let held = Held { by: "one".to_owned(), records: vec![text(&owner, 10 + serial as usize)] };
        let name = name(&owner).unwrap();
        let change = Change { before: state.live.get(&name).cloned(), after: Some(held), name };
        state.apply(std::slice::from_ref(&change), false);
        let signed = crate::update::replay::Signed { at: 1, mac: String::new() };
        history.add((serial, serial + 1), vec![change], signed);
    }
    (state, history)
}

fn question(dice: &mut Dice) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(u16::try_from(dice.below(65536)).unwrap());
    let mut builder = builder.question();
    let zone = name(["internal", "internal", "other.internal", "."][dice.below(4)]).unwrap();
    builder.push((zone, [Rtype::AXFR, Rtype::IXFR][dice.below(2)], Class::IN)).unwrap();
    let mut builder = builder.authority();
    if dice.below(3) > 0 {
        builder.push(soa(u32::try_from(15 + dice.below(8)).unwrap())).unwrap();
    }
    dice.damaged(builder.finish())
}

/// A transfer begins and ends with the record of the zone, and has all records that its messages should have.
#[test]
fn soak_transfers() {
    let (state, history) = names();
    let now = soa(SERIAL);
    soak("dns-transfer", 2_000, 20, question, |bytes| {
        let Ok(question) = Message::from_octets(bytes.to_vec()) else { return false };
        let Some((zone, since)) = asked(&question) else { return false };
        let all = records(&state, &history, &zone, (&now, SERIAL, since));
        let newest = since.is_some_and(|since| SERIAL.wrapping_sub(since).cast_signed() <= 0);
        assert_eq!(all.len() == 1, newest, "{since:?}");
        assert!(all.first() == Some(&now) && all.last() == Some(&now));
        assert!(
            all.iter().all(|record| record == &now || record.owner().ends_with(&zone) || since.is_some())
        );
        let Some(messages) = messages(&question, &all, None, 0) else { return false };
        let mut count = 0;
        for message in messages {
            assert!(message.len() <= MESSAGE);
            count += Message::from_octets(message).unwrap().answer().unwrap().count();
        }
        assert_eq!(count, all.len());
        zone == name("internal").unwrap()
    });
}

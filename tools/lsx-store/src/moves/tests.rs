//! Where a volume is, by what hosts say.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use super::aim::{Looked, found};
use crate::apply::moved::Seen;
use crate::model::{Driver, Facts, State, Volume};

fn at(host: &str, state: State, peer: Option<&str>, id: Option<&str>) -> (String, Volume) {
    let volume = Volume {
        name: "db".to_owned(),
        driver: Driver::Directory,
        path: "/data/db".to_owned(),
        size_bytes: None,
        owner: None,
        mode: None,
        state,
        peer: peer.map(str::to_owned),
        since: None,
        clock: None,
        move_id: id.map(str::to_owned),
        stopped: Vec::new(),
    };
    (host.to_owned(), volume)
}

/// The host that it comes from to h2 and whether it has arrived, or what is wrong.
fn look(all: Vec<(String, Volume)>) -> Result<(Option<String>, bool), String> {
    let seen = |volume| Ok(Seen { facts: Facts::default(), volumes: vec![volume] });
    let looked: Looked = all.into_iter().map(|(host, volume)| (host, seen(volume))).collect();
    found(&looked, "db", "h2").map(|found| (found.from, found.arrived)).map_err(|f| f.to_string())
}

#[test]
fn it_has_arrived_only_by_the_same_move() {
    let leaving = || at("h1", State::Leaving, Some("h2"), Some("a"));
    let from = Some("h1".to_owned());
    assert_eq!(look(vec![leaving()]), Ok((from.clone(), false)));
    let copy = at("h2", State::Arriving, Some("h1"), Some("a"));
    assert_eq!(look(vec![leaving(), copy]), Ok((from.clone(), false)));
    assert_eq!(look(vec![leaving(), at("h2", State::Ready, None, Some("a"))]), Ok((from, true)));
    for id in [None, Some("b")] {
        assert!(look(vec![leaving(), at("h2", State::Ready, None, id)]).unwrap_err().contains("both have"));
    }
    assert_eq!(look(vec![at("h2", State::Ready, None, None)]), Ok((None, true)));
}

#[test]
fn one_that_goes_to_another_host_goes_there_first() {
    let other = at("h1", State::Leaving, Some("h3"), Some("a"));
    let why = look(vec![other]).unwrap_err();
    assert!(why.contains("from h1 to h3"), "{why}");
    let here = look(vec![at("h2", State::Leaving, Some("h1"), Some("a"))]).unwrap_err();
    assert!(here.contains("is on h2 still"), "{here}");
}

//! Two servers: one keeps the names, the other follows.

use super::*;
use crate::model::{Client, Config, Data};
use crate::update::keys::Who;
use crate::update::message::{Asked, Asks};
use crate::update::replay::{Seen, Signed};
use crate::update::rules::Rules;
use crate::update::state::State;
use crate::update::writer::Request;
use crate::zone::{name, record_of};
use domain::base::iana::Rcode;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;
use tokio::sync::oneshot;

const NOW: u64 = 1_700_000_000;

struct Server {
    names: Names,
    journal: Journal<Line>,
    tables: RwLock<Tables>,
}

fn server(folder: &Path) -> Server {
    let client = Client {
        key: "secret".to_owned(),
        names: vec!["*".to_owned()],
        types: vec!["A".to_owned()],
        owner: crate::model::Holder::Service,
    };
    let config = Config {
        domain: "internal".to_owned(),
        zones: vec!["internal".to_owned()],
        update: BTreeMap::from([("one".to_owned(), client)]),
        ..Config::default()
    };
    let rules = Rules::new(&config.update).unwrap();
    let zones = vec![name("internal").unwrap()];
    let mut names = Names::new(State {
        zones,
        fixed: HashMap::new(),
        rules,
        lending: Default::default(),
        live: BTreeMap::new(),
    });
    let (journal, lines) = Journal::open(File::open(folder).unwrap().into()).unwrap().unwrap();
    names.load(&lines, NOW).unwrap();
    Server { names, journal, tables: RwLock::new(Tables::new(&config, 1).unwrap()) }
}

impl Server {
    fn add(&mut self, text: &str) {
        let (reply, _code) = oneshot::channel();
        let record = record_of(name(text).unwrap(), 60, &Data::A([192, 0, 2, 1].into())).unwrap();
        let asked = Asked {
            zone: name("internal").unwrap(),
            prerequisites: Vec::new(),
            changes: vec![Asks::Add(record)],
        };
        let who = Who { clients: ["one".to_owned()].into(), ..Who::default() };
        let signed = Signed { at: NOW, mac: text.to_owned() };
        let request = Request { who, asked, signed, reply };
        self.names.group(&mut self.journal, vec![request], (&self.tables, NOW)).0.unwrap();
    }

    /// What another one says, as it comes through the network.
    fn follow(&mut self, other: &Server) -> News {
        let news = other.names.news(self.names.serial);
        let news: News = serde_json::from_slice(&serde_json::to_vec(&news).unwrap()).unwrap();
        self.names.follow(&mut self.journal, &news, (&self.tables, NOW)).unwrap();
        news
    }
}

#[test]
fn the_other_has_the_same_names_with_owners_also_after_its_end() {
    let folder = || tempfile::tempdir().unwrap();
    let (one, two) = (folder(), folder());
    let mut keeps = server(one.path());
    keeps.names.begin(&mut keeps.journal, "stack", NOW).unwrap();
    keeps.add("a.internal");
    let mut follows = server(two.path());
    assert!(follows.follow(&keeps).whole, "it has nothing yet");
    keeps.add("b.internal");
    keeps.add("c.internal");
    let news = follows.follow(&keeps);
    assert!(!news.whole && news.lines.len() == 2, "{news:?}");
    assert!(follows.follow(&keeps).is_empty());
    assert_eq!(
        (follows.names.serial, &follows.names.state.live),
        (keeps.names.serial, &keeps.names.state.live)
    );
    // It may keep them itself later: nothing counts twice, and nothing is new.
    drop(follows);
    let mut follows = server(two.path());
    let again = Signed { at: NOW, mac: "c.internal".to_owned() };
    assert_eq!(follows.names.replay.look(&again, NOW), Seen::Again(Rcode::NOERROR));
    follows.names.begin(&mut follows.journal, "stack", NOW).unwrap();
    assert_eq!(
        (follows.names.serial, &follows.names.state.live),
        (keeps.names.serial, &keeps.names.state.live)
    );
    // The records of the stack have changed: all is said again.
    keeps.names.begin(&mut keeps.journal, "other", NOW).unwrap();
    assert!(follows.follow(&keeps).whole);
    assert_eq!(follows.names.serial, keeps.names.serial);
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mut follows = server(place.path());
    for text in [
        r#"{"from":7,"to":8,"whole":false,"lines":[{"update":{"serial":8,"signed_at":1,"mac":"a","names":[{"name":"a.internal"}]}}]}"#,
        r#"{"from":0,"to":8,"whole":true,"lines":[{"names":[{"name":"a..internal"}]}]}"#,
        r#"{"from":0,"to":8,"whole":true,"lines":[{"names":[{"name":"a.internal","by":"one","records":[{"ttl":1,"other":[1,"zz"]}]}]}]}"#,
    ] {
        let news: News = serde_json::from_str(text).unwrap();
        assert!(follows.names.follow(&mut follows.journal, &news, (&follows.tables, NOW)).is_err(), "{text}");
        assert!(follows.names.serial == 0 && follows.names.state.live.is_empty());
    }
    drop(follows);
    assert_eq!(server(place.path()).names.serial, 0);
}

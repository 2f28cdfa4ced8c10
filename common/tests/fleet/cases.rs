//! What a fleet promises, one case each.

use crate::lab::{Lab, ask, code, fleet, target};
use serde_json::json;
use std::time::Instant;

type Case = (&'static str, fn());

/// Every case, in the order they run.
pub(crate) const ALL: &[Case] = &[("in_process", in_process), ("ships_and_serves", ships_and_serves)];

fn in_process() {
    let lab = Lab::new();
    let mut here = target("here", "unused");
    here.local = true;
    let mut fleet = fleet(&[here], lab.options());
    let mut events = Vec::new();
    let requests = [("here".to_owned(), json!({"op": "events", "count": 3}))].into();
    let results = fleet.each(requests, &mut |name, event| events.push((name.to_owned(), event)));
    assert_eq!(results["here"], Ok(json!("done")));
    assert_eq!(events.len(), 3);
    let who = ask(&mut fleet, &["here"], json!({"op": "who"}))["here"].clone().unwrap();
    assert_eq!(who["pid"], std::process::id());
    fleet.close();
}

fn ships_and_serves() {
    let lab = Lab::new();
    let mut first = fleet(&[lab.target("h1")], lab.options());
    let start = Instant::now();
    let results = ask(&mut first, &["h1"], json!({"op": "who"}));
    println!("  first contact with upload: {:?}", start.elapsed());
    let who = results["h1"].clone().unwrap();
    assert_eq!(who["exe"], json!(lab.copy()));
    let failures = ask(&mut first, &["h1"], json!({"op": "fail"}))["h1"].clone().unwrap_err();
    assert_eq!(failures.exit(), 77);
    assert!(failures.0.iter().all(|f| f.host.as_deref() == Some("h1")));
    let again = ask(&mut first, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
    assert_eq!(again["pid"], who["pid"], "one session for the whole verb");
    first.close();
    assert_eq!(lab.logins(), 1);
    assert_eq!(code(&ask(&mut fleet(&[], lab.options()), &["h9"], json!({}))["h9"]), "fleet.host");
}

//! Changes while clients ask.

use crate::load;
use crate::town::Town;
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[("a_hand_over_loses_no_query", a_hand_over_loses_no_query)];

fn a_hand_over_loses_no_query(lab: &Lab) {
    let town = Town::up(lab);
    let server = town.resolver("ann");
    let mut load = load::start(lab, town.host_of("ann"), "town.ann", &server, "web.back.internal");
    let mut before = 0;
    for number in 1..=5 {
        assert!(until(60, || load.done() > before + 200));
        let address = format!("192.0.2.{}", 40 + number);
        let file = town.changed("printer: 192.0.2.40", &format!("printer: {address}"));
        let plan = town.dns(&["plan", &file, "--table"]).ok();
        assert!(plan.stdout.contains("handed over"), "{}", plan.stdout);
        assert!(town.changes(&file) >= 2);
        assert_eq!(town.short("ann", "printer.internal"), [address]);
        before = load.done();
    }
    assert!(until(60, || load.done() > before + 200));
    println!("{} queries during 5 hand-overs", load.all_good("hand-overs"));
    assert_eq!(town.recorded("h1", "restarts"), "0");
    assert_eq!(town.recorded("h1", "handovers"), "5");
    let workers = "pgrep -fc '[s]erve-service town names'";
    assert!(until(60, || lab.script("h1", workers).stdout.trim() == "1"), "former workers end");
    drop(load);
    town.down();
}

//! Execution of steps: order, parallelism, undo, stop.

use super::{Thing, have, ids, thing, want};
use crate::failure::{Failure, Kind};
use crate::plan::{Context, HostReport, Outcome, Step, diff, execute_in_order};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A host whose objects are in a map, and which can be made to fail.
#[derive(Default)]
struct Host {
    there: Mutex<BTreeMap<String, Thing>>,
    did: Mutex<Vec<String>>,
    events: Mutex<Vec<Value>>,
    /// `make x` or `drop x`, as often as the word is there.
    fails: Vec<&'static str>,
    running: AtomicUsize,
    most: AtomicUsize,
    cancel: AtomicBool,
    /// Cancels after this step.
    stop_after: Option<&'static str>,
    /// Steps last until so many have run at the same time, and a moment longer.
    together: usize,
    /// What was done is kept when a step fails.
    keeps: bool,
}

impl Host {
    fn change(&self, before: Option<&Thing>, after: Option<&Thing>) -> Result<(), Failure> {
        let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        if self.together > 0 {
            let (most, moment) = (Duration::from_secs(10), Duration::from_millis(10));
            crate::host::wait::until(most, moment, || self.most.load(Ordering::SeqCst) >= self.together);
            crate::host::wait::until(moment, moment, || false);
        }
        let result = self.act(before, after);
        self.running.fetch_sub(1, Ordering::SeqCst);
        result
    }

    fn act(&self, before: Option<&Thing>, after: Option<&Thing>) -> Result<(), Failure> {
        let (verb, name) = match (before, after) {
            (_, Some(thing)) => ("make", &thing.name),
            (Some(thing), None) => ("drop", &thing.name),
            (None, None) => unreachable!("a step of nothing"),
        };
        let did = format!("{verb} {name}");
        let mut all = self.did.lock().unwrap();
        all.push(did.clone());
        if self.stop_after == Some(did.as_str()) {
            self.cancel.store(true, Ordering::SeqCst);
        }
        if self.fails.contains(&did.as_str()) {
            return Err(Failure::new(Kind::Denied, "test.no", format!("cannot {did}")));
        }
        let mut there = self.there.lock().unwrap();
        match after {
            Some(thing) => there.insert(thing.name.clone(), thing.clone()),
            None => there.remove(name),
        };
        Ok(())
    }

    fn run(&self, steps: &[Step<Thing>], parallel: usize) -> HostReport {
        let context = Context {
            change: &|before, after| self.change(before, after),
            event: &|event| self.events.lock().unwrap().push(event),
            cancel: &self.cancel,
            parallel,
            undo: !self.keeps,
            halves: false,
        };
        execute_in_order("h", steps, &context).0
    }

    fn did(&self) -> Vec<String> {
        self.did.lock().unwrap().clone()
    }

    fn names(&self) -> Vec<String> {
        self.there.lock().unwrap().keys().cloned().collect()
    }
}

/// Steps that create objects, each after those it needs.
fn steps(wants: &[(&str, &[&str])]) -> Vec<Step<Thing>> {
    let wants: Vec<_> = wants.iter().map(|(name, needs)| want(thing(name), needs)).collect();
    diff("h", &wants, &[])
}

fn outcomes(report: &HostReport) -> Vec<(&str, Outcome)> {
    report.steps.iter().map(|s| (s.id.rsplit(':').next().unwrap(), s.outcome)).collect()
}

#[test]
fn steps_come_after_what_they_need() {
    let chain: Vec<(&str, &[&str])> =
        vec![("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"]), ("e", &[])];
    let mut steps = steps(&chain);
    steps.reverse(); // The order is that of the needs, not of the list.
    for parallel in [1, 2, 8] {
        let host = Host { together: 1, ..Host::default() };
        let report = host.run(&steps, parallel);
        assert!(report.ok && report.exit == 0 && report.changed == 5 && report.failure.is_none());
        let at = |name: &str| host.did().iter().position(|d| d == &format!("make {name}")).unwrap();
        assert!(at("a") < at("b") && at("a") < at("c") && at("b") < at("d") && at("c") < at("d"));
        assert_eq!(host.names(), ["a", "b", "c", "d", "e"]);
        assert_eq!(
            report.steps.iter().map(|s| &s.id).collect::<Vec<_>>(),
            steps.iter().map(|s| &s.id).collect::<Vec<_>>()
        );
    }
}

#[test]
fn as_many_at_once_as_allowed_and_no_more() {
    let names: Vec<String> = (0..12).map(|i| format!("t{i}")).collect();
    let all: Vec<(&str, &[&str])> = names.iter().map(|n| (n.as_str(), &[][..])).collect();
    for parallel in [1, 3] {
        let host = Host { together: parallel, ..Host::default() };
        assert_eq!(host.run(&steps(&all), parallel).changed, 12);
        assert_eq!(host.most.load(Ordering::SeqCst), parallel);
    }
    let host = Host::default();
    assert_eq!(host.run(&steps(&all), 0).changed, 12, "none at once is one at once");
}

#[test]
fn a_failure_takes_back_in_reverse_what_was_done() {
    let host = Host { fails: vec!["make c"], ..Host::default() };
    let report = host.run(&steps(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["c"])]), 1);
    assert_eq!(host.did(), ["make a", "make b", "make c", "drop b", "drop a"]);
    use Outcome::{Failed, NotRun, Undone};
    assert_eq!(outcomes(&report), [("a", Undone), ("b", Undone), ("c", Failed), ("d", NotRun)]);
    assert_eq!((report.ok, report.exit, report.changed), (false, 77, 0));
    let failure = report.failure.unwrap();
    assert_eq!(
        (failure.code.as_str(), failure.causes.as_slice()),
        ("test.no", &["step thing.create:c".to_owned()][..])
    );
    assert_eq!(host.names(), [""; 0]);
}

#[test]
fn undo_puts_back_what_was_changed_and_what_was_removed() {
    let old = Thing { size: 5, ..thing("a") };
    let haves = [have(old.clone(), &[]), have(thing("gone"), &[])];
    let host = Host { fails: vec!["make z"], ..Host::default() };
    haves
        .iter()
        .for_each(|h| drop(host.there.lock().unwrap().insert(h.object.name.clone(), h.object.clone())));
    let before = host.there.lock().unwrap().clone();
    let steps = diff("h", &[want(thing("a"), &[]), want(thing("z"), &["a"])], &haves);
    assert_eq!(ids(&steps), ["thing.remove:gone", "thing.change:a", "thing.create:z"]);
    assert!(!host.run(&steps, 1).ok);
    assert_eq!(*host.there.lock().unwrap(), before);
}

#[test]
fn what_cannot_be_taken_back_is_stuck_and_said_so() {
    let host = Host { fails: vec!["make c", "drop b"], ..Host::default() };
    let report = host.run(&steps(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]), 1);
    use Outcome::{Failed, Stuck, Undone};
    assert_eq!(
        outcomes(&report),
        [("a", Undone), ("b", Stuck), ("c", Failed)],
        "the others are taken back all the same"
    );
    assert_eq!(report.stuck.len(), 1);
    assert_eq!((report.stuck[0].message.as_str(), report.changed), ("cannot drop b", 1));
    assert_eq!(report.failure.unwrap().message, "cannot make c");
    assert_eq!(host.names(), ["b"]);
}

#[test]
fn a_request_to_stop_ends_the_running_step_and_takes_everything_back() {
    let host = Host { stop_after: Some("make b"), ..Host::default() };
    let report = host.run(&steps(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]), 4);
    assert_eq!(host.did(), ["make a", "make b", "drop b", "drop a"]);
    let failure = report.failure.unwrap();
    assert_eq!((failure.code.as_str(), report.exit), ("plan.interrupted", 1));
    let host = Host { cancel: AtomicBool::new(true), ..Host::default() };
    let report = host.run(&steps(&[("a", &[])]), 1);
    assert_eq!((host.did().len(), outcomes(&report)[0].1, report.ok), (0, Outcome::NotRun, false));
}

#[test]
fn a_request_to_stop_that_comes_with_the_last_step_counts_too() {
    let host = Host { stop_after: Some("make a"), ..Host::default() };
    let report = host.run(&steps(&[("a", &[])]), 1);
    assert_eq!((report.ok, host.names().len()), (false, 0));
}

#[test]
fn a_running_step_is_waited_for_before_anything_is_taken_back() {
    let host = Host { together: 3, fails: vec!["make b"], ..Host::default() };
    let report = host.run(&steps(&[("a", &[]), ("b", &[]), ("c", &[]), ("d", &["a"])]), 3);
    assert!(!report.ok);
    assert_eq!(host.names(), [""; 0], "{:?}", host.did());
    let undone = report.steps.iter().filter(|s| s.outcome == Outcome::Undone).count();
    assert_eq!(host.did().iter().filter(|d| d.starts_with("drop")).count(), undone);
}

#[test]
fn every_step_is_told_once_each_way() {
    let host = Host { fails: vec!["make b"], ..Host::default() };
    let _ = host.run(&steps(&[("a", &[]), ("b", &["a"])]), 1);
    let events = host.events.lock().unwrap();
    let told: Vec<_> = events
        .iter()
        .map(|e| (e["step"].as_str().unwrap(), e["phase"].as_str().unwrap(), e["ok"] == true))
        .collect();
    assert_eq!(
        told,
        [("thing.create:a", "do", true), ("thing.create:b", "do", false), ("thing.create:a", "undo", true)]
    );
    assert_eq!(events[1]["failure"]["code"], "test.no");
    assert!(events.iter().all(|e| e["ms"].is_u64() && e["why"].is_string()));
}

#[test]
fn a_step_whose_need_failed_has_its_own_failure() {
    let host = Host { fails: vec!["make b"], keeps: true, ..Host::default() };
    let report = host.run(&steps(&[("a", &[]), ("b", &[]), ("c", &["b", "a"]), ("d", &["c"])]), 1);
    let told: Vec<_> = report.failures().map(|f| f.message.as_str()).collect();
    assert_eq!(told[1..], ["c was not started: b failed", "d was not started: c failed"]);
    assert_eq!(host.names(), ["a"]);
    let events = host.events.lock().unwrap();
    assert!(events.iter().any(|e| e["step"] == "thing.create:d" && e["failure"]["code"] == "plan.needs"));
}

#[test]
fn steps_that_wait_for_one_another_are_a_bug_and_nothing_stands() {
    let mut steps = steps(&[("a", &[]), ("b", &["a"]), ("c", &[])]);
    steps[0].needs = vec!["thing.create:b".to_owned()];
    let host = Host::default();
    let report = host.run(&steps, 2);
    assert_eq!((report.ok, report.exit), (false, 70));
    assert_eq!(host.names(), [""; 0]);
}

#[test]
fn nothing_to_do_is_well_done() {
    let report = Host::default().run(&[], 8);
    assert_eq!(report, HostReport::idle("h"));
}

#[test]
fn whatever_the_plan_and_wherever_it_fails_all_or_nothing_stands() {
    let mut dice = 0x5eed_u64;
    let mut below = |n: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % n
    };
    let names: Vec<String> = (0..9).map(|i| format!("t{i}")).collect();
    for round in 0..300 {
        let some = |below: &mut dyn FnMut(u64) -> u64| -> Vec<Thing> {
            let picked = names.iter().filter(|_| below(3) > 0).map(|n| thing(n));
            picked
                .collect::<Vec<_>>()
                .into_iter()
                .map(|t| Thing { size: u32::try_from(below(3)).unwrap(), ..t })
                .collect()
        };
        let haves: Vec<_> = some(&mut below).into_iter().map(|t| have(t, &[])).collect();
        let wants: Vec<_> = some(&mut below);
        let earlier = |i: usize| wants[..i].iter().map(|w| w.name.as_str()).rev().take(2).collect::<Vec<_>>();
        let wants: Vec<_> = wants.iter().enumerate().map(|(i, w)| want(w.clone(), &earlier(i))).collect();
        let steps = diff("h", &wants, &haves);
        let fails: Vec<&'static str> = match below(2) {
            0 => vec![],
            _ => vec![["make t3", "drop t3", "make t7", "drop t0"][usize::try_from(below(4)).unwrap()]],
        };
        let host = Host { fails, ..Host::default() };
        haves
            .iter()
            .for_each(|h| drop(host.there.lock().unwrap().insert(h.object.name.clone(), h.object.clone())));
        let before = host.there.lock().unwrap().clone();
        let report = host.run(&steps, usize::try_from(below(4) + 1).unwrap());
        let there = host.there.lock().unwrap().clone();
        if report.ok {
            let wanted: BTreeMap<_, _> =
                wants.iter().map(|w| (w.object.name.clone(), w.object.clone())).collect();
            assert_eq!(there, wanted, "round {round}");
        } else if report.stuck.is_empty() {
            assert_eq!(there, before, "round {round}: {:?}", host.did());
        }
        let ids: BTreeSet<_> = report.steps.iter().map(|s| &s.id).collect();
        assert_eq!(ids.len(), steps.len(), "round {round}");
    }
}

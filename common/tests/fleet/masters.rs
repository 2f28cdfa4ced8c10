//! The SSH masters: reused, replaced when dead, shared by simultaneous runs, fast.

use crate::lab::{Lab, ask, fleet, program, run, timed, until};
use common::fleet::Options;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) fn master_is_reused_and_ends() {
    let lab = Lab::new();
    let options = Options { persist: Duration::from_secs(8), ..lab.options() };
    for _ in 0..3 {
        let mut fleet = fleet(&[lab.target("h1")], options.clone());
        ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
        fleet.close();
    }
    assert_eq!((lab.logins(), lab.sockets().len()), (1, 1));
    until("the idle master ends", || lab.sockets().is_empty());
}

pub(crate) fn dead_masters_are_replaced() {
    let lab = Lab::new();
    let who = || {
        let mut fleet = fleet(&[lab.target("h1")], lab.options());
        ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
        fleet.close();
    };
    let master = || {
        let mut check = program("ssh");
        let said = check.arg("-S").arg(&lab.sockets()[0]).args(["-O", "check", "x"]).output().unwrap().stderr;
        let said = String::from_utf8(said).unwrap();
        said.split_once("pid=").unwrap().1.split_once(')').unwrap().0.to_owned()
    };
    who();
    let first = master();
    run(program("kill").args(["-9", &first]));
    until("the master is dead", || !Path::new("/proc").join(&first).exists());
    assert_eq!(lab.sockets().len(), 1, "a stale socket");
    who();
    let second = master();
    assert_ne!(first, second);
    run(program("kill").args(["-STOP", &second]));
    let start = Instant::now();
    who();
    println!("  past a master that is silent: {:?}", start.elapsed());
    assert_ne!(master(), second);
    assert_eq!(lab.logins(), 3);
    run(program("kill").args(["-9", &second]));
}

pub(crate) fn fresh_connections() {
    let lab = Lab::new();
    for (fresh, logins) in [(false, 1), (true, 2), (true, 3), (false, 3)] {
        let mut fleet = fleet(&[lab.target("h1")], Options { fresh, ..lab.options() });
        ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
        fleet.close();
        assert_eq!((lab.logins(), lab.sockets().len()), (logins, 1));
    }
}

pub(crate) fn two_fleets_at_once() {
    let lab = Lab::new();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut fleet = fleet(&[lab.target("h1")], lab.options());
                let who = ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone();
                fleet.close();
                // The copy it runs from may have been replaced by another's, which is equal.
                let exe = who.unwrap()["exe"].as_str().unwrap().replace(" (deleted)", "");
                assert_eq!(Path::new(&exe), lab.copy());
            });
        }
    });
    assert_eq!((lab.logins(), lab.copies().len()), (1, 1));
}

/// A whole second run, including the start of the program, compared with `ssh true` over the same master.
pub(crate) fn second_run_is_quick() {
    let lab = Lab::new();
    let controller = || {
        let mut controller = program("/proc/self/exe");
        controller.args(["control", &lab.target("h1").ssh]).arg(lab.path(""));
        run(controller.arg(json!({"op": "who"}).to_string()));
    };
    controller();
    let ssh = || drop(run(program("ssh").arg("-S").arg(&lab.sockets()[0]).args(["x", "true"])));
    // The best of many, alternately, since the machine has other load.
    let times: Vec<_> = (0..40).map(|_| (timed(&controller), timed(&ssh))).collect();
    let (ours, ssh) = (times.iter().map(|t| t.0).min().unwrap(), times.iter().map(|t| t.1).min().unwrap());
    println!("  run {ours:?}, ssh {ssh:?}: {:.2} times", ours.as_secs_f64() / ssh.as_secs_f64());
    assert!(cfg!(debug_assertions) || ours < ssh * 2);
}

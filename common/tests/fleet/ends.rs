//! Runs that end early: deadlines, interrupts, crashes, a full disk.

use crate::lab::{Lab, ask, code, fleet, program, run, target, until};
use crate::tool::put;
use common::fleet::Options;
use common::host::limit;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) fn hang_ends_at_the_deadline() {
    let lab = Lab::new();
    let mut first = fleet(&[lab.target("h1")], lab.options());
    ask(&mut first, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
    first.close();
    let mut here = target("here", "unused");
    here.local = true;
    let deadline = Duration::from_secs(8);
    let options = Options { deadline, ..lab.options() };
    let mut fleet = fleet(&[lab.target("h1"), lab.target("h2"), here], options);
    let who = ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
    let start = Instant::now();
    let hang = json!({"op": "hang"});
    let requests = [("h1", hang.clone()), ("here", hang), ("h2", json!({"op": "who"}))];
    let results = fleet.each(requests.map(|(n, r)| (n.to_owned(), r)).into(), &mut |_, _| {});
    assert!(results["h2"].is_ok());
    assert_eq!((code(&results["h1"]), code(&results["here"])), ("fleet.deadline", "fleet.deadline"));
    assert_eq!(results["h1"].as_ref().unwrap_err().0[0].host.as_deref(), Some("h1"));
    assert!(start.elapsed() < deadline * 2, "{:?}", start.elapsed());
    fleet.close();
    assert!(start.elapsed() < deadline * 3, "{:?}", start.elapsed());
    run(program("kill").args(["-9", &who["pid"].to_string()]));
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

pub(crate) fn interrupt_undoes() {
    let lab = Lab::new();
    let mut here = target("here", "unused");
    here.local = true;
    let options = Options { interrupted: || INTERRUPTED.load(Ordering::SeqCst), ..lab.options() };
    let mut fleet = fleet(&[lab.target("h1"), here, lab.target("late")], options);
    let mut waiting = 0;
    let requests = ["h1", "here"].map(|n| (n.to_owned(), json!({"op": "wait"}))).into();
    let results = fleet.each(requests, &mut |_, event| {
        assert_eq!(event, json!("waiting"));
        waiting += 1;
        INTERRUPTED.store(waiting == 2, Ordering::SeqCst);
    });
    assert_eq!(results["h1"], Ok(json!({"undone": true})));
    assert_eq!(results["here"], Ok(json!({"undone": true})));
    let later = ask(&mut fleet, &["h1", "here", "late"], json!({"op": "who"}));
    assert!(later.values().all(|result| code(result) == "fleet.interrupted"), "{later:?}");
    fleet.close();
    INTERRUPTED.store(false, Ordering::SeqCst);
}

/// A controller in a process of its own: SSH target (or `local`), folder, request. Prints events and the result.
pub(crate) fn control(args: &[String]) -> ExitCode {
    let folder = Path::new(&args[1]);
    let options = Options {
        ssh_config: Some(folder.join("ssh_config")),
        detect_local: false,
        bin_root: folder.join("bin"),
        control: Some(folder.join("control")),
        persist: Duration::from_secs(2),
        set: vec![crate::tool::NAME.into()],
        ..Options::default()
    };
    let mut target = target("h1", &args[0]);
    target.local = args[0] == "local";
    let mut fleet = fleet(&[target], options);
    let request: Value = serde_json::from_str(&args[2]).unwrap();
    let results = fleet.each([("h1".to_owned(), request)].into(), &mut |_, event| println!("{event}"));
    fleet.close();
    match &results["h1"] {
        Ok(value) => println!("{value}"),
        Err(failures) => println!("{} {failures}", failures.0[0].code),
    }
    ExitCode::SUCCESS
}

pub(crate) fn killed_controller_undoes() {
    let lab = Lab::new();
    let mark = lab.path("mark");
    let mut controller = program("/proc/self/exe");
    controller.args(["control", &lab.target("h1").ssh]).arg(lab.path(""));
    controller.arg(json!({"op": "wait", "mark": mark}).to_string()).stdout(Stdio::piped());
    let mut controller = controller.spawn().unwrap();
    let mut line = String::new();
    let stdout = controller.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    assert_eq!(line.trim(), "\"waiting\"");
    controller.kill().unwrap();
    controller.wait().unwrap();
    until("the host undoes", || mark.exists());
    until("the master ends", || lab.sockets().is_empty());
}

pub(crate) fn crash_on_the_host() {
    let lab = Lab::new();
    let mut fleet = fleet(&[lab.target("h1")], lab.options());
    let result = ask(&mut fleet, &["h1"], json!({"op": "die"}))["h1"].clone();
    assert_eq!(code(&result), "fleet.lost", "{result:?}");
    assert!(result.unwrap_err().0[0].program.is_some());
    assert_eq!(code(&ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"]), "fleet.lost");
    fleet.close();
}

pub(crate) fn disk_full() {
    let lab = Lab::with(|folder| put(folder.join("small"), ""));
    let mut fleet = fleet(&[lab.target("h1")], lab.options());
    let failures = ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap_err();
    assert_eq!((failures.0[0].code.as_str(), failures.exit()), ("fleet.disk", 1), "{failures}");
    assert_eq!(failures.0[0].host.as_deref(), Some("h1"));
    fleet.close();
}

/// A host taken over by an attacker: exit code 69 with its name, and no more memory than the limits.
pub(crate) fn whatever_a_host_says_is_bounded() {
    let lab = Lab::new();
    put("/proc/self/clear_refs", "5"); // the most that was in memory counts from here (proc(5))
    let before = peak();
    let ways = [
        "endless line",
        "endless events",
        "deep",
        "rubbish",
        "twice",
        "many values",
        "many lists",
        "many objects",
        "errors",
    ];
    for how in ways {
        let mut fleet = fleet(&[lab.target("h1"), lab.target("h2")], lab.options());
        let ask = |fleet: &mut common::fleet::Fleet| {
            let requests = [("h1", json!({"op": "lie", "how": how})), ("h2", json!({"op": "who"}))];
            fleet.each(requests.map(|(n, r)| (n.to_owned(), r)).into(), &mut |_, _| {})
        };
        let first = ask(&mut fleet);
        let second = ask(&mut fleet);
        assert!(first["h2"].is_ok() && second["h2"].is_ok(), "{how}: the others go on");
        fleet.close();
        if how == "errors" {
            assert_eq!(first["h1"], Ok(json!("told")));
            continue;
        }
        let bad = if how == "twice" { &second["h1"] } else { &first["h1"] };
        let failures = bad.as_ref().unwrap_err();
        assert_eq!((code(bad), failures.exit()), ("fleet.garbage", 69), "{how}: {failures}");
        assert_eq!(failures.0[0].host.as_deref(), Some("h1"), "{how}");
        assert!(failures.to_string().len() < 100_000, "{how}");
        println!("  {how}: {} MiB at most", (peak() - before) / 1024);
    }
    assert!(peak() - before < 400 * 1024, "{} MiB", (peak() - before) / 1024);
}

/// A reply just below the limit of values: accepted, and its memory is within the estimate of the limit.
pub(crate) fn the_memory_of_a_reply_is_bounded() {
    for (one, weight) in [(json!(0), 180), (json!([]), 360), (json!({"": 0}), 1000), (json!([0]), 360)] {
        put("/proc/self/clear_refs", "5");
        let lab = Lab::new();
        let before = peak();
        let times = limit::VALUES / weight - 10;
        let times = times.min(limit::LINE / (one.to_string().len() as u64 + 1) - 10);
        let mut fleet = fleet(&[lab.target("h1")], lab.options());
        let requests = [("h1".to_owned(), json!({"op": "many", "one": one, "times": times}))];
        let all = fleet.each(requests.into(), &mut |_, _| {});
        assert_eq!(all["h1"].as_ref().unwrap().as_array().map(Vec::len), Some(times as usize), "{one}");
        fleet.close();
        let most = (peak() - before) / 1024;
        println!("  {times} times {one}: {most} MiB at most");
        assert!(most < (limit::VALUES + 2 * limit::LINE) >> 20, "{one}: {most} MiB");
    }
}

/// Hosts taken over by an attacker that each send as much as one may: what there is for all is not exceeded, those that do not
/// fit are named, and a host that sends little is heard.
pub(crate) fn the_memory_of_all_replies_is_bounded() {
    let lab = Lab::new();
    let names: Vec<String> = (1..=6).map(|n| format!("bad{n}")).collect();
    let targets = names.iter().map(|name| lab.target(name)).chain([lab.target("good")]);
    let mut fleet = fleet(&targets.collect::<Vec<_>>(), lab.options());
    let who = json!({"op": "who"});
    assert!(ask(&mut fleet, &["good"], who.clone())["good"].is_ok());
    put("/proc/self/clear_refs", "5");
    let before = peak();
    for (one, weight) in [(json!({"": 0}), 1000), (json!([]), 360)] {
        let times = limit::VALUES / weight - 10;
        let many = json!({"op": "many", "one": one, "times": times});
        let bad = names.iter().map(|name| (name.clone(), many.clone()));
        let all = fleet.each(bad.chain([("good".to_owned(), who.clone())]).collect(), &mut |_, _| {});
        assert!(all["good"].is_ok(), "{one}: {:?}", all["good"]);
        let refused: Vec<&String> = names.iter().filter(|name| all[*name].is_err()).collect();
        assert!(refused.len() >= 4, "{one}: {refused:?}");
        for name in refused {
            let failures = all[name].as_ref().unwrap_err();
            assert_eq!((code(&all[name]), failures.exit()), ("fleet.memory", 69), "{one}: {failures}");
            assert_eq!(failures.0[0].host.as_ref(), Some(name), "{one}");
        }
        let most = (peak() - before) / 1024;
        println!("  {one}: {most} MiB at most");
        assert!(most < 2048, "{one}: {most} MiB");
    }
    // What was refused ends those sessions only.
    assert!(ask(&mut fleet, &["good"], who)["good"].is_ok());
    fleet.close();
}

/// The most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

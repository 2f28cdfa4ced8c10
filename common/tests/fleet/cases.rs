//! What a fleet promises, one case each.

use crate::lab::{Lab, ask, code, fleet, program, run, target, until};
use crate::masters;
use crate::tool::{pause, put};
use common::fleet::Options;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

type Case = (&'static str, fn());

/// Every case, in the order they run.
pub(crate) const ALL: &[Case] = &[
    ("in_process", in_process),
    ("ships_and_serves", ships_and_serves),
    ("events_and_big_documents", events_and_big_documents),
    ("damaged_copy_is_repaired", damaged_copy_is_repaired),
    ("master_is_reused_and_ends", masters::master_is_reused_and_ends),
    ("dead_masters_are_replaced", masters::dead_masters_are_replaced),
    ("fresh_connections", masters::fresh_connections),
    ("two_fleets_at_once", masters::two_fleets_at_once),
    ("unreachable_is_named", unreachable_is_named),
    ("host_keys_are_verified", host_keys_are_verified),
    ("keys_refused", keys_refused),
    ("without_root", without_root),
    ("without_root_by_the_real_sudo", without_root_by_the_real_sudo),
    ("this_machine_without_root", this_machine_without_root),
    ("noisy_profile", noisy_profile),
    ("sudo_that_is_not_needed", sudo_that_is_not_needed),
    ("hang_ends_at_the_deadline", hang_ends_at_the_deadline),
    ("interrupt_undoes", interrupt_undoes),
    ("killed_controller_undoes", killed_controller_undoes),
    ("crash_on_the_host", crash_on_the_host),
    ("disk_full", disk_full),
    ("another_architecture", another_architecture),
    ("old_copies_go", old_copies_go),
    ("second_run_is_quick", masters::second_run_is_quick),
];

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
    let value = "z".repeat(20_000_000);
    let big = ask(&mut fleet, &["here"], json!({"op": "echo", "value": value}));
    assert_eq!(big["here"].as_ref().unwrap().as_str().unwrap().len(), 20_000_000);
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
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&lab.copies()[0]), mode(&lab.copy())), (0o700, 0o755));
    let failures = ask(&mut first, &["h1"], json!({"op": "fail"}))["h1"].clone().unwrap_err();
    assert_eq!((failures.exit(), failures.0.len()), (77, 2));
    assert!(failures.0.iter().all(|f| f.host.as_deref() == Some("h1")));
    let again = ask(&mut first, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
    assert_eq!(again["pid"], who["pid"], "one session for the whole verb");
    first.close();
    assert_eq!(lab.logins(), 1);
    assert_eq!(code(&ask(&mut fleet(&[], lab.options()), &["h9"], json!({}))["h9"]), "fleet.host");
}

fn events_and_big_documents() {
    let lab = Lab::new();
    let mut fleet = fleet(&[lab.target("h1")], lab.options());
    let mut events = Vec::new();
    let requests = [("h1".to_owned(), json!({"op": "events", "count": 10_000}))].into();
    let results = fleet.each(requests, &mut |name, event| events.push((name.to_owned(), event)));
    assert_eq!(results["h1"], Ok(json!("done")));
    assert!(events.iter().enumerate().all(|(n, e)| *e == ("h1".into(), json!({"n": n}))));
    assert_eq!(events.len(), 10_000);
    let value = "ä\n".repeat(7_000_000);
    let start = Instant::now();
    let big = ask(&mut fleet, &["h1"], json!({"op": "echo", "value": value}));
    println!("  28 MB there and back: {:?}", start.elapsed());
    assert!(big["h1"] == Ok(json!(value)));
    fleet.close();
}

fn damaged_copy_is_repaired() {
    let lab = Lab::new();
    let who = || {
        let mut fleet = fleet(&[lab.target("h1")], lab.options());
        let result = ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone();
        fleet.close();
        result
    };
    who().unwrap();
    let whole = std::fs::read(lab.copy()).unwrap();
    let half = &whole[..whole.len() / 2];
    for damage in [half, &whole[..100], b"", b"#!/bin/sh\necho noise; exit 3\n", b"\x7fELF rubbish"] {
        put(lab.copy(), damage);
        let result = who();
        assert!(result.is_ok(), "{} bytes: {}", damage.len(), result.unwrap_err());
        assert!(std::fs::read(lab.copy()).unwrap() == whole);
    }
    assert_eq!(std::fs::read_dir(&lab.copies()[0]).unwrap().count(), 1, "no parts are left");
}

fn unreachable_is_named() {
    let lab = Lab::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let targets = [
        lab.target("good"),
        target("closed", "root@127.0.0.1:1"),
        target("silent", &format!("root@127.0.0.1:{silent_port}")),
        target("nowhere", "root@nowhere.invalid"),
    ];
    let options = Options { connect_timeout: Duration::from_secs(3), ..lab.options() };
    let mut fleet = fleet(&targets, options);
    ask(&mut fleet, &["good"], json!({"op": "who"}))["good"].clone().unwrap();
    let names = ["good", "closed", "silent", "nowhere"];
    let start = Instant::now();
    let mut arrived = Duration::ZERO;
    let requests = names.map(|n| (n.to_owned(), json!({"op": "events", "count": 1}))).into();
    let results = fleet.each(requests, &mut |_, _| arrived = start.elapsed());
    assert!(results["good"].is_ok() && arrived < Duration::from_secs(1), "delayed: {arrived:?}");
    for name in &names[1..] {
        let failure = &results[*name].as_ref().unwrap_err().0[0];
        assert_eq!((failure.code.as_str(), failure.kind.exit()), ("fleet.unreachable", 69), "{failure}");
        assert_eq!(failure.host.as_deref(), Some(*name));
    }
    assert!(results["closed"].as_ref().unwrap_err().to_string().contains("Connection refused"));
    let start = Instant::now();
    assert_eq!(code(&ask(&mut fleet, &["silent"], json!({}))["silent"]), "fleet.unreachable");
    assert!(start.elapsed() < Duration::from_millis(200), "asked again it fails at once");
    fleet.close();
    assert!(
        common::fleet::Fleet::new(vec![target("h", "-oProxyCommand=x")], lab.options(), local()).is_err()
    );
}

fn local() -> common::fleet::Local {
    std::sync::Arc::new(crate::tool::local)
}

fn host_keys_are_verified() {
    let lab = Lab::new();
    let other = std::fs::read_to_string(lab.path("other_key.pub")).unwrap();
    put(lab.path("known_wrong"), format!("[127.0.0.1]:{} {other}", lab.port));
    put(lab.path("known_none"), "");
    for known in ["known_wrong", "known_none"] {
        lab.config("user_key", known);
        let mut fleet = fleet(&[lab.target("h1")], lab.options());
        let result = ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone();
        assert_eq!(code(&result), "fleet.hostkey", "{result:?}");
        assert_eq!(result.unwrap_err().exit(), 69);
        fleet.close();
    }
    assert_eq!(lab.logins(), 0);
}

fn keys_refused() {
    let lab = Lab::new();
    lab.config("other_key", "known_hosts");
    let mut fleet = fleet(&[lab.target("h1")], lab.options());
    let result = ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone();
    assert_eq!(code(&result), "fleet.login");
    assert_eq!(result.unwrap_err().exit(), 77);
    fleet.close();
}

fn without_root() {
    let lab = Lab::new();
    let who = || {
        let mut fleet = fleet(&[lab.target_as("h1", "lsxuser")], lab.options());
        let result = ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone();
        fleet.close();
        result
    };
    let failures = who().unwrap_err();
    assert_eq!((failures.0[0].code.as_str(), failures.exit()), ("fleet.sudo", 77), "{failures}");
    assert!(failures.to_string().contains("lsxuser ALL=(root) NOPASSWD: ALL"));
    lab.sudo();
    assert_eq!(who().unwrap()["uid"], 0);
    assert_eq!(who().unwrap()["exe"], json!(lab.copy()));
    put(lab.path("local/password"), "");
    let failures = who().unwrap_err();
    assert_eq!(failures.0[0].code, "fleet.sudo");
    assert!(failures.to_string().contains("a password is required"));
}

fn without_root_by_the_real_sudo() {
    if !Path::new("/usr/bin/sudo").exists() {
        println!("  SKIPPED: sudo is not installed");
        return;
    }
    for (rule, good) in [("Defaults use_pty\nlsxuser ALL=(root) NOPASSWD: ALL\n", true), ("", false)] {
        let lab = Lab::with(|folder| {
            put(folder.join("sudoers"), rule);
            std::fs::set_permissions(folder.join("sudoers"), PermissionsExt::from_mode(0o440)).unwrap();
        });
        let value = json!("a b\t\u{1}\n".repeat(200_000));
        for _ in 0..2 {
            let mut fleet = fleet(&[lab.target_as("h1", "lsxuser")], lab.options());
            let result = ask(&mut fleet, &["h1"], json!({"op": "echo", "value": value}))["h1"].clone();
            fleet.close();
            match result {
                Ok(text) => assert!(good && text == value),
                Err(failures) => assert!(!good && failures.0[0].code == "fleet.sudo", "{failures}"),
            }
        }
    }
}

fn this_machine_without_root() {
    let lab = Lab::new();
    let who = || {
        let mut enter = lab.enter();
        enter.args(["setpriv", "--reuid=61234", "--regid=61234", "--clear-groups"]);
        run(enter.arg(lab.path("home/tool")).args(["control", "local", "x", "{\"op\":\"who\"}"]))
    };
    std::fs::copy("/proc/self/exe", lab.path("home/tool")).unwrap();
    let refused = who();
    assert!(refused.contains("fleet.sudo") && refused.contains("NOPASSWD"), "{refused}");
    lab.sudo();
    let who = who();
    assert!(who.contains("\"uid\":0") && who.contains("home/tool"), "{who}");
}

fn noisy_profile() {
    let lab = Lab::with(|folder| {
        put(folder.join("home/.bashrc"), "echo welcome\necho '{\"ok\":1}'\necho warn >&2\n")
    });
    let mut fleet = fleet(&[lab.target("h1")], lab.options());
    assert!(ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].is_ok());
    let mut noise = program("ssh");
    let noise = noise.arg("-S").arg(&lab.sockets()[0]).args(["x", "true"]).output().unwrap();
    assert!(noise.stdout.starts_with(b"welcome"), "the profile is read");
}

/// The login was not root once and is now; sudo was never there.
fn sudo_that_is_not_needed() {
    let lab = Lab::new();
    let way = || std::fs::read_dir(lab.path("control")).unwrap().map(|e| e.unwrap().path());
    let way = || way().find(|p| p.extension().is_some_and(|e| e == "way"));
    for _ in 0..2 {
        let mut fleet = fleet(&[lab.target("h1")], lab.options());
        ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
        fleet.close();
        let text = way().map(|path| std::fs::read_to_string(path).unwrap()).unwrap_or_default();
        assert!(!text.contains("sudo"));
        put(lab.sockets()[0].with_extension("way"), "sudo\n");
    }
}

fn hang_ends_at_the_deadline() {
    let lab = Lab::new();
    let mut first = fleet(&[lab.target("h1")], lab.options());
    ask(&mut first, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
    first.close();
    let mut here = target("here", "unused");
    here.local = true;
    let options = Options { deadline: Duration::from_secs(4), ..lab.options() };
    let mut fleet = fleet(&[lab.target("h1"), lab.target("h2"), here], options);
    let who = ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
    let start = Instant::now();
    let hang = json!({"op": "hang"});
    let requests = [("h1", hang.clone()), ("here", hang), ("h2", json!({"op": "who"}))];
    let results = fleet.each(requests.map(|(n, r)| (n.to_owned(), r)).into(), &mut |_, _| {});
    assert!(results["h2"].is_ok());
    assert_eq!((code(&results["h1"]), code(&results["here"])), ("fleet.deadline", "fleet.deadline"));
    assert_eq!(results["h1"].as_ref().unwrap_err().0[0].host.as_deref(), Some("h1"));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    fleet.close();
    assert!(start.elapsed() < Duration::from_secs(7), "{:?}", start.elapsed());
    run(program("kill").args(["-9", &who["pid"].to_string()]));
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

fn interrupt_undoes() {
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

fn killed_controller_undoes() {
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

fn crash_on_the_host() {
    let lab = Lab::new();
    let mut fleet = fleet(&[lab.target("h1")], lab.options());
    let result = ask(&mut fleet, &["h1"], json!({"op": "die"}))["h1"].clone();
    assert_eq!(code(&result), "fleet.lost", "{result:?}");
    assert!(result.unwrap_err().0[0].program.is_some());
    assert_eq!(code(&ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"]), "fleet.lost");
    fleet.close();
}

fn disk_full() {
    let lab = Lab::with(|folder| put(folder.join("small"), ""));
    let mut fleet = fleet(&[lab.target("h1")], lab.options());
    let failures = ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap_err();
    assert_eq!((failures.0[0].code.as_str(), failures.exit()), ("fleet.disk", 1), "{failures}");
    assert_eq!(failures.0[0].host.as_deref(), Some("h1"));
    fleet.close();
}

fn another_architecture() {
    let lab = Lab::with(|folder| {
        put(folder.join("local/uname"), "#!/bin/sh\necho uname >> \"$0.log\"\necho riscv64\n");
        std::fs::set_permissions(folder.join("local/uname"), PermissionsExt::from_mode(0o755)).unwrap();
    });
    let who = |tools: Option<&str>| {
        let tools = tools.map(|t| lab.path(t));
        let mut fleet = fleet(&[lab.target("h1")], Options { tools, ..lab.options() });
        let result = ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone();
        fleet.close();
        result
    };
    assert_eq!(code(&who(None)), "fleet.arch");
    assert_eq!(code(&who(Some("tools"))), "fleet.arch");
    std::fs::create_dir_all(lab.path("tools/riscv64")).unwrap();
    std::fs::copy("/proc/self/exe", lab.path("tools/riscv64").join(crate::tool::NAME)).unwrap();
    who(Some("tools")).unwrap();
    who(Some("tools")).unwrap();
    let asked = std::fs::read_to_string(lab.path("local/uname.log")).unwrap();
    assert_eq!(asked.lines().count(), 4, "the last run remembers");
}

fn old_copies_go() {
    let lab = Lab::new();
    for n in 0..4 {
        std::fs::create_dir_all(lab.path("bin").join(format!("{n:016x}"))).unwrap();
        pause();
    }
    std::fs::create_dir_all(lab.path("bin/other")).unwrap();
    let mut fleet = fleet(&[lab.target("h1")], lab.options());
    ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
    fleet.close();
    assert!(lab.path("bin/0000000000000003").exists() && lab.path("bin/other").exists());
    assert_eq!(lab.copies().len(), 3);
}

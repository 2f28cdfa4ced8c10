//! Access to hosts: hosts that do not answer, keys, logins without root.

use crate::lab::{Lab, ask, code, fleet, program, run, target};
use crate::tool::put;
use common::fleet::Options;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, socket};
use serde_json::json;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) fn unreachable_is_named() {
    let lab = Lab::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let targets = [
        lab.target("good"),
        target("closed", "root@127.0.0.1:1"),
        target("silent", &format!("root@127.0.0.1:{silent_port}")),
        target("nowhere", "root@nowhere.invalid"),
    ];
    let patience = Duration::from_secs(8);
    let mut fleet = fleet(&targets, Options { connect_timeout: patience, ..lab.options() });
    ask(&mut fleet, &["good"], json!({"op": "who"}))["good"].clone().unwrap();
    let names = ["good", "closed", "silent", "nowhere"];
    let start = Instant::now();
    let mut arrived = Duration::ZERO;
    let requests = names.map(|n| (n.to_owned(), json!({"op": "events", "count": 1}))).into();
    let results = fleet.each(requests, &mut |_, _| arrived = start.elapsed());
    assert!(
        results["good"].is_ok() && arrived * 2 < start.elapsed(),
        "held up by the silent one: {arrived:?}"
    );
    for name in &names[1..] {
        let failure = &results[*name].as_ref().unwrap_err().0[0];
        assert_eq!((failure.code.as_str(), failure.kind.exit()), ("fleet.unreachable", 69), "{failure}");
        assert_eq!(failure.host.as_deref(), Some(*name));
    }
    assert!(results["closed"].as_ref().unwrap_err().to_string().contains("refuses the ssh connection"));
    let start = Instant::now();
    assert_eq!(code(&ask(&mut fleet, &["silent"], json!({}))["silent"]), "fleet.unreachable");
    assert!(start.elapsed() < patience, "asked again it fails at once");
    fleet.close();
    assert!(
        common::fleet::Fleet::new(vec![target("h", "-oProxyCommand=x")], lab.options(), local()).is_err()
    );
}

/// A disconnected host is reported in one line, earlier than by ssh, and even earlier by the next tool.
pub(crate) fn a_dead_host_is_soon_given_up() {
    let lab = Lab::new();
    // No process accepts connections from this queue: when it is full, the kernel drops the first packet of others.
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
    bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    listen(&socket, Backlog::new(0).unwrap()).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let fill = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300));
    let queue: Vec<_> = std::iter::repeat_with(fill).map_while(Result::ok).collect();
    let dead = target("dead", &format!("root@127.0.0.1:{}", address.port()));
    // With ssh's own timeout this test would not end.
    let options = Options {
        connect_timeout: Duration::from_secs(3600),
        deadline: Duration::from_secs(1800),
        ..lab.options()
    };
    for _ in 0..2 {
        let mut fleet = fleet(&[lab.target("good"), dead.clone()], options.clone());
        let results = ask(&mut fleet, &["good", "dead"], json!({"op": "who"}));
        assert!(results["good"].is_ok());
        assert_eq!(code(&results["dead"]), "fleet.unreachable");
        let said = results["dead"].as_ref().unwrap_err().to_string();
        assert!(said.lines().count() == 1 && said.contains("does not answer"), "{said}");
        let noted = std::fs::read_dir(lab.path("control")).unwrap().flatten().map(|e| e.path());
        assert_eq!(noted.filter(|path| path.extension().is_some_and(|e| e == "away")).count(), 1);
        fleet.close();
    }
    drop((queue, listener));
}

fn local() -> common::fleet::Local {
    std::sync::Arc::new(crate::tool::local)
}

pub(crate) fn host_keys_are_verified() {
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

pub(crate) fn keys_refused() {
    let lab = Lab::new();
    lab.config("other_key", "known_hosts");
    let mut fleet = fleet(&[lab.target("h1")], lab.options());
    let result = ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone();
    assert_eq!(code(&result), "fleet.login");
    assert_eq!(result.unwrap_err().exit(), 77);
    fleet.close();
}

pub(crate) fn without_root() {
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

pub(crate) fn without_root_by_the_real_sudo() {
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

pub(crate) fn this_machine_without_root() {
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

pub(crate) fn noisy_profile() {
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
pub(crate) fn sudo_that_is_not_needed() {
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

//! What a person sees of a run: live lines on a terminal, and how a second interrupt ends it.

use crate::cloud::Cloud;
use crate::exec::fan;
use lsx_tests::lab::{Ran, finish, until, wait};
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

pub(crate) const CASES: &[crate::Case] = &[
    ("a_terminal_shows_what_is_waited_for", a_terminal_shows_what_is_waited_for),
    ("a_terminal_shows_how_much_of_an_image_was_sent", a_terminal_shows_how_much_of_an_image_was_sent),
    ("top_measures_again_until_it_is_interrupted", top_measures_again_until_it_is_interrupted),
    ("a_second_interrupt_ends_at_once", a_second_interrupt_ends_at_once),
    ("a_table_says_how_long_an_instance_runs", a_table_says_how_long_an_instance_runs),
    ("check_on_a_host_compares_it_with_what_it_keeps", check_on_a_host_compares_it_with_what_it_keeps),
    (
        "one_that_is_still_being_stopped_is_started_afterwards",
        one_that_is_still_being_stopped_is_started_afterwards,
    ),
];

/// Runs lsx-ct on a terminal; its output has both streams.
fn on_terminal(cloud: &Cloud, args: &[&str]) -> Ran {
    finish(&mut terminal(cloud, args), b"")
}

/// lsx-ct on a terminal, by script(1).
fn terminal(cloud: &Cloud, args: &[&str]) -> Command {
    let command = cloud.command(args);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut script = Command::new("script");
    script.args(["-qec", &words.join(" "), "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
    script
}

fn a_terminal_shows_what_is_waited_for(cloud: &Cloud) {
    let text = "
  never: { image: bb, host: h2, networks: [lan], ready: { tcp: 81, timeout: 3s }, command: [sleep, \"1000\"] }";
    let file = cloud.stack("shown", text);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    let ran = on_terminal(cloud, &["up", &file]).exits(1);
    assert!(ran.stdout.contains("never (h2): starting, "), "{}", ran.stdout);
    assert!(ran.stdout.contains(" s of 3, tcp:"), "{}", ran.stdout);
    let last = ran.stdout.rsplit("\x1b[J").next().unwrap();
    assert!(last.contains("never is not ready") && !last.contains(" s of 3"), "it has not gone: {last:?}");
    cloud.end(&file);
}

/// A layer is sent in pieces of 2 MiB.
fn a_terminal_shows_how_much_of_an_image_was_sent(cloud: &Cloud) {
    let folder = cloud.lab.folder.path();
    let script = "head -c 14M /dev/urandom >other.root/srv/ballast; tar -C other.root -cf big.tar .; rm other.root/srv/ballast";
    let mut made = Command::new("sh");
    assert!(made.args(["-ec", script]).current_dir(folder).status().unwrap().success());
    let file = cloud.stack(
        "sent",
        "
  big: { image: other, host: h2, networks: [lan], command: [sleep, \"1000\"] }",
    );
    let text = std::fs::read_to_string(&file).unwrap().replace("tar:other.tar", "tar:big.tar");
    std::fs::write(&file, text).unwrap();
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    let ran = on_terminal(cloud, &["up", "-o", "sent.json", &file]).ok();
    let lines: Vec<&str> = ran.stdout.split(['\n', '\r']).filter(|line| line.contains(" to h2")).collect();
    assert!(lines.len() >= 3 && lines.iter().all(|line| line.contains("other: ")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("M of 1")), "{lines:?}");
    let last = ran.stdout.rsplit("\x1b[J").next().unwrap();
    assert!(!last.contains("other: "), "it has not gone: {last:?}");
    cloud.inside("h2", "sent/big", "test $(wc -c </srv/ballast) = $((14 * 1024 * 1024))").ok();
    // Not into a file or pipe.
    let plain = cloud.ct(&["up", &file, "--set", "instances.big.env.A=b"]).ok();
    assert!(!plain.stderr.contains(['\x1b', '\r']), "{}", plain.stderr);
    cloud.end(&file);
}

/// Each measurement takes the place of the one before; Ctrl-C on the terminal ends it.
fn top_measures_again_until_it_is_interrupted(cloud: &Cloud) {
    let file = cloud.stack(
        "watched",
        "
  busy: { image: bb, host: h1, networks: [lan], command: [sh, -c, \"while :; do :; done\"], limits: { cpus: 0.1 } }",
    );
    cloud.start(&file);
    let mut command = terminal(cloud, &["top", "--stack", &file]);
    let mut top = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = top.stdout.take().unwrap();
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    let pictures = |text: &str| text.matches("\x1b[H").count();
    while pictures(&text) < 3 {
        let length = output.read(&mut piece).unwrap();
        assert_ne!(length, 0, "it has ended: {text}");
        text.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
    let shown = text.split("\x1b[H").nth(2).unwrap();
    assert!(shown.contains("CPU") && shown.contains("busy"), "{shown:?}");
    top.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(top.wait().unwrap().code(), Some(130), "{text}");
    cloud.end(&file);
}

/// The first one lets the step in progress end, here a stop that takes twenty seconds; the second one does not wait for it.
fn a_second_interrupt_ends_at_once(cloud: &Cloud) {
    let text = "
  deaf: { image: bb, host: h1, networks: [lan], stop_grace: 20s, command: [sh, -c, \"trap '' TERM; while :; do sleep 1; done\"] }";
    let file = cloud.stack("deaf", text);
    cloud.start(&file);
    let pid = cloud.pid("h1", "deaf/deaf");
    // Its successor ends at once, so that only the first one is waited for.
    let file = cloud.stack("deaf", &text.replace("trap '' TERM; ", ""));
    let mut up = cloud.command(&["up", &file]);
    let up = up.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let alive = || cloud.lab.exec("h1", &["test", "-d", &format!("/proc/{pid}")]).code == 0;
    // The lock that a run holds; its file may stay when a program that held it was killed.
    let works = || {
        cloud.lab.script("h1", "! test -e /run/lsx/deaf.ct.lock || flock -n /run/lsx/deaf.ct.lock true").code
            != 0
    };
    assert!(until(30, works), "it has not begun");
    let interrupt = || finish(Command::new("kill").args(["-s", "INT", &up.id().to_string()]), b"").ok();
    interrupt();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(alive(), "the step was cut short");
    interrupt();
    wait(up, "up".to_owned()).exits(130);
    assert!(alive(), "it has waited for the step");
    // The host ends its step by itself; the next run carries on.
    assert!(until(120, || !works()), "the host still works on it");
    cloud.ct(&["up", &file]).ok();
    assert_ne!(cloud.pid("h1", "deaf/deaf"), pid);
    cloud.end(&file);
}

/// As ps(1) counts the seconds of its first process; an instance that does not run has none.
fn a_table_says_how_long_an_instance_runs(cloud: &Cloud) {
    let text = "
  runs: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }
  halted: { image: bb, host: h2, networks: [lan], command: [sleep, \"1000\"] }
  done: { image: bb, host: h2, networks: [lan], restart: no, command: [sh, -c, \"exit 0\"] }";
    let file = cloud.stack("long", text);
    cloud.start(&file);
    cloud.ct(&["stop", "halted", "--stack", &file]).ok();
    let pid = cloud.pid("h1", "long/runs");
    let seconds = || -> u64 {
        let told = cloud.lab.exec("h1", &["ps", "-o", "etimes=", "-p", &pid.to_string()]).ok();
        told.stdout.trim().parse().unwrap()
    };
    assert!(until(60, || seconds() >= 2));
    let before = seconds();
    let shown = cloud.ct(&["ls", "--table", &file]).ok().stdout;
    let after = seconds();
    let lines: Vec<&str> = shown.lines().collect();
    let column = lines[0].find("UPTIME").unwrap_or_else(|| panic!("{shown}"));
    let uptime = |name: &str| {
        let line = lines.iter().find(|line| line.split_whitespace().any(|word| word == name)).unwrap();
        line[column..].split("  ").next().unwrap().trim().to_owned()
    };
    let told: u64 = uptime("runs").strip_suffix(" s").unwrap_or_else(|| panic!("{shown}")).parse().unwrap();
    // Rounded, and by another clock.
    assert!((before.saturating_sub(2)..=after + 2).contains(&told), "{before} {told} {after}");
    assert_eq!((uptime("halted").as_str(), uptime("done").as_str()), ("-", "-"), "{shown}");
    cloud.end(&file);
}

/// Without the stack's file; what differs is found by the tool whose part it is, on that host alone.
fn check_on_a_host_compares_it_with_what_it_keeps(cloud: &Cloud) {
    let text = "
  here: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }
  there: { image: bb, host: h2, networks: [lan], command: [sleep, \"1000\"] }";
    let file = cloud.stack("alone", text);
    cloud.start(&file);
    // Other stacks of the lab have documents of their own.
    let check = |host: &str, tool: &str| {
        let tool = cloud.copy_on(host, tool);
        let ran = cloud.lab.script(host, &format!("cd /; {tool} check </dev/null"));
        let mut all = ran.lines().into_iter().filter(|one| one["stack"] == "alone");
        let own = all.next().unwrap_or_else(|| panic!("{}{}", ran.stdout, ran.stderr));
        assert!(all.next().is_none() && (own["ok"] == true || ran.code == 2), "{}: {own}", ran.code);
        (ran, own)
    };
    for (host, tool) in [("h1", "lsx-net"), ("h1", "lsx-ct"), ("h2", "lsx-net"), ("h2", "lsx-ct")] {
        let (ran, own) = check(host, tool);
        ran.says("compared this host with what it keeps of ")
            .says("name the stack's file to check other hosts");
        assert!(own["ok"] == true && own["tried"] == 1, "{own}");
    }
    let bridge = "ip -o link show type bridge | sed 's/^[0-9]*: \\([^:@]*\\).*/\\1/'";
    cloud
        .lab
        .script("h1", &format!("for bridge in $({bridge}); do ip link set dev $bridge mtu 1300; done"))
        .ok();
    cloud.ct(&["stop", "here", "--stack", &file]).ok();
    let (_, own) = check("h1", "lsx-net");
    assert!(own["ok"] == false && own["findings"].to_string().contains("1300"), "{own}");
    let (_, own) = check("h1", "lsx-ct");
    assert!(own["ok"] == false && own["findings"].to_string().contains("instance here"), "{own}");
    assert!(check("h2", "lsx-net").1["ok"] == true && check("h2", "lsx-ct").1["ok"] == true);
    cloud.start(&file);
    cloud.lab.net(&["up", "--quiet", &fan(cloud)]).ok();
    assert!(check("h1", "lsx-net").1["ok"] == true && check("h1", "lsx-ct").1["ok"] == true);
    cloud.lab.script("h1", "echo damaged >/etc/lsx/alone/ct.json").ok();
    let (ran, own) = check("h1", "lsx-ct");
    assert_eq!(own["findings"][0]["code"], "check.intent");
    ran.says("/etc/lsx/alone/ct.json is damaged").says("lsx-ct up");
    cloud.end(&file);
    // A host that keeps nothing says what to give, as before.
    let empty = "mkdir -p /tmp/empty; exec unshare -m sh -ec 'mount --bind /tmp/empty /etc/lsx; exec";
    let ran = cloud.lab.script("h1", &format!("{empty} {} check </dev/null'", cloud.tool_on("h1"))).exits(66);
    assert!(ran.stderr.contains("name a FILE"), "{}", ran.stderr);
}

/// The run that stops it is killed: its supervisor goes on, and holds no lock of the stack.
fn one_that_is_still_being_stopped_is_started_afterwards(cloud: &Cloud) {
    let text = "
  deaf: { image: bb, host: h1, networks: [lan], stop_grace: 5s, command: [sh, -c, \"trap '' TERM; while :; do sleep 1; done\"] }";
    let file = cloud.stack("deaf", text);
    cloud.start(&file);
    let pid = cloud.pid("h1", "deaf/deaf");
    let killed = format!(
        "{} stop deaf/deaf >/dev/null 2>&1 & p=$!
         until grep -q stopping /run/lsx/ct/deaf/deaf/state.json; do sleep 0.05; done; kill -9 $p",
        cloud.tool_on("h1")
    );
    cloud.lab.script("h1", &killed).ok();
    cloud.ct(&["up", &file]).ok();
    assert_ne!(cloud.pid("h1", "deaf/deaf"), pid);
    assert_eq!((cloud.said("h1", "deaf/deaf")["state"].clone(), cloud.changed(&file)), ("running".into(), 0));
    cloud.end(&file);
}

//! What a person sees of a run: live lines on a terminal, and how a second interrupt ends it.

use crate::cloud::Cloud;
use lsx_tests::lab::{Ran, finish, until, wait};
use std::process::{Command, Stdio};

pub(crate) const CASES: &[crate::Case] = &[
    ("a_terminal_shows_what_is_waited_for", a_terminal_shows_what_is_waited_for),
    ("a_terminal_shows_how_much_of_an_image_was_sent", a_terminal_shows_how_much_of_an_image_was_sent),
    ("a_second_interrupt_ends_at_once", a_second_interrupt_ends_at_once),
];

/// Runs lsx-ct on a terminal; its output has both streams.
fn on_terminal(cloud: &Cloud, args: &[&str]) -> Ran {
    let command = cloud.command(args);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut script = Command::new("script");
    script.args(["-qec", &words.join(" "), "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
    finish(&mut script, b"")
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

/// The first one lets the step in progress end, here a stop that takes half a minute; the second one does not wait for it.
fn a_second_interrupt_ends_at_once(cloud: &Cloud) {
    let text = "
  deaf: { image: bb, host: h1, networks: [lan], stop_grace: 30s, env: { A: one }, command: [sh, -c, \"trap '' TERM; while :; do sleep 1; done\"] }";
    let file = cloud.stack("deaf", text);
    cloud.start(&file);
    let pid = cloud.pid("h1", "deaf/deaf");
    let file = cloud.stack("deaf", &text.replace("A: one", "A: two"));
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

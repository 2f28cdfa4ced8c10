//! Programs run in instances: one answer each, and their processes inside.

use crate::cloud::Cloud;
use lsx_tests::lab::{Ran, finish, until};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

pub(crate) const CASES: &[crate::Case] = &[
    ("every_instance_of_a_pattern_gives_one_answer", every_instance_of_a_pattern_gives_one_answer),
    ("past_its_time_a_program_is_killed_inside", past_its_time_a_program_is_killed_inside),
    ("a_quorum_is_enough", a_quorum_is_enough),
    ("hosts_that_answer_are_heard_when_one_does_not", hosts_that_answer_are_heard_when_one_does_not),
    ("input_user_environment_and_folder_are_as_asked", input_user_environment_and_folder_are_as_asked),
    ("hosts_answer_as_well", hosts_answer_as_well),
    ("it_ends_with_its_caller_however_that_ends", it_ends_with_its_caller_however_that_ends),
    ("what_is_written_is_told_while_it_is", what_is_written_is_told_while_it_is),
    ("an_instance_cannot_fill_the_memory_of_a_host", an_instance_cannot_fill_the_memory_of_a_host),
];

const THREE: &str = "
  web: { image: bb, hosts: [h1, h2], count: 2, networks: [lan], command: [sleep, \"1000\"] }
  db: { image: bb, host: h2, networks: [lan], command: [sleep, \"1000\"] }";

pub(crate) fn fan(cloud: &Cloud) -> String {
    let file = cloud.stack("fan", THREE);
    if cloud.said("h2", "fan/db")["state"] != "running" {
        cloud.start(&file);
    }
    file
}

fn run(cloud: &Cloud, args: &[&str]) -> (Ran, Vec<Value>) {
    let file = fan(cloud);
    let ran = cloud.ct(&[&["exec", "--stack", &file], args].concat());
    let answers = ran.lines();
    (ran, answers)
}

fn every_instance_of_a_pattern_gives_one_answer(cloud: &Cloud) {
    let (ran, answers) = run(cloud, &["--on", "web*", "--", "sh", "-c", "hostname; echo no >&2; exit 3"]);
    let one = |a: &Value| {
        format!("{} {} {} {} {} {}", a["host"], a["instance"], a["ok"], a["code"], a["stdout"], a["stderr"])
    };
    let all: Vec<String> = answers.iter().map(one).collect();
    assert_eq!(
        all,
        [
            "\"h1\" \"web-1\" false 3 \"web-1\\n\" \"no\\n\"",
            "\"h2\" \"web-2\" false 3 \"web-2\\n\" \"no\\n\"",
        ]
    );
    assert!(answers.iter().all(|a| a["ms"].is_u64() && a["schema"] == "lsx.ct.ran/1"));
    ran.exits(1).says("0 of 2 succeeded");
    let file = fan(cloud);
    cloud.ct(&["exec", "--stack", &file, "--on", "we", "--", "true"]).exits(64).says("no instance we");
    cloud.ct(&["exec", "--stack", &file, "--", "true"]).exits(64);
    let (ran, answers) = run(cloud, &["--on", "db", "--", "/no/such/program"]);
    assert!(ran.code == 1 && answers[0]["ok"] == false, "{answers:?}");
    assert!(answers[0]["stderr"].as_str().unwrap().contains("no such file"), "{answers:?}");
}

fn hosts_that_answer_are_heard_when_one_does_not(cloud: &Cloud) {
    let file = fan(cloud);
    cloud.ct(&["exec", "--stack", &file, "--on", "web*", "--", "sh", "-c", "echo here >/proc/1/fd/1"]).ok();
    cloud.lab.verb(&["cut", "h2"]);
    for verb in
        [&["exec", "web", "hostname"][..], &["logs", "web"], &["logs", "--plain", "web"], &["top", "--once"]]
    {
        let args = [&verb[..1], &["--stack", &file], &verb[1..]].concat();
        let ran = cloud.ct(&args).exits(69).says("h2: ").says("does not answer").says("--offline h2");
        let wanted = if verb.contains(&"--plain") { "here" } else { "web-1" };
        assert!(ran.stdout.contains(wanted) && !ran.stdout.contains("web-2"), "{verb:?}: {}", ran.stdout);
    }
    let quorum = ["exec", "--stack", &file, "--quorum", "1", "--on", "web*", "--", "true"];
    cloud.ct(&quorum).ok().says("does not answer");
    cloud.lab.verb(&["heal", "h2"]);
    cloud.ct(&["exec", "--stack", &file, "web", "true"]).ok();
}

fn past_its_time_a_program_is_killed_inside(cloud: &Cloud) {
    let (ran, answers) =
        run(cloud, &["--on", "db", "--timeout", "5s", "--", "sh", "-c", "echo begun; sleep 777 & sleep 778"]);
    ran.exits(1);
    assert_eq!((&answers[0]["code"], &answers[0]["stdout"]), (&124.into(), &"begun\n".into()), "{answers:?}");
    assert!(answers[0]["ms"].as_u64().unwrap() < 300_000, "long before its own end: {answers:?}");
    cloud.lab.script("h2", "! pgrep -fx 'sleep 77[78]'").ok();
    // A process left in the background does not delay the answer.
    let (ran, answers) = run(cloud, &["--on", "db", "--", "sh", "-c", "echo done; sleep 555 &"]);
    ran.ok();
    assert!(answers[0]["ms"].as_u64().unwrap() < 300_000 && answers[0]["stdout"] == "done\n", "{answers:?}");
    cloud.lab.script("h2", "pkill -fx 'sleep 555'").ok();
}

fn a_quorum_is_enough(cloud: &Cloud) {
    let words = ["--on", "web*", "--on", "db", "--", "sh", "-c", "test $(hostname) != db"];
    let (ran, answers) = run(cloud, &[&["--quorum", "2"], &words[..]].concat());
    ran.ok();
    assert_eq!(answers.len(), 3);
    run(cloud, &[&["--quorum", "3"], &words[..]].concat()).0.exits(1).says("2 of 3");
}

fn input_user_environment_and_folder_are_as_asked(cloud: &Cloud) {
    let file = fan(cloud);
    let args = [
        "exec",
        "--stack",
        &file,
        "--on",
        "web*",
        "-i",
        "-u",
        "1000:1000",
        "-e",
        "COLOUR=red=blue",
        "-w",
        "/srv",
        "--",
    ];
    let script = "od -An -tx1; id -u; echo $COLOUR; pwd";
    let ran = finish(&mut cloud.command(&[&args[..], &["sh", "-c", script]].concat()), b"a\xff\0b").ok();
    for answer in ran.lines() {
        assert_eq!(answer["stdout"], " 61 ff 00 62\n1000\nred=blue\n/srv\n", "{answer}");
    }
    let nothing = finish(&mut cloud.command(&[&args[..], &["wc", "-c"]].concat()), b"").ok();
    assert_eq!(nothing.lines()[0]["stdout"], "0\n");
    // By name, with the groups that name the user.
    let (ran, answers) = run(cloud, &["--on", "db", "-u", "app", "--", "sh", "-c", "id -u; id -g; id -G"]);
    ran.ok();
    assert_eq!(answers[0]["stdout"], "1000\n1000\n1000 2000\n");
    let (ran, answers) = run(cloud, &["--on", "db", "-u", "bob", "--", "true"]);
    ran.exits(1);
    assert!(answers[0]["stderr"].as_str().unwrap().contains("no user bob"), "{answers:?}");
    // Without -i standard input is not read.
    let (_, answers) = run(cloud, &["--on", "db", "--", "cat"]);
    assert_eq!(answers[0]["stdout"], "");
}

fn hosts_answer_as_well(cloud: &Cloud) {
    let (ran, answers) = run(cloud, &["--hosts", "--", "hostname"]);
    ran.ok();
    let names: Vec<&Value> = answers.iter().map(|a| &a["stdout"]).collect();
    assert_eq!(names, ["h1\n", "h2\n"]);
    let (ran, answers) = run(cloud, &["--hosts", "--timeout", "300ms", "--", "sleep", "666"]);
    ran.exits(1);
    assert!(answers.iter().all(|a| a["code"] == 124), "{answers:?}");
    cloud.lab.script("h1", "! pgrep -fx 'sleep 666'").ok();
}

fn it_ends_with_its_caller_however_that_ends(cloud: &Cloud) {
    let file = fan(cloud);
    let gone = |host: &str, what: &str| {
        let script = format!("! pgrep -fx '{what}'");
        assert!(until(30, || cloud.lab.script(host, &script).code == 0), "{what} still runs");
    };
    let there =
        |what: &str| assert!(until(30, || cloud.lab.script("h2", &format!("pgrep -fx '{what}'")).code == 0));
    // From another machine, killed.
    let mut command =
        cloud.command(&["exec", "--stack", &file, "--on", "db", "--", "sh", "-c", "sleep 771; true"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    there("sleep 771");
    child.kill().unwrap();
    child.wait().unwrap();
    gone("h2", "sleep 771");
    // On the host itself, killed and interrupted.
    let tool = cloud.tool_on("h2");
    // (A shell lets what it starts in the background ignore SIGINT.)
    for (signal, time) in [("KILL", "772"), ("TERM", "774")] {
        let script = format!(
            "{tool} exec --on fan/db -- sleep {time} >/dev/null 2>&1 & until pgrep -fx 'sleep {time}'; do sleep 0.05; done; kill -{signal} $!; wait || true"
        );
        cloud.lab.script("h2", &format!("set +e; {script}")).ok();
        gone("h2", &format!("sleep {time}"));
    }
    assert!(until(30, || cloud.lab.script("h2", "! pgrep -f '[/]proc/self/exe guard'").code == 0));
}

fn what_is_written_is_told_while_it_is(cloud: &Cloud) {
    let file = fan(cloud);
    let plain = |args: &[&str]| cloud.ct(&[&["exec", "--plain", "--stack", &file], args].concat());
    let ran = plain(&["--on", "web*", "--", "sh", "-c", "hostname; echo no >&2"]).ok();
    let mut lines: Vec<&str> = ran.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["web-1 | web-1", "web-2 | web-2"]);
    assert!(ran.stderr.contains("web-1 | no\n") && ran.stderr.contains("web-2 | no\n"), "{}", ran.stderr);
    // More output than is ever kept, complete and unchanged.
    let mut command = cloud.command(&[
        "exec",
        "--plain",
        "--stack",
        &file,
        "--on",
        "db",
        "--",
        "head",
        "-c",
        "30000000",
        "/dev/zero",
    ]);
    let out = command.stdin(Stdio::null()).output().unwrap();
    assert!(out.status.success() && out.stdout.len() == 30_000_000 && out.stdout.iter().all(|b| *b == 0));
    // And before it has ended.
    let mut command = cloud.command(&[
        "exec",
        "--plain",
        "--stack",
        &file,
        "--on",
        "db",
        "--",
        "sh",
        "-c",
        "echo begun; sleep 600",
    ]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The most memory that a process of the host has had, in KiB.
fn most(cloud: &Cloud, host: &str, pattern: &str) -> u64 {
    let script = format!(
        "cat $(pgrep -f '{pattern}' | sed 's,.*,/proc/&/status,') 2>/dev/null | sed -n 's/VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p' | sort -n | tail -n 1"
    );
    cloud.lab.script(host, &script).stdout.trim().parse().unwrap_or(0)
}

fn an_instance_cannot_fill_the_memory_of_a_host(cloud: &Cloud) {
    let file = fan(cloud);
    let (ran, answers) = run(
        cloud,
        &["--on", "db", "--", "sh", "-c", "head -c 50000000 /dev/zero | tr '\\0' x; echo end >&2"],
    );
    ran.ok();
    let kept = answers[0]["stdout"].as_str().unwrap().len() as u64;
    assert_eq!((kept, &answers[0]["cut_bytes"]), (1 << 20, &(50_000_000 - (1_u64 << 20)).into()));
    assert_eq!(answers[0]["stderr"], "end\n");
    // A sparse file of three gigabytes in place of /etc/passwd.
    cloud.inside("h2", "fan/db", "cp /etc/passwd /etc/passwd.was; truncate -s 3G /etc/passwd").ok();
    let (_, answers) = run(cloud, &["--on", "db", "-u", "app", "--", "id"]);
    assert!(
        answers[0]["stderr"].as_str().unwrap().contains("/etc/passwd in the instance is larger than"),
        "{answers:?}"
    );
    cloud.ct(&["restart", "db", "--stack", &file]);
    assert!(most(cloud, "h2", "[s]upervise fan db") < 200_000);
    cloud.ct(&["stop", "db", "--stack", &file]).ok();
    cloud.lab.script("h2", "cd /var/lib/lsx/ct/fan/db/upper/etc && mv passwd.was passwd").ok();
    cloud.ct(&["up", &file]).ok();
}

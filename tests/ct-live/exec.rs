//! Programs run in instances: one answer each, and what became of them inside.

use crate::cloud::Cloud;
use lsx_tests::lab::{Ran, finish, until};
use serde_json::Value;

pub(crate) const CASES: &[crate::Case] = &[
    ("every_instance_of_a_pattern_gives_one_answer", every_instance_of_a_pattern_gives_one_answer),
    ("past_its_time_a_program_is_killed_inside", past_its_time_a_program_is_killed_inside),
    ("a_quorum_is_enough", a_quorum_is_enough),
    ("input_user_environment_and_folder_are_as_asked", input_user_environment_and_folder_are_as_asked),
    ("hosts_answer_as_well", hosts_answer_as_well),
    ("a_terminal_is_one", a_terminal_is_one),
    ("what_an_instance_wrote_moves_no_cursor", what_an_instance_wrote_moves_no_cursor),
];

const THREE: &str = "
  web: { image: bb, hosts: [h1, h2], count: 2, networks: [lan], command: [sleep, \"1000\"] }
  db: { image: bb, host: h2, networks: [lan], command: [sleep, \"1000\"] }";

fn fan(cloud: &Cloud) -> String {
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
    ran.exits(1).says("0 of 2 ended well");
    let file = fan(cloud);
    cloud.ct(&["exec", "--stack", &file, "--on", "we", "--", "true"]).exits(64).says("no instance we");
    cloud.ct(&["exec", "--stack", &file, "--", "true"]).exits(64);
    let (ran, answers) = run(cloud, &["--on", "db", "--", "/no/such/program"]);
    assert!(ran.code == 1 && answers[0]["ok"] == false, "{answers:?}");
    assert!(answers[0]["stderr"].as_str().unwrap().contains("no such file"), "{answers:?}");
}

fn past_its_time_a_program_is_killed_inside(cloud: &Cloud) {
    let (ran, answers) = run(
        cloud,
        &["--on", "db", "--timeout", "500ms", "--", "sh", "-c", "echo begun; sleep 777 & sleep 778"],
    );
    ran.exits(1);
    assert_eq!((&answers[0]["code"], &answers[0]["stdout"]), (&124.into(), &"begun\n".into()), "{answers:?}");
    assert!(answers[0]["ms"].as_u64().unwrap() < 3000, "{answers:?}");
    cloud.lab.script("h2", "! pgrep -fx 'sleep 77[78]'").ok();
    // What stays behind does not keep the answer.
    let (ran, answers) = run(cloud, &["--on", "db", "--", "sh", "-c", "echo done; sleep 555 &"]);
    ran.ok();
    assert!(answers[0]["ms"].as_u64().unwrap() < 3000 && answers[0]["stdout"] == "done\n", "{answers:?}");
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
    // Without -i nobody's input is read.
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

fn a_terminal_is_one(cloud: &Cloud) {
    let file = fan(cloud);
    let tool = cloud.tool_on("h2");
    let command = format!("{tool} exec -it db sh -c 'tty; hostname; exit 5'");
    let ran = cloud.lab.exec("h2", &["script", "-qec", &command, "/dev/null"]);
    assert_eq!(ran.code, 5, "{} {}", ran.stdout, ran.stderr);
    assert!(ran.stdout.replace('\r', "").ends_with("/dev/pts/0\ndb\n"), "{}", ran.stdout);
    cloud.lab.exec("h2", &[&tool, "exec", "-it", "nobody"]).exits(64);
    cloud.end(&file);
}

/// On a terminal control characters are shown, unless a person asks for them; into a pipe every byte goes as it came.
fn what_an_instance_wrote_moves_no_cursor(cloud: &Cloud) {
    let evil = r"printf 'a\033[2Jb\r\n\302\233c\342\200\256d\n'; sleep 1000";
    let file = cloud.stack(
        "evil",
        &format!("\n  it: {{ image: bb, host: h2, networks: [lan], command: [sh, -c, {evil:?}] }}"),
    );
    cloud.start(&file);
    let tool = cloud.tool_on("h2");
    let raw = "a\x1b[2Jb\r\n\u{9b}c\u{202e}d\n";
    let shown = "a\\x1b[2Jb\n\\u{9b}c\\u{202e}d\n";
    let terminal = |args: &str| {
        let ran = cloud.lab.exec("h2", &["script", "-qec", &format!("{tool} {args}"), "/dev/null"]).ok();
        ran.stdout.replace("\r\n", "\n")
    };
    assert!(until(30, || terminal("logs evil/it --plain") == shown));
    assert_eq!(terminal("logs evil/it --plain --raw"), raw);
    assert_eq!(cloud.lab.exec("h2", &[&tool, "logs", "evil/it", "--plain"]).ok().stdout, raw);
    let again = "exec --on evil/it -- sh -c \"printf 'x\\033[2J\\302\\233\\342\\200\\256'\"";
    for how in ["", " --table"] {
        let seen = terminal(&again.replacen("exec", &format!("exec{how}"), 1));
        assert!(seen.contains("[2J") && !seen.contains(['\x1b', '\u{9b}', '\u{202e}']), "{seen:?}");
    }
    for how in ["logs evil/it", "logs evil/it --table"] {
        let seen = terminal(how);
        assert!(seen.contains("[2J") && !seen.contains(['\x1b', '\u{9b}', '\u{202e}']), "{seen:?}");
    }
    cloud.end(&file);
}

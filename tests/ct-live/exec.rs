//! Programs run in instances: one answer each, and what became of them inside.

use crate::cloud::Cloud;
use lsx_tests::lab::{Ran, finish, until};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

pub(crate) const CASES: &[crate::Case] = &[
    ("every_instance_of_a_pattern_gives_one_answer", every_instance_of_a_pattern_gives_one_answer),
    ("past_its_time_a_program_is_killed_inside", past_its_time_a_program_is_killed_inside),
    ("a_quorum_is_enough", a_quorum_is_enough),
    ("input_user_environment_and_folder_are_as_asked", input_user_environment_and_folder_are_as_asked),
    ("hosts_answer_as_well", hosts_answer_as_well),
    ("it_ends_with_its_caller_however_that_ends", it_ends_with_its_caller_however_that_ends),
    ("what_is_written_is_told_while_it_is", what_is_written_is_told_while_it_is),
    ("an_instance_cannot_fill_the_memory_of_a_host", an_instance_cannot_fill_the_memory_of_a_host),
    ("logs_are_followed_and_looked_back_at", logs_are_followed_and_looked_back_at),
    ("files_are_copied_both_ways_and_nowhere_else", files_are_copied_both_ways_and_nowhere_else),
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
    // More than is ever kept, all of it, in its own bytes.
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
    // Three gigabytes that take no room, where users and groups are told.
    cloud.inside("h2", "fan/db", "cp /etc/passwd /etc/passwd.was; truncate -s 3G /etc/passwd").ok();
    let (_, answers) = run(cloud, &["--on", "db", "-u", "app", "--", "id"]);
    assert!(
        answers[0]["stderr"].as_str().unwrap().contains("/etc/passwd in the instance is longer than"),
        "{answers:?}"
    );
    cloud.ct(&["restart", "db", "--stack", &file]);
    assert!(most(cloud, "h2", "[s]upervise fan db") < 200_000);
    cloud.ct(&["stop", "db", "--stack", &file]).ok();
    cloud.lab.script("h2", "cd /var/lib/lsx/ct/fan/db/upper/etc && mv passwd.was passwd").ok();
    cloud.ct(&["up", &file]).ok();
}

fn logs_are_followed_and_looked_back_at(cloud: &Cloud) {
    let file = cloud.stack("talk", "
  a: { image: bb, host: h1, networks: [lan], command: [sh, -c, \"i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done\"] }
  b: { image: bb, host: h2, networks: [lan], command: [sh, -c, \"while :; do echo other; sleep 0.2; done\"] }");
    cloud.start(&file);
    let mut command = cloud.command(&["logs", "--stack", &file, "--follow", "--plain", "-n", "1", "a", "b"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines: Vec<String> =
        BufReader::new(child.stdout.take().unwrap()).lines().take(40).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let numbers: Vec<u64> = lines.iter().filter_map(|l| l.strip_prefix("a | line ")?.parse().ok()).collect();
    assert!(numbers.len() > 5 && numbers.windows(2).all(|two| two[1] == two[0] + 1), "{lines:?}");
    assert!(lines.iter().filter(|l| *l == "b | other").count() > 5, "{lines:?}");
    // The session on the host has gone with it.
    assert!(until(30, || cloud.lab.script("h1", "! pgrep -f '[l]sx-ct serve'").code == 0));
    let all = cloud.ct(&["logs", "--stack", &file, "a", "-n", "100000"]).ok().lines();
    let at = all[all.len() / 2]["at"].as_str().unwrap().to_owned();
    let since = cloud.ct(&["logs", "--stack", &file, "a", "--since", &at]).ok().lines();
    assert!(since.len() > all.len() / 3 && since.iter().all(|l| l["at"].as_str().unwrap() >= at.as_str()));
    assert!(cloud.ct(&["logs", "--stack", &file, "a", "--since", "1h"]).ok().lines().len() >= all.len());
    cloud.ct(&["logs", "--stack", &file, "a", "--since", "yesterday"]).exits(64);
    cloud.end(&file);
}

fn files_are_copied_both_ways_and_nowhere_else(cloud: &Cloud) {
    let file = fan(cloud);
    let folder = cloud.lab.folder.path();
    let cp = |from: &str, to: &str| cloud.ct(&["cp", "--stack", &file, from, to]);
    std::fs::create_dir_all(folder.join("tree/deep")).unwrap();
    let big: Vec<u8> = (0..9_000_000_u32).map(|n| u8::try_from(n % 253).unwrap()).collect();
    std::fs::write(folder.join("tree/deep/big"), &big).unwrap();
    std::fs::write(folder.join("tree/note"), "hello\n").unwrap();
    let tree = folder.join("tree").display().to_string();
    cp(&tree, "db:/srv").ok();
    cp(&tree, "db:/srv/named").ok();
    let inside = |script: &str| cloud.inside("h2", "fan/db", script).ok().stdout;
    assert_eq!(
        inside("cat /srv/tree/note; stat -c '%u %a' /srv/tree/note; wc -c </srv/named/deep/big"),
        "hello\n0 644\n9000000\n"
    );
    // Back, with what an instance would have us believe.
    inside(
        "cd /srv/tree; ln -s /etc/shadow secret; ln -s / all; mkfifo pipe; chmod 4755 note; mkdir -p 'odd name'; echo x >'odd name/\u{e4}'",
    );
    let back = folder.join("back").display().to_string();
    let ran = cp("db:/srv/tree", &back).ok();
    assert!(ran.stderr.contains("were not copied"), "{}", ran.stderr);
    assert_eq!(std::fs::read(folder.join("back/deep/big")).unwrap(), big);
    assert_eq!(std::fs::read(folder.join("back/odd name/\u{e4}")).unwrap(), b"x\n");
    assert!(std::fs::symlink_metadata(folder.join("back/all")).unwrap().is_symlink());
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(folder.join("back/note")).unwrap().permissions().mode() & 0o7777, 0o755);
    cp("db:/etc/passwd", &folder.join("one").display().to_string()).ok();
    assert!(std::fs::read_to_string(folder.join("one")).unwrap().contains("app:x:1000"));
    // A link there means what it means there.
    inside("ln -s /etc /srv/out");
    cp(&folder.join("tree/note").display().to_string(), "db:/srv/out").ok();
    assert_eq!(inside("cat /etc/note"), "hello\n");
    cloud.lab.script("h2", "! test -e /etc/note").ok();
    cp("db:/no/such", &back).exits(1).says("/no/such");
    cp("db:/a", "db:/b").exits(64);
    cp(&tree, &back).exits(64);
}

fn a_terminal_is_one(cloud: &Cloud) {
    let file = fan(cloud);
    let tool = cloud.tool_on("h2");
    let command = format!("{tool} exec -it db sh -c 'tty; hostname; exit 5'");
    let ran = cloud.lab.exec("h2", &["script", "-qec", &command, "/dev/null"]);
    assert_eq!(ran.code, 5, "{} {}", ran.stdout, ran.stderr);
    assert!(ran.stdout.replace('\r', "").ends_with("/dev/pts/0\ndb\n"), "{}", ran.stdout);
    cloud.lab.exec("h2", &[&tool, "exec", "-it", "nobody"]).exits(64);
    // From another machine, with words that a shell would read.
    let mut command = std::process::Command::new("script");
    let own = cloud.command(&[
        "exec",
        "-it",
        "--stack",
        &file,
        "db",
        "--",
        "sh",
        "-c",
        "tty; hostname; echo \"$1\"; exit 5",
        "x",
        "a 'b' $HOME;",
    ]);
    let words: Vec<String> = std::iter::once(own.get_program())
        .chain(own.get_args())
        .map(|w| format!("'{}'", w.to_str().unwrap().replace('\'', "'\\''")))
        .collect();
    command.args(["-qec", &words.join(" "), "/dev/null"]).stdin(Stdio::null());
    command.envs(own.get_envs().filter_map(|(k, v)| Some((k, v?))));
    if let Some(folder) = own.get_current_dir() {
        command.current_dir(folder);
    }
    let out = command.output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).replace('\r', "");
    assert_eq!(out.status.code(), Some(5), "{said} {}", String::from_utf8_lossy(&out.stderr));
    assert!(said.contains("/dev/pts/") && said.contains("\ndb\na 'b' $HOME;\n"), "{said}");
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

//! Data that crosses the border of an instance: its log, files both ways, a terminal.

use crate::cloud::Cloud;
use crate::exec::fan;
use lsx_tests::lab::until;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

pub(crate) const CASES: &[crate::Case] = &[
    ("logs_are_followed_and_looked_back_at", logs_are_followed_and_looked_back_at),
    ("files_are_copied_both_ways_and_nowhere_else", files_are_copied_both_ways_and_nowhere_else),
    ("a_terminal_is_one", a_terminal_is_one),
    ("what_an_instance_wrote_moves_no_cursor", what_an_instance_wrote_moves_no_cursor),
];

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
    // Copies from an instance, including forged data.
    inside(
        "cd /srv/tree; ln -s /etc/shadow secret; ln -s / all; mkfifo pipe; chmod 4755 note; mkdir -p 'odd name'; echo x >'odd name/\u{e4}'",
    );
    let back = folder.join("back").display().to_string();
    let ran = cp("db:/srv/tree", &back).ok();
    assert!(ran.stderr.contains("not copied"), "{}", ran.stderr);
    assert_eq!(std::fs::read(folder.join("back/deep/big")).unwrap(), big);
    assert_eq!(std::fs::read(folder.join("back/odd name/\u{e4}")).unwrap(), b"x\n");
    assert!(std::fs::symlink_metadata(folder.join("back/all")).unwrap().is_symlink());
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(folder.join("back/note")).unwrap().permissions().mode() & 0o7777, 0o755);
    cp("db:/etc/passwd", &folder.join("one").display().to_string()).ok();
    assert!(std::fs::read_to_string(folder.join("one")).unwrap().contains("app:x:1000"));
    // A link is resolved in the instance.
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
    // From another machine, with words that a shell would change.
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

/// On a terminal control characters are escaped, unless --raw is given; into a pipe every byte is passed on unchanged.
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

//! Files of instances and images cannot be reached by users of the host.

use crate::cloud::Cloud;
use lsx_tests::lab::until;
use std::process::Command;

pub(crate) const CASES: &[crate::Case] = &[
    ("nobody_of_the_host_runs_what_an_instance_wrote", nobody_of_the_host_runs_what_an_instance_wrote),
    ("nobody_of_the_host_prepares_or_changes_a_place", nobody_of_the_host_prepares_or_changes_a_place),
    ("nor_where_ids_cannot_be_shifted", nor_where_ids_cannot_be_shifted),
    ("folders_that_are_open_are_told_and_closed", folders_that_are_open_are_told_and_closed),
];

/// A user of the lab's hosts, without any privileges.
const USER: u32 = 40_001;
/// A runtime without user namespaces, as on a host that cannot shift ids.
const PLAIN: &str = "mkdir -p /opt/plain; cat >/opt/plain/run <<'END'
#!/bin/sh
for word; do [ \"$before\" = --bundle ] && bundle=$word; before=$word; done
[ -z \"$bundle\" ] || ! grep -q uidMappings \"$bundle/config.json\" || { echo 'no user namespaces here' >&2; exit 1; }
exec runc \"$@\"
END
chmod +x /opt/plain/run";

/// A program that prints its effective user.
fn who(cloud: &Cloud) {
    let source = cloud.lab.file("who.c", "#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf(\"%d\\n\", geteuid()); return 0; }\n");
    let target = cloud.lab.folder.path().join("who");
    let made = Command::new("cc").args(["-static", "-Os", "-s", "-o"]).arg(target).arg(source).status();
    assert!(made.unwrap().success());
}

/// One instance that has that program with setuid in its root and in a volume, is in that volume and holds it open.
fn begun(cloud: &Cloud, name: &str, more: &[&str]) -> String {
    who(cloud);
    let text = "
  it:
    image: bb
    host: h1
    networks: [lan]
    volumes: { data: /data }
    files: { /srv/who: { source: who, mode: \"4755\" } }
    command: [sh, -c, \"cp /srv/who /data/who; chmod 4755 /data/who; cd /data; exec 9</data/who; exec sleep 1000\"]";
    let file = cloud.stack(name, text);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    cloud.ct(&[&["up", &file], more].concat()).ok();
    let there = format!("test -u /var/lib/lsx/volumes/{name}/data/who");
    assert!(until(30, || cloud.lab.script("h1", &there).code == 0), "the program is in its volume");
    file
}

/// The result for a user of the host who tries every path to it.
#[track_caller]
fn tried(cloud: &Cloud, stack: &str) {
    let lab = &cloud.lab;
    // The test itself is valid: with an open folder the user does get root.
    lab.script("h1", &format!("cp /var/lib/lsx/volumes/{stack}/data/who /opt/who; chmod 4755 /opt/who")).ok();
    let as_user = |script: &str| {
        let user = USER.to_string();
        lab.exec("h1", &["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "sh", "-c", script])
    };
    assert_eq!(as_user("/opt/who").stdout, "0\n");
    lab.script("h1", "rm /opt/who").ok();
    let paths = format!(
        "for path in /var/lib/lsx/volumes/{stack}/data/who /var/lib/lsx/ct/{stack}/it/upper/srv/who /run/lsx/ct/{stack}/it/root/srv/who \\
            /run/lsx/ct/{stack}/it/volume-data/who $(find / -name who -perm -4000 2>/dev/null | grep -v -x /usr/bin/who); do $path; done
        for process in /proc/[0-9]*; do for path in root/srv/who root/data/who cwd/who fd/9 root/run/lsx/ct/{stack}/it/volume-data/who; do
            $process/$path; done; done
        cat /var/lib/lsx/ct/{stack}/it/log /run/lsx/ct/{stack}/it/files/hosts; ls /var/lib/lsx /var/lib/lsx/images /var/lib/lsx/secrets"
    );
    let said = as_user(&paths);
    let others: Vec<&str> = said.stdout.lines().filter(|line| *line != USER.to_string()).collect();
    assert!(others.is_empty(), "{others:?}");
    // The tool itself still runs there.
    lab.script("h1", &format!("test -u /var/lib/lsx/volumes/{stack}/data/who")).ok();
}

fn nobody_of_the_host_runs_what_an_instance_wrote(cloud: &Cloud) {
    let file = begun(cloud, "reach", &[]);
    let owner = cloud.lab.script("h1", "stat -c '%u %a' /var/lib/lsx/volumes/reach/data/who").ok().stdout;
    assert_eq!(owner, "0 4755\n", "it is root's on the host, too");
    tried(cloud, "reach");
    cloud.end(&file);
}

/// Before the first `up` and after it: no folder or file of lsx can be created, written, locked or, if it is secret, read.
fn nobody_of_the_host_prepares_or_changes_a_place(cloud: &Cloud) {
    let lab = &cloud.lab;
    let user = USER.to_string();
    let as_user = |script: &str| {
        let sh = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "sh", "-c", script];
        lab.exec("h1", &sh).stdout
    };
    const FIRST: &str = "for folder in /run /etc /var/lib /var/lib/lsx /run/lsx /etc/lsx; do
        for name in lsx lsx-ssh-0 ct runtime boot.d own.ct.lock; do
            mkdir $folder/$name && echo $folder/$name; ln -s /tmp $folder/$name && echo $folder/$name; done; done 2>/dev/null";
    assert_eq!(as_user(FIRST), "");
    cloud.lab.file("word.txt", "very secret\n");
    let text = "
  own: { image: bb, host: h1, networks: [lan], volumes: { data: /data }, secrets: [word], command: [sleep, \"1000\"] }
secrets: { word: \"file:word.txt\" }";
    let file = cloud.stack("own", text);
    cloud.start(&file);
    assert_eq!(as_user(FIRST), "");
    // Whoever may open the file of a lock may hold it. Boot entries and what routing was before are no secrets.
    const LATER: &str = "find /run/lsx* /etc/lsx* /var/lib/lsx* ! -type l -writable 2>/dev/null
        find /run/lsx* /etc/lsx* /var/lib/lsx* -type f -readable ! -path '/etc/lsx/boot.d/*' ! -path '/run/lsx/routing/*' \
            ! -path '/var/lib/lsx/bin/*' 2>/dev/null";
    assert_eq!(as_user(LATER), "");
    let seen = cloud.inside("h1", "own/own", "cat /run/secrets/word").ok().stdout;
    assert_eq!(seen, "very secret\n");
    cloud.end(&file);
}

/// There the instance's user is the host's user, who may inspect its processes.
fn nor_where_ids_cannot_be_shifted(cloud: &Cloud) {
    cloud.lab.script("h1", PLAIN).ok();
    let file = begun(cloud, "plain", &["--runtime", "/opt/plain/run"]);
    let pid = cloud.pid("h1", "plain/it");
    let map = cloud.lab.script("h1", &format!("cat /proc/{pid}/uid_map")).ok().stdout;
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "0", "4294967295"]);
    // One process of the user's own number, with the program in reach.
    let user = USER.to_string();
    let tool = cloud.tool_on("h1");
    let run = [
        &tool,
        "exec",
        "--on",
        "plain/it",
        "-u",
        &user,
        "--",
        "sh",
        "-c",
        "cd /data; exec 9</data/who; sleep 1000 >/dev/null 2>&1 &",
    ];
    cloud.lab.exec("h1", &run).ok();
    tried(cloud, "plain");
    cloud.end(&file);
    cloud.lab.script("h1", "rm -r /opt/plain").ok();
}

fn folders_that_are_open_are_told_and_closed(cloud: &Cloud) {
    let file =
        cloud.stack("shut", "\n  it: { image: bb, host: h1, networks: [lan], volumes: { data: /data } }");
    cloud.start(&file);
    let modes = || {
        let all = "stat -c '%n %a %U' /var/lib/lsx /var/lib/lsx/ct /var/lib/lsx/images /var/lib/lsx/volumes /var/lib/lsx/volumes/shut /run/lsx/ct/shut/it";
        cloud.lab.script("h1", all).ok().stdout
    };
    let closed = modes();
    assert!(closed.lines().take(5).all(|line| line.ends_with(" 700 root")), "{closed}");
    assert!(closed.lines().last().unwrap().ends_with(" 710 root"), "{closed}");
    // As left by earlier versions.
    cloud.lab.script("h1", "chmod 755 /var/lib/lsx /var/lib/lsx/volumes; chmod 711 /run/lsx/ct/shut/it").ok();
    let seen = cloud.ct(&["observe", &file]).ok();
    assert!(seen.stdout.contains("/var/lib/lsx/volumes has mode 0755 root"), "{}", seen.stdout);
    cloud.ct(&["check", &file]).exits(2);
    let steps = cloud.steps(&file, &[]);
    assert_eq!(steps.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["folders.change:host"]);
    assert_eq!(cloud.changed(&file), 1);
    let others = |all: &str| {
        all.lines().filter(|l| !l.contains("/volumes/shut ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(others(&modes()), others(&closed));
    cloud.ct(&["check", &file]).ok();
    cloud.end(&file);
}

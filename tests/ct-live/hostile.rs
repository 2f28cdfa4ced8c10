//! What root in an instance puts at paths that lsx reads and writes: it cannot reach the host, and cannot block lsx.

use crate::cloud::Cloud;
use lsx_tests::lab::until;
use std::time::{Duration, Instant};

pub(crate) const CASES: &[crate::Case] = &[
    ("what_is_no_plain_file_is_refused_by_name", what_is_no_plain_file_is_refused_by_name),
    ("links_lead_to_nothing_of_the_host", links_lead_to_nothing_of_the_host),
    ("accounts_without_an_end_are_not_read", accounts_without_an_end_are_not_read),
    ("nothing_of_the_host_is_seen_from_inside", nothing_of_the_host_is_seen_from_inside),
    ("a_plan_runs_nothing", a_plan_runs_nothing),
];

/// Longer than everything here takes, and shorter than a wait without end.
const SOON: Duration = Duration::from_secs(60);

fn what_is_no_plain_file_is_refused_by_name(cloud: &Cloud) {
    let lab = &cloud.lab;
    lab.file("page", "one\n");
    let file = cloud.stack(
        "pipe",
        "\n  it: { image: bb, host: h1, networks: [lan], files: { /srv/page: page }, restart: \"no\" }",
    );
    cloud.start(&file);
    cloud.inside("h1", "pipe/it", "rm /srv/page; mkfifo /srv/page").ok();
    lab.file("page", "two\n");
    let begin = Instant::now();
    cloud.ct(&["up", &file]).exits(1).says("/srv/page in the instance is a pipe, not a regular file");
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    lab.script("h1", "rm /var/lib/lsx/ct/pipe/it/upper/srv/page").ok();
    cloud.ct(&["up", &file]).ok();
    assert_eq!(cloud.inside("h1", "pipe/it", "cat /srv/page").ok().stdout, "two\n");
    cloud.end(&file);
}

fn links_lead_to_nothing_of_the_host(cloud: &Cloud) {
    let lab = &cloud.lab;
    lab.file("page", "one\n");
    let file = cloud.stack(
        "links",
        "\n  it: { image: bb, host: h1, networks: [lan], secrets: [word], files: { /srv/page: page, /srv/deep/page: page } }\nsecrets: { word: \"file:page\" }",
    );
    cloud.start(&file);
    lab.script("h1", "mkdir /opt/ours; for name in passwd hosts hostname resolv.conf page secrets; do echo ours >/opt/ours/$name; done").ok();
    // A link to the host's files at every path that lsx or the runtime reads or writes.
    let script = "mv /etc /old; mkdir /etc; cp /old/group /etc
        for name in passwd hosts hostname resolv.conf; do ln -s ../../../../../../../opt/ours/$name /etc/$name; done
        rm -rf /srv/page /srv/deep; ln -s /opt/ours/page /srv/page; ln -s /../../opt/ours /srv/deep; rm -rf /run; mkdir /run; ln -s /opt/ours /run/secrets";
    cloud.lab.exec("h1", &[&cloud.tool_on("h1"), "exec", "--on", "links/it", "--", "sh", "-c", script]);
    let ours = || {
        lab.script("h1", "cat /opt/ours/*; ls /opt/ours; grep -c /opt/ours /proc/mounts || true").ok().stdout
    };
    let before = ours();
    lab.file("page", "two\n");
    let begin = Instant::now();
    for _ in 0..2 {
        cloud.ct(&["up", &file]);
        cloud.ct(&["exec", "-u", "app", "--stack", &file, "--on", "it", "--", "true"]);
        cloud.ct(&["exec", "-u", "0", "--stack", &file, "--on", "it", "--", "true"]);
        cloud.ct(&["restart", "it", "--stack", &file]);
    }
    assert!(begin.elapsed() < SOON * 2, "{:?}", begin.elapsed());
    assert_eq!(ours(), before);
    let shown = cloud.ct(&["observe", &file]).ok().stdout;
    assert!(shown.contains("\"it\""), "{shown}");
    cloud.end(&file);
    assert_eq!(ours(), before);
    lab.script("h1", "rm -r /opt/ours").ok();
}

fn accounts_without_an_end_are_not_read(cloud: &Cloud) {
    let file = cloud.stack("endless", "\n  it: { image: bb, host: h1, networks: [lan], user: app }");
    cloud.start(&file);
    cloud.inside("h1", "endless/it", "truncate -s 3G /etc/passwd").ok();
    let begin = Instant::now();
    let asked = cloud.ct(&["exec", "-u", "app", "--stack", &file, "--on", "it", "--", "true"]);
    assert!(
        asked.code != 0 && [&*asked.stdout, &*asked.stderr].concat().contains("larger than 4 MiB"),
        "{asked:?}"
    );
    let again = cloud.ct(&["restart", "it", "--stack", &file]);
    assert!(
        again.code != 0 && [&*again.stdout, &*again.stderr].concat().contains("larger than 4 MiB"),
        "{again:?}"
    );
    assert!(begin.elapsed() < SOON * 2, "{:?}", begin.elapsed());
    cloud.end(&file);
}

fn nothing_of_the_host_is_seen_from_inside(cloud: &Cloud) {
    let lab = &cloud.lab;
    lab.script("h1", "echo MARK-OF-THE-HOST >/etc/lsx-mark").ok();
    // Root in the instance watches all processes, while programs are run in it.
    let look = "while :; do for p in /proc/[0-9]*; do cat $p/root/etc/lsx-mark $p/cwd/lsx-mark $p/cwd/etc/lsx-mark; ls -l $p/fd $p/cwd $p/root; \
        tr '\\\\0' '\\\\n' <$p/environ; done >>/srv/seen 2>/dev/null; done";
    let text = format!(
        "\n  it: {{ image: bb, host: h1, networks: [lan], workdir: /srv, command: [sh, -c, \"{look}\"] }}"
    );
    let file = cloud.stack("looks", &text);
    cloud.start(&file);
    for _ in 0..10 {
        cloud.ct(&["exec", "--stack", &file, "--on", "it", "--", "sleep", "0.2"]).ok();
    }
    let look = || lab.script("h1", "cat /var/lib/lsx/ct/looks/it/upper/srv/seen").ok().stdout;
    until(30, || look().contains("PATH="));
    let seen = look();
    assert!(seen.contains("/dev/null") && seen.contains("PATH="), "it looked: {} bytes", seen.len());
    for word in ["MARK-OF-THE-HOST", "/var/lib/lsx", "/run/lsx", "/etc/lsx"] {
        let line = seen.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "{word}");
    }
    // Nor can it be traced: only processes of the instance are visible.
    let others = cloud.inside("h1", "looks/it", "ls /proc | grep -c '^[0-9]'").ok().stdout;
    assert!(others.trim().parse::<u32>().unwrap() < 20, "{others}");
    cloud.end(&file);
    lab.script("h1", "rm /etc/lsx-mark").ok();
}

/// Each runtime wrapped by a program that records its arguments.
const WATCHED: &str = "for one in crun runc youki; do real=$(command -v $one) || continue
    printf '#!/bin/sh\\necho \"$*\" >>/opt/calls\\nexec %s \"$@\"\\n' $real >/usr/local/sbin/$one; chmod +x /usr/local/sbin/$one; done
    : >/opt/calls";

fn a_plan_runs_nothing(cloud: &Cloud) {
    let lab = &cloud.lab;
    lab.script("h1", WATCHED).ok();
    let file = cloud.stack("dry", "\n  it: { image: bb, host: h1, networks: [lan] }");
    lab.net(&["up", "--quiet", &file]).ok();
    let before = cloud.snapshot("h1");
    for verb in ["plan", "observe", "check"] {
        cloud.ct(&[verb, &file]);
    }
    assert_eq!(lab.script("h1", "cat /opt/calls").ok().stdout, "");
    cloud.same("h1", &before, "after a plan");
    let engines = cloud.ct(&["observe", &file]).ok().stdout;
    assert!(engines.contains("not tested yet"), "{engines}");
    cloud.ct(&["up", &file]).ok();
    let calls = lab.script("h1", "cat /opt/calls").ok().stdout;
    assert!(calls.contains(" run --bundle /run/lsx/trial/"), "{calls}");
    lab.script("h1", ": >/opt/calls").ok();
    let engines = cloud.ct(&["observe", &file]).ok().stdout;
    assert!(engines.contains("user namespaces") && !engines.contains("not tested"), "{engines}");
    assert!(!lab.script("h1", "cat /opt/calls").ok().stdout.contains(" run "), "the answer is kept");
    cloud.end(&file);
    lab.script("h1", "rm -f /usr/local/sbin/crun /usr/local/sbin/runc /usr/local/sbin/youki /opt/calls").ok();
}

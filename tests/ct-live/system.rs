//! A whole system: its first process is an init of its own.

use crate::cloud::Cloud;
use lsx_tests::lab::until;
use std::time::{Duration, Instant};

pub(crate) const CASES: &[crate::Case] = &[
    ("a_whole_system_boots_and_halts", a_whole_system_boots_and_halts),
    ("a_program_called_init_is_an_application", a_program_called_init_is_an_application),
    (
        "where_systemd_runs_the_machine_an_instance_is_a_unit",
        where_systemd_runs_the_machine_an_instance_is_a_unit,
    ),
];

fn a_program_called_init_is_an_application(cloud: &Cloud) {
    let text = "
  app: { image: bb, host: h1, networks: [lan], files: { /app/init: { source: init.sh, mode: \"0755\" } }, command: [/app/init] }
  box: { image: bb, host: h1, networks: [lan], system: true, command: [/bin/busybox, sh, -c, \"trap 'echo told; exit 0' USR2; while :; do sleep 0.1; done\"] }";
    cloud.lab.file("init.sh", "#!/bin/sh\ntrap 'echo bye; exit 0' TERM\nwhile :; do sleep 0.1; done\n");
    let file = cloud.stack("named", text);
    cloud.start(&file);
    let mounts = |of: &str| cloud.inside("h1", of, "grep -c ' /tmp tmpfs' /proc/mounts || true").ok().stdout;
    assert_eq!((mounts("named/app"), mounts("named/box")), ("0\n".to_owned(), "1\n".to_owned()));
    let on = |words: &[&str]| cloud.lab.exec("h1", &[&[cloud.tool_on("h1").as_str()], words].concat());
    let begin = Instant::now();
    on(&["stop", "named/app", "named/box"]).ok();
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    let log = |of: &str| on(&["logs", of, "--plain"]).ok().stdout;
    assert!(log("named/app").contains("bye") && log("named/box").contains("told"));
    cloud.end(&file);
}

/// Turns the host into a machine with systemd as first process of new namespaces, without its default units.
const MACHINE: &str = "
    mount --make-rprivate /
    mount -t proc proc /proc
    mount -t tmpfs tmpfs /run
    mkdir -p /run/lock /run/systemd/system
    rm -rf /etc/systemd/system/sockets.target.wants /etc/systemd/system/multi-user.target.wants
    for group in /sys/fs/cgroup/*/; do mkdir -p $group/machine; echo $$ >$group/machine/cgroup.procs 2>/dev/null || :; done
    exec env -i container=lsx PATH=/usr/sbin:/usr/bin:/sbin:/bin unshare --cgroup --mount sh -c '
        umount -l /sys/fs/cgroup/systemd
        mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
        exec /lib/systemd/systemd --unit=basic.target --log-target=null --show-status=no'";

fn where_systemd_runs_the_machine_an_instance_is_a_unit(cloud: &Cloud) {
    // Another stack brings the tools and the image.
    let carrier = cloud.stack("carrier", "  c: { image: bb, host: h1, networks: [lan] }");
    cloud.start(&carrier);
    let (tool, script) = (cloud.tool_on("h1"), |text: &str| cloud.lab.script("h1", text));
    let image = script("jq -r .image.digest /var/lib/lsx/ct/carrier/c/instance.json").ok().stdout;
    let stack = format!(
        "stack: unit\nhosts: {{ h1: {{ address: 198.18.0.11, local: true }} }}\nnetworks: {{ lan: 10.77.0.0/24 }}\n\
         instances:\n  web: {{ image: \"{}\", networks: lan, command: [httpd, -f], ready: {{ tcp: 80 }} }}\n",
        image.trim()
    );
    cloud.lab.exec_with("h1", &["sh", "-c", "cat >/root/unit.yaml"], stack.as_bytes()).ok();
    cloud.lab.exec_with("h1", &["sh", "-c", "cat >/root/machine"], MACHINE.as_bytes()).ok();
    script("setsid unshare --mount --pid --fork --uts --ipc sh -e /root/machine >/dev/null 2>&1 &").ok();
    let within = |text: &str| {
        let enter = format!("nsenter -t $(pgrep -ox systemd) -m -p sh -ec '{text}'");
        cloud.lab.script("h1", &enter)
    };
    let ready = || within("systemctl is-system-running").stdout.starts_with("running");
    assert!(until(20, ready), "systemd does not run");
    let show =
        |what: &str| within(&format!("systemctl show -p {what} --value lsx-unit.web.service")).ok().stdout;
    let net = tool.replace("lsx-ct", "lsx-net");
    within(&format!("{net} up -q /root/unit.yaml >/dev/null; {tool} up -q /root/unit.yaml >/dev/null")).ok();
    assert_eq!((show("Type").trim(), show("ActiveState").trim()), ("notify", "active"));
    let first = show("MainPID");
    within(&format!("kill -KILL {}", first.trim())).ok();
    let again = || show("MainPID") != first && show("ActiveState").trim() == "active";
    assert!(until(20, again), "a killed supervisor is started again");
    let idle = format!("{tool} plan --exit-code /root/unit.yaml >/dev/null");
    assert!(until(30, || within(&idle).code == 0), "and its instance with it");
    within(&format!("{tool} down -q /root/unit.yaml >/dev/null; {net} down -q /root/unit.yaml >/dev/null"))
        .ok();
    assert_eq!(within("systemctl list-units --all --plain --no-legend lsx-unit*").ok().stdout, "");
    script("kill -KILL $(pgrep -ox systemd); rm /root/unit.yaml /root/machine").ok();
    script("sleep 0.3; for group in /sys/fs/cgroup/*/machine; do find $group -depth -type d -exec rmdir {} + || :; done").ok();
    cloud.end(&carrier);
}

fn a_whole_system_boots_and_halts(cloud: &Cloud) {
    let before = cloud.snapshot("h1");
    let text = "\n  box: { image: bb, host: h1, networks: [lan], command: [/sbin/init], ready: { command: [test, -e, /tmp/booted], timeout: 20s } }";
    let file = cloud.stack("whole-system", text);
    cloud.start(&file);
    let read = |script: &str| cloud.inside("h1", "whole-system/box", script).ok().stdout;
    assert!(read("tr '\\0' '\\n' </proc/1/cmdline | head -n 1").ends_with("init\n"));
    assert!(read("ps").contains("sleep 1000"));
    assert_eq!(read("grep -c ' /tmp tmpfs' /proc/mounts"), "1\n");
    assert!(read("tr '\\0' '\\n' </proc/1/environ").contains("container=lsx\n"));
    // It may create groups below its own, in every hierarchy of a hybrid host.
    let group = cloud
        .lab
        .script("h1", &format!("cat /proc/{}/cgroup", cloud.pid("h1", "whole-system/box")))
        .ok()
        .stdout;
    assert!(group.lines().all(|l| l.contains("/lsx/whole-system/box")), "{group}");
    let tool = cloud.tool_on("h1");
    let begin = Instant::now();
    cloud.lab.exec("h1", &[&tool, "stop", "whole-system/box"]).ok();
    assert!(begin.elapsed() < Duration::from_secs(10), "gracefully: {:?}", begin.elapsed());
    cloud.lab.script("h1", "test -e /var/lib/lsx/ct/whole-system/box/upper/srv/halted").ok();
    cloud.lab.exec("h1", &[&tool, "start", "whole-system/box"]).ok();
    assert_eq!(cloud.changed(&file), 0);
    cloud.end(&file);
    cloud.same("h1", &before, "after a whole system");
}

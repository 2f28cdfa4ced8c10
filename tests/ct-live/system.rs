//! A whole system: its first process is an init of its own.

use crate::cloud::Cloud;
use lsx_tests::lab::until;
use lsx_tests::machine::Machine;
use std::time::{Duration, Instant};

pub(crate) const CASES: &[crate::Case] = &[
    ("a_whole_system_boots_and_halts", a_whole_system_boots_and_halts),
    ("a_program_called_init_is_an_application", a_program_called_init_is_an_application),
    (
        "where_systemd_runs_the_machine_an_instance_is_a_unit",
        where_systemd_runs_the_machine_an_instance_is_a_unit,
    ),
    (
        "where_systemd_runs_the_machine_load_balancers_are_a_unit",
        where_systemd_runs_the_machine_load_balancers_are_a_unit,
    ),
    ("the_machine_is_up_while_stacks_still_come_back", the_machine_is_up_while_stacks_still_come_back),
];

fn a_program_called_init_is_an_application(cloud: &Cloud) {
    let text = "
  app: { image: bb, host: h1, networks: [lan], files: { /app/init: { source: init.sh, mode: \"0755\" } }, stop_grace: 200s, command: [/app/init] }
  box: { image: bb, host: h1, networks: [lan], system: true, stop_grace: 200s, command: [/bin/busybox, sh, -c, \"trap 'echo told; exit 0' USR2; while :; do sleep 0.1; done\"] }
  quit: { image: bb, host: h1, networks: [lan], stop_signal: 3, stop_grace: 200s, command: [sh, -c, \"trap 'echo heard; exit 0' QUIT; while :; do sleep 0.1; done\"] }
  deaf: { image: bb, host: h1, networks: [lan], stop_grace: 1s, command: [sh, -c, \"trap '' TERM; while :; do sleep 0.1; done\"] }";
    cloud.lab.file("init.sh", "#!/bin/sh\ntrap 'echo bye; exit 0' TERM\nwhile :; do sleep 0.1; done\n");
    let file = cloud.stack("named", text);
    cloud.start(&file);
    let mounts = |of: &str| cloud.inside("h1", of, "grep -c ' /tmp tmpfs' /proc/mounts || true").ok().stdout;
    assert_eq!((mounts("named/app"), mounts("named/box")), ("0\n".to_owned(), "1\n".to_owned()));
    let on = |words: &[&str]| cloud.lab.exec("h1", &[&[cloud.tool_on("h1").as_str()], words].concat());
    let begin = Instant::now();
    on(&["stop", "named/app", "named/box", "named/quit", "named/deaf"]).ok();
    assert!(begin.elapsed() < Duration::from_secs(200), "{:?}", begin.elapsed());
    let log = |of: &str| on(&["logs", of, "--plain"]).ok().stdout;
    assert!(log("named/app").contains("bye") && log("named/box").contains("told"));
    assert!(log("named/quit").contains("heard"), "the signal of the document: {}", log("named/quit"));
    assert!(log("named/deaf").contains("did not end within 1 s"), "{}", log("named/deaf"));
    cloud.end(&file);
}

/// The machine, with a stack `unit` for it and the tools.
struct Unit<'a> {
    machine: Machine<'a>,
    cloud: &'a Cloud,
    carrier: String,
    net: String,
    ct: String,
}

impl<'a> Unit<'a> {
    fn new(cloud: &'a Cloud) -> Unit<'a> {
        // Another stack has already sent the tools and the image.
        let carrier = cloud.stack("carrier", "  c: { image: bb, host: h1, networks: [lan] }");
        cloud.start(&carrier);
        let ct = cloud.tool_on("h1");
        let image = "jq -r .image.digest /var/lib/lsx/ct/carrier/c/instance.json";
        let image = cloud.lab.script("h1", image).ok().stdout;
        let stack = format!(
            "stack: unit\nhosts: {{ h1: {{ address: 198.18.0.11, local: true }} }}\nnetworks: {{ lan: 10.77.0.0/24 }}\n\
             instances:\n  web: {{ image: \"{}\", networks: lan, command: [httpd, -f], ready: {{ tcp: 80 }} }}\n",
            image.trim()
        );
        cloud.lab.exec_with("h1", &["sh", "-c", "cat >/root/unit.yaml"], stack.as_bytes()).ok();
        Unit {
            machine: Machine::of(&cloud.lab, "h1"),
            cloud,
            carrier,
            net: cloud.copy_on("h1", "lsx-net"),
            ct,
        }
    }

    fn up(&self) {
        let Unit { machine, net, ct, .. } = self;
        machine
            .within(&format!("{net} up -q /root/unit.yaml >/dev/null; {ct} up -q /root/unit.yaml >/dev/null"))
            .ok();
    }

    fn down(&self) {
        let Unit { machine, net, ct, .. } = self;
        machine
            .within(&format!(
                "{ct} down -q /root/unit.yaml >/dev/null; {net} down -q /root/unit.yaml >/dev/null"
            ))
            .ok();
    }

    fn end(self) {
        self.machine.end();
        self.cloud.lab.script("h1", "rm /root/unit.yaml").ok();
        self.cloud.end(&self.carrier);
    }
}

const WEB: &str = "lsx-unit.web.service";

fn where_systemd_runs_the_machine_an_instance_is_a_unit(cloud: &Cloud) {
    let unit = Unit::new(cloud);
    let machine = &unit.machine;
    machine.boot("basic.target", "running");
    unit.up();
    let show = |what: &str| machine.show(WEB, what);
    assert_eq!((show("Type").as_str(), show("ActiveState").as_str()), ("notify", "active"));
    let first = show("MainPID");
    machine.within(&format!("kill -KILL {first}")).ok();
    let again = || show("MainPID") != first && show("ActiveState") == "active";
    assert!(until(60, again), "a killed supervisor is started again");
    let idle = format!("{} plan --exit-code /root/unit.yaml >/dev/null", unit.ct);
    assert!(until(30, || machine.within(&idle).code == 0), "and its instance with it");
    unit.down();
    assert_eq!(machine.within("systemctl list-units --all --plain --no-legend lsx-unit*").ok().stdout, "");
    unit.end();
}

const BALANCE: &str = "lsx-unit.net.balance.service";

fn where_systemd_runs_the_machine_load_balancers_are_a_unit(cloud: &Cloud) {
    let unit = Unit::new(cloud);
    let machine = &unit.machine;
    let more = "sed -i \"s,lan: 10.77.0.0/24,lan: { cidr: 10.77.0.0/24 # gateway: h1 },\" /root/unit.yaml; tr \"#\" , </root/unit.yaml >/root/unit.new; \
                mv /root/unit.new /root/unit.yaml; echo \"balance: { www: { host: h1, listen: 80, to: web, port: 80 } }\" >>/root/unit.yaml";
    cloud.lab.script("h1", more).ok();
    machine.boot("basic.target", "running");
    unit.up();
    let show = |what: &str| machine.show(BALANCE, what);
    // httpd has no page, but answers.
    let answers = || {
        let page = "curl -s --max-time 5 -o /dev/null -w %{http_code} http://198.18.0.11/ || true";
        machine.within(page).ok().stdout == "404"
    };
    assert!(until(60, answers));
    assert_eq!((show("Type").as_str(), show("ActiveState").as_str()), ("notify", "active"));
    let first = show("MainPID");
    machine.within(&format!("kill -KILL {first}")).ok();
    let again = || show("MainPID") != first && show("ActiveState") == "active";
    assert!(until(60, again), "a killed supervisor is started again");
    let idle = format!("{} plan --exit-code /root/unit.yaml >/dev/null", unit.net);
    assert!(until(60, || machine.within(&idle).code == 0), "{}", machine.within(&idle).stderr);
    assert!(until(60, answers), "and HAProxy with it");
    machine.kill();
    machine.boot("multi-user.target", "");
    assert!(until(120, || show("ActiveState") == "active"), "after a reboot");
    assert!(until(120, answers), "and HAProxy answers");
    unit.down();
    assert_eq!(machine.within("systemctl list-units --all --plain --no-legend lsx-unit*").ok().stdout, "");
    machine.within("! pgrep -x haproxy && ! test -e /run/lsx/unit && ! test -e /var/lib/lsx/net").ok();
    unit.end();
}

/// Another boot entry never ends.
fn the_machine_is_up_while_stacks_still_come_back(cloud: &Cloud) {
    let unit = Unit::new(cloud);
    let machine = &unit.machine;
    machine.boot("basic.target", "running");
    unit.up();
    machine.kill();
    let slow =
        "printf '#!/bin/sh\\nexec sleep 3211\\n' >/etc/lsx/boot.d/99-slow; chmod 755 /etc/lsx/boot.d/99-slow";
    cloud.lab.script("h1", slow).ok();
    machine.boot("multi-user.target", "");
    let state = |of: &str| machine.show(of, "ActiveState");
    assert!(until(60, || state("multi-user.target") == "active"), "{}", state("multi-user.target"));
    assert!(until(60, || machine.within("pgrep -fx \"sleep 3211\"").code == 0), "the entries run");
    assert!(until(60, || state(WEB) == "active"), "earlier entries are done");
    assert_eq!(
        (state("lsx-boot.service"), state("multi-user.target")),
        ("activating".to_owned(), "active".to_owned())
    );
    let waits = machine.show("multi-user.target", "After");
    assert!(waits.contains("basic.target") && !waits.contains("lsx-boot"), "{waits}");
    cloud.lab.script("h1", "rm /etc/lsx/boot.d/99-slow").ok();
    machine.within("systemctl stop lsx-boot.service").ok();
    unit.down();
    unit.end();
}

fn a_whole_system_boots_and_halts(cloud: &Cloud) {
    let before = cloud.snapshot("h1");
    let text = "\n  box: { image: bb, host: h1, networks: [lan], command: [/sbin/init], ready: { command: [test, -e, /tmp/booted], timeout: 60s }, stop_grace: 200s }";
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
    assert!(begin.elapsed() < Duration::from_secs(200), "gracefully: {:?}", begin.elapsed());
    cloud.lab.script("h1", "test -e /var/lib/lsx/ct/whole-system/box/upper/srv/halted").ok();
    cloud.lab.exec("h1", &[&tool, "start", "whole-system/box"]).ok();
    assert_eq!(cloud.changed(&file), 0);
    cloud.end(&file);
    cloud.same("h1", &before, "after a whole system");
}

//! What is restarted and what is not: after a power cut, a repair, and a finished job.

use crate::cloud::Cloud;
use lsx_tests::lab::until;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_long_power_cut_leaves_nobody_stopped", a_long_power_cut_leaves_nobody_stopped),
    (
        "a_stack_that_waits_after_a_power_cut_holds_up_no_other",
        a_stack_that_waits_after_a_power_cut_holds_up_no_other,
    ),
    ("an_entry_that_would_bring_nothing_back_is_told", an_entry_that_would_bring_nothing_back_is_told),
    ("a_finished_job_stays_finished", a_finished_job_stays_finished),
    (
        "names_follow_what_may_be_reached_and_restart_nothing",
        names_follow_what_may_be_reached_and_restart_nothing,
    ),
    ("one_in_its_pause_is_tried_at_once", one_in_its_pause_is_tried_at_once),
    ("a_wrong_ready_is_corrected_without_a_restart", a_wrong_ready_is_corrected_without_a_restart),
    ("what_needs_one_that_is_lost_does_not_wait", what_needs_one_that_is_lost_does_not_wait),
];

pub(crate) fn running(cloud: &Cloud, host: &str, of: &str) -> bool {
    cloud.said(host, of)["state"] == "running"
}

/// More instances wait than are started at a time, the host they need is down, and the run that starts them has a very
/// short deadline.
fn a_long_power_cut_leaves_nobody_stopped(cloud: &Cloud) {
    let text = "
  db: { image: bb, host: h2, networks: [lan], ready: { tcp: 80 }, command: [httpd, -f, -p, \"80\"] }
  w: { image: bb, host: h1, count: 11, networks: [lan], needs: [db], command: [sleep, \"1000\"] }
  z: { image: bb, host: h1, networks: [lan], needs: [w], command: [sleep, \"1000\"] }
  free: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }";
    let file = cloud.stack("cut", text);
    cloud.start(&file);
    let entry = "/etc/lsx/boot.d/50-cut-ct";
    cloud.lab.script("h1", &format!("sed -i 's/ up --quiet/ up --deadline 1s --quiet/' {entry}")).ok();
    for host in ["h1", "h2"] {
        cloud.lab.verb(&["kill", host]);
    }
    cloud.lab.verb(&["boot", "h1", "--wait"]);
    let supervisors = "test $(pgrep -fc '[s]upervise cut ') = 13";
    assert!(until(60, || cloud.lab.script("h1", supervisors).code == 0), "not everybody has a supervisor");
    assert!(until(30, || running(cloud, "h1", "cut/free")), "what needs nobody runs");
    for name in ["w-1", "w-11", "z"] {
        let said = || cloud.said("h1", &format!("cut/{name}"));
        assert!(until(30, || said()["state"] == "waiting"), "{name}: {}", said());
    }
    let log = cloud.lab.script("h1", "cat /var/log/lsx-boot.log").ok().stdout;
    assert!(!log.contains("within") && !log.contains("undo") && !log.contains("is needed again"), "{log}");
    cloud.lab.verb(&["boot", "h2", "--wait"]);
    let all = (1..=11).map(|n| format!("cut/w-{n}")).chain(["cut/z".to_owned()]).collect::<Vec<_>>();
    assert!(until(60, || all.iter().all(|of| running(cloud, "h1", of))), "{all:?}");
    cloud.lab.script("h1", &format!("sed -i 's/ --deadline 1s//' {entry}")).ok();
    assert_eq!(cloud.changed(&file), 0, "nobody had to do anything");
    cloud.end(&file);
}

/// Its boot entry runs before those of the others.
fn a_stack_that_waits_after_a_power_cut_holds_up_no_other(cloud: &Cloud) {
    let waits = "
  db: { image: bb, host: h2, networks: [lan], ready: { tcp: 80 }, command: [httpd, -f, -p, \"80\"] }
  web: { image: bb, host: h1, networks: [lan], needs: [db], command: [sleep, \"1000\"] }";
    let (first, second) = (
        cloud.stack("aaa", waits),
        cloud.stack("zzz", "\n  one: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }"),
    );
    [&first, &second].into_iter().for_each(|file| _ = cloud.start(file));
    for host in ["h1", "h2"] {
        cloud.lab.verb(&["kill", host]);
    }
    // All entries have run, while the other host is away.
    cloud.lab.verb(&["boot", "h1", "--wait"]);
    assert!(until(60, || running(cloud, "h1", "zzz/one")));
    assert!(until(30, || cloud.said("h1", "aaa/web")["state"] == "waiting"));
    cloud.lab.verb(&["boot", "h2", "--wait"]);
    assert!(until(60, || running(cloud, "h1", "aaa/web")));
    for file in [&first, &second] {
        assert_eq!(cloud.changed(file), 0);
        cloud.end(file);
    }
}

fn an_entry_that_would_bring_nothing_back_is_told(cloud: &Cloud) {
    let file =
        cloud.stack("entry", "\n  one: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }");
    cloud.start(&file);
    let (pid, entry) = (cloud.pid("h1", "entry/one"), "/etc/lsx/boot.d/50-entry-ct");
    for wrong in [
        "sed -i 's,^exec [^ ]*,exec /var/lib/lsx/bin/gone/lsx-ct,'",
        "sed -i 's,^exec [^ ]*,exec /etc/hostname,'",
        "printf '\\377' >",
    ] {
        cloud.lab.script("h1", &format!("{wrong} {entry}")).ok();
        cloud.ct(&["check", &file]).exits(2);
        assert_eq!(
            cloud.steps(&file, &[]).into_iter().map(|step| step.0).collect::<Vec<_>>(),
            ["boot.change:host"],
            "{wrong}"
        );
        assert_eq!(cloud.changed(&file), 1, "{wrong}");
        let program =
            cloud.lab.script("h1", &format!("sed -n 's/^exec \\([^ ]*\\).*/\\1/p' {entry}")).ok().stdout;
        cloud.lab.exec("h1", &[program.trim(), "--version"]).ok();
        cloud.ct(&["check", &file]).ok();
    }
    assert_eq!(cloud.pid("h1", "entry/one"), pid);
    cloud.end(&file);
}

fn a_finished_job_stays_finished(cloud: &Cloud) {
    let job = |line: &str| {
        format!(
            "
  job: {{ image: bb, host: h1, networks: [lan], restart: no, volumes: {{ data: /data }}, command: [sh, -c, \"echo {line} >>/data/runs\"] }}
  side: {{ image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }}"
        )
    };
    let runs = || cloud.lab.script("h1", "cat /var/lib/lsx/volumes/job/data/runs").ok().stdout;
    let file = cloud.stack("job", &job("one"));
    cloud.start(&file);
    assert!(until(30, || cloud.said("h1", "job/job")["state"] == "exited"));
    let side = cloud.pid("h1", "job/side");
    // An instance joins its network, so its hosts file changes.
    let more = "\n  late: { image: bb, host: h2, networks: [lan], command: [sleep, \"1000\"] }";
    let file = cloud.stack("job", &(job("one") + more));
    cloud.start(&file);
    assert_eq!(runs(), "one\n");
    assert_eq!(cloud.pid("h1", "job/side"), side, "nobody is started anew by a hosts file");
    let late = cloud.seen(&file, "late")["addresses"][0].as_str().unwrap().to_owned();
    let hosts = cloud.inside("h1", "job/side", "cat /etc/hosts").ok().stdout;
    assert!(hosts.contains(&format!("{late}\tlate.lan.internal late\n")), "{hosts}");
    assert_eq!(cloud.changed(&file), 0);
    // Nor by a power cut.
    cloud.lab.verb(&["kill", "h1"]);
    cloud.lab.verb(&["boot", "h1", "--wait"]);
    assert!(until(30, || running(cloud, "h1", "job/side")));
    assert_eq!(runs(), "one\n");
    assert_eq!(cloud.changed(&file), 0);
    assert_eq!(cloud.seen(&file, "job")["state"], "exited");
    assert_eq!(runs(), "one\n");
    // But by a change of its own definition, and by `start`.
    let file = cloud.stack("job", &(job("two") + more));
    assert!(cloud.changed(&file) > 0);
    assert!(until(30, || runs() == "one\ntwo\n"), "{}", runs());
    cloud.ct(&["start", "job", "--stack", &file]).ok();
    assert!(until(30, || runs() == "one\ntwo\ntwo\n"), "{}", runs());
    assert!(until(30, || cloud.said("h1", "job/job")["state"] == "exited"));
    cloud.end(&file);
}

fn names_follow_what_may_be_reached_and_restart_nothing(cloud: &Cloud) {
    let rest = |allow: &str| {
        format!(
            "  back: {{ cidr: 10.9.0.0/24, gateway: h1 }}\n  far: {{ cidr: 10.8.0.0/24, gateway: h1 }}\n{allow}instances:
  web: {{ image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }}
  db: {{ image: bb, host: h1, networks: [back], ready: {{ tcp: 80 }}, command: [httpd, -f, -p, \"80\"] }}
  other: {{ image: bb, host: h1, networks: [far], command: [sleep, \"1000\"] }}"
        )
    };
    let document = |allow: &str| {
        // The head ends with the images; networks go before them.
        let text = cloud.document("names", "");
        let text = std::fs::read_to_string(&text).unwrap();
        let (networks, instances) =
            rest(allow).split_once("instances:").map(|(n, i)| (n.to_owned(), i.to_owned())).unwrap();
        let (networks, allow) = networks
            .split_once("allow:")
            .map_or((networks.clone(), String::new()), |(n, a)| (n.to_owned(), format!("allow:{a}")));
        let text = text.replace("images:\n", &format!("{networks}{allow}images:\n"));
        cloud.lab.file("names.yaml", &format!("{text}instances:{instances}\n"))
    };
    let file = document("");
    cloud.start(&file);
    let pid = cloud.pid("h1", "names/web");
    let hosts = || cloud.inside("h1", "names/web", "cat /etc/hosts").ok().stdout;
    assert!(!hosts().contains("db"), "{}", hosts());
    let file = document("allow:\n  - { from: lan, to: instance/db, ports: [80/tcp] }\n");
    cloud.start(&file);
    assert_eq!(cloud.pid("h1", "names/web"), pid, "written in place");
    let text = hosts();
    assert!(text.contains("\tdb.back.internal db\n") && !text.contains("other"), "{text}");
    cloud.inside("h1", "names/web", "wget -q -O /dev/null http://db/ || wget -q -O - http://db/ 2>&1 | grep -q 404 || nc -w 2 db 80 </dev/null").ok();
    cloud.end(&file);
}

fn one_in_its_pause_is_tried_at_once(cloud: &Cloud) {
    let text = "
  it: { image: bb, host: h1, networks: [lan], restart: always, volumes: { data: /data }, command: [sh, -c, \"test -e /data/ok || exit 3; exec sleep 1000\"] }";
    let file = cloud.stack("pause", text);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    cloud.ct(&["up", &file]).exits(1).says("ended with 3");
    let restarts = || cloud.said("h1", "pause/it")["restarts"].as_u64().unwrap_or(0);
    assert!(until(120, || restarts() >= 7), "{}", restarts());
    cloud.lab.script("h1", "touch /var/lib/lsx/volumes/pause/data/ok").ok();
    cloud.ct(&["up", &file]).ok();
    let before = restarts();
    // A network that was removed and created again.
    cloud.lab.script("h1", "ip link del dev lsx:pause:lan:bridge").ok();
    let pid = cloud.pid("h1", "pause/it");
    cloud.lab.script("h1", &format!("kill -9 {pid}")).ok();
    assert!(until(240, || restarts() >= before + 2), "{}", cloud.said("h1", "pause/it"));
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    cloud.ct(&["up", &file]).ok();
    assert_eq!(cloud.said("h1", "pause/it")["state"], "running");
    cloud.end(&file);
}

fn a_wrong_ready_is_corrected_without_a_restart(cloud: &Cloud) {
    let text = |port: u16, time: &str| {
        format!(
            "
  db: {{ image: bb, host: h1, networks: [lan], ready: {{ tcp: {port}, timeout: {time} }}, command: [httpd, -f, -p, \"80\"] }}
  near: {{ image: bb, host: h1, networks: [lan], needs: [db], command: [sleep, \"1000\"] }}
  away: {{ image: bb, host: h2, networks: [lan], needs: [db], command: [sleep, \"1000\"] }}"
        )
    };
    let file = cloud.stack("wrong", &text(81, "2s"));
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    cloud.ct(&["up", &file]).exits(1).says(":81");
    let pids = || ["db"].map(|name| cloud.pid("h1", &format!("wrong/{name}")));
    let before = pids();
    // If h2 had not begun with it when the run failed, it is started by the next one.
    let away = cloud.said("h2", "wrong/away")["pid"].as_u64();
    let file = cloud.stack("wrong", &text(80, "60s"));
    cloud.ct(&["up", &file]).ok();
    assert_eq!(pids(), before, "nothing is started anew");
    assert!(away.is_none_or(|away| away == cloud.pid("h2", "wrong/away")));
    for (host, name) in [("h1", "db"), ("h1", "near"), ("h2", "away")] {
        assert!(running(cloud, host, &format!("wrong/{name}")), "{name}");
    }
    // A running one that does not answer must not be reported as ready.
    let file = cloud.stack("wrong", &text(82, "2s"));
    cloud.ct(&["up", &file]).exits(1).says("db is not ready").says(":82");
    let file = cloud.stack("wrong", &text(80, "60s"));
    cloud.ct(&["up", &file]).ok();
    assert_eq!(pids(), before);
    cloud.end(&file);
}

fn what_needs_one_that_is_lost_does_not_wait(cloud: &Cloud) {
    let text = "
  db: { image: bb, host: h1, networks: [lan], restart: no, ready: { tcp: 80, timeout: 300s }, command: [sh, -c, \"sleep 1; exit 9\"] }
  web: { image: bb, host: h1, networks: [lan], needs: [db], command: [sleep, \"1000\"] }";
    let file = cloud.stack("lost", text);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    cloud.ct(&["up", &file]).exits(1).says("db is not ready: it is exited").says("ended with 9");
    let begin = std::time::Instant::now();
    cloud.ct(&["start", "web", "--stack", &file]);
    let ran = cloud.ct(&["up", &file, "--only", "instances.web"]).exits(1);
    assert!(ran.stderr.contains("db has ended with 9"), "{}", ran.stderr);
    assert!(begin.elapsed().as_secs() < 200, "{:?}", begin.elapsed());
    cloud.end(&file);
}

//! Instances that misbehave, and hosts that run out of resources.

use crate::cloud::Cloud;
use lsx_tests::lab::until;
use std::time::{Duration, Instant};

/// What `stop` allows when nobody says more: longer than any machine takes.
const GRACE: Duration = Duration::from_secs(200);

pub(crate) const CASES: &[crate::Case] = &[
    (
        "one_that_ignores_the_signal_is_killed_after_its_grace",
        one_that_ignores_the_signal_is_killed_after_its_grace,
    ),
    ("stop_start_restart_and_wait", stop_start_restart_and_wait),
    ("restarts_come_with_growing_pauses", restarts_come_with_growing_pauses),
    ("too_many_processes_are_kept_inside", too_many_processes_are_kept_inside),
    ("one_that_is_out_of_memory_says_so", one_that_is_out_of_memory_says_so),
    ("a_log_has_an_end", a_log_has_an_end),
    ("a_full_disk_loses_lines_and_nothing_else", a_full_disk_loses_lines_and_nothing_else),
    ("what_outlives_its_parent_keeps_nothing", what_outlives_its_parent_keeps_nothing),
    ("a_flood_of_lines_takes_from_its_own_processors", a_flood_of_lines_takes_from_its_own_processors),
    ("what_it_shall_run_may_be_missing", what_it_shall_run_may_be_missing),
    ("recipes_are_in_the_log_and_end_with_their_time", recipes_are_in_the_log_and_end_with_their_time),
];

/// One instance with a command, up; its process.
fn one(cloud: &Cloud, name: &str, fields: &str, command: &str) -> String {
    let text = format!(
        "\n  it: {{ image: bb, host: h1, networks: [lan], {fields} command: [sh, -c, \"{command}\"] }}"
    );
    let file = cloud.stack(name, &text);
    cloud.start(&file);
    file
}

fn on(cloud: &Cloud, words: &[&str]) -> lsx_tests::lab::Ran {
    cloud.lab.exec("h1", &[&[cloud.tool_on("h1").as_str()], words].concat())
}

fn one_that_ignores_the_signal_is_killed_after_its_grace(cloud: &Cloud) {
    let before = cloud.snapshot("h1");
    let file = one(cloud, "deaf", "stop_grace: 200s,", "trap '' TERM; while :; do sleep 1; done");
    let begin = Instant::now();
    on(cloud, &["stop", "deaf/it", "--grace", "1s"]).ok();
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(1) && took < GRACE, "{took:?}");
    assert_eq!(cloud.said("h1", "deaf/it")["state"], "stopped");
    assert!(
        cloud.runtime("h1").is_empty() && on(cloud, &["logs", "deaf/it"]).ok().stdout.contains("is killed")
    );
    cloud.lab.script("h1", "! pgrep -f '[t]rap.*TERM'").ok();
    cloud.end(&file);
    cloud.same("h1", &before, "after a deaf one");
    // One that handles the signal stops at once, whatever the grace.
    let file =
        one(cloud, "good", "stop_grace: 200s,", "trap 'echo bye; exit 0' TERM; while :; do sleep 0.1; done");
    let begin = Instant::now();
    on(cloud, &["stop", "good/it"]).ok();
    assert!(begin.elapsed() < GRACE, "{:?}", begin.elapsed());
    assert!(on(cloud, &["logs", "good/it", "--plain"]).ok().stdout.contains("bye\n"));
    cloud.end(&file);
    cloud.same("h1", &before, "after a good one");
}

fn stop_start_restart_and_wait(cloud: &Cloud) {
    let file = one(cloud, "verbs", "ready: { tcp: 80 },", "echo begun; exec httpd -f -p 80");
    on(cloud, &["wait", "verbs/it", "--timeout", "60s"]).ok();
    let first = cloud.pid("h1", "verbs/it");
    for _ in 0..3 {
        on(cloud, &["stop", "verbs/it"]).ok();
        on(cloud, &["stop", "verbs/it"]).ok();
        assert!(cloud.runtime("h1").is_empty());
        on(cloud, &["wait", "verbs/it", "--timeout", "200ms"]).exits(1).says("stopped");
        on(cloud, &["start", "verbs/it"]).ok();
        on(cloud, &["start", "verbs/it"]).ok();
        assert_eq!(cloud.said("h1", "verbs/it")["state"], "running");
    }
    let second = cloud.pid("h1", "verbs/it");
    on(cloud, &["restart", "verbs/it"]).ok();
    let third = cloud.pid("h1", "verbs/it");
    assert!(first != second && second != third);
    let log = on(cloud, &["logs", "verbs/it"]).ok();
    assert_eq!(log.lines().iter().filter(|l| l["line"] == "begun").count(), 5, "{}", log.stdout);
    assert!(log.lines().iter().all(|l| l["at"].is_string() && l["stream"].is_string()));
    // Two at once.
    let both = || on(cloud, &["restart", "verbs/it"]).code;
    std::thread::scope(|scope| {
        let other = scope.spawn(both);
        both();
        other.join().unwrap();
    });
    cloud.ct(&["up", &file]).ok();
    assert_eq!(cloud.runtime("h1").len(), 1);
    // A process that is just ending or starting may be gone in a moment.
    let alone = || cloud.lab.script("h1", "test $(pgrep -fc '[s]upervise verbs it') = 1").code == 0;
    assert!(until(30, alone), "more than one supervisor");
    cloud.end(&file);
}

fn restarts_come_with_growing_pauses(cloud: &Cloud) {
    let file = one(
        cloud,
        "again",
        "restart: on-failure, ready: { command: [test, -e, /srv/go], interval: 1s },",
        "echo x >>/srv/lives; test $(wc -l </srv/lives) -gt 2 && touch /srv/go && exec sleep 1000; exit 4",
    );
    let said = cloud.said("h1", "again/it");
    assert_eq!(
        (&said["restarts"], &said["exit"]["code"], &said["state"]),
        (&2.into(), &4.into(), &"running".into())
    );
    // The first process is killed from outside: that is a failure, too.
    let pid = cloud.pid("h1", "again/it");
    cloud.lab.script("h1", &format!("kill -9 {pid}")).ok();
    assert!(until(30, || cloud.said("h1", "again/it")["restarts"] == 3
        && cloud.said("h1", "again/it")["state"] == "running"));
    assert_eq!(cloud.said("h1", "again/it")["exit"]["code"], 137);
    assert_eq!(cloud.inside("h1", "again/it", "ls /sys/class/net").ok().stdout, "eth0\nlo\n");
    assert_eq!(cloud.changed(&file), 0);
    cloud.end(&file);
    let file = one(cloud, "done", "restart: on-failure,", "sleep 0.2; exit 0");
    assert!(until(30, || cloud.said("h1", "done/it")["state"] == "exited"));
    assert_eq!(cloud.changed(&file), 0, "it has ended as it may");
    cloud.end(&file);
}

fn too_many_processes_are_kept_inside(cloud: &Cloud) {
    let file = one(
        cloud,
        "bomb",
        "limits: { processes: 20, memory: 64M },",
        "sh -c 'while :; do sleep 1000 & done'; exec sleep 1000",
    );
    assert!(until(30, || cloud.seen(&file, "it")["processes"].as_u64() >= Some(15)));
    let most = cloud.seen(&file, "it")["processes"].as_u64().unwrap();
    assert!(most <= 20, "{most}");
    on(cloud, &["stop", "bomb/it", "--grace", "500ms"]).ok();
    assert!(cloud.runtime("h1").is_empty());
    cloud.lab.script("h1", "! pgrep -fx 'sleep 1000'").ok();
    cloud.end(&file);
}

fn one_that_is_out_of_memory_says_so(cloud: &Cloud) {
    let text = "\n  it: { image: bb, host: h1, networks: [lan], restart: no, limits: { memory: 24M }, command: [sh, -c, \"until test -e /go; do sleep 0.1; done; rm /go; exec tail /dev/zero\"] }";
    let file = cloud.stack("hungry", text);
    cloud.start(&file);
    cloud.inside("h1", "hungry/it", "touch /go").ok();
    assert!(
        until(60, || cloud.said("h1", "hungry/it")["state"] == "exited"),
        "{}",
        cloud.said("h1", "hungry/it")
    );
    let said = cloud.said("h1", "hungry/it");
    assert_eq!((&said["exit"]["oom"], &said["exit"]["code"]), (&true.into(), &137.into()), "{said}");
    cloud.ct(&["up", &file]).ok();
    cloud.end(&file);
}

fn a_log_has_an_end(cloud: &Cloud) {
    let file = one(
        cloud,
        "loud",
        "",
        "echo first; yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -n 340000; echo last; exec sleep 1000",
    );
    assert!(until(120, || on(cloud, &["logs", "loud/it", "-n", "1", "--plain"]).stdout == "last\n"));
    let sizes =
        cloud.lab.script("h1", "cd /var/lib/lsx/ct/loud/it; stat -c %s log*; ls log* | wc -l").ok().stdout;
    let sizes: Vec<u64> = sizes.lines().map(|l| l.parse().unwrap()).collect();
    assert!(sizes.iter().sum::<u64>() < 33_000_000 && sizes.last() == Some(&3), "{sizes:?}");
    let lines = on(cloud, &["logs", "loud/it", "-n", "5"]).ok().lines();
    assert!(lines.len() == 5 && lines.iter().all(|l| l["stream"] == "stdout"), "{lines:?}");
    cloud.end(&file);
}

fn a_full_disk_loses_lines_and_nothing_else(cloud: &Cloud) {
    one(
        cloud,
        "full",
        "",
        "i=0; while :; do i=$((i+1)); echo line $i 0123456789012345678901234567890123456789012345678901234567890123456789; sleep 0.02; done",
    );
    cloud.lab.script("h1", "for f in filler more; do dd if=/dev/zero of=/var/lib/lsx/$f bs=1M 2>/dev/null || true; done; dd if=/dev/zero of=/var/lib/lsx/more bs=1k oflag=append conv=notrunc 2>/dev/null || true").ok();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(cloud.said("h1", "full/it")["state"], "running", "a full disk ends nobody");
    let more = "\n  it: { image: bb, host: h1, networks: [lan], command: [sh, -c, \"i=0; while :; do i=$((i+1)); echo line $i 0123456789012345678901234567890123456789012345678901234567890123456789; sleep 0.02; done\"] }
  late: { image: other, host: h1, networks: [lan], command: [sleep, \"1000\"] }";
    let file = cloud.stack("full", more);
    cloud.lab.net(&["up", "--quiet", &file]);
    let ran = cloud.ct(&["up", &file]);
    assert!(
        ran.code != 0 && ran.stdout.is_empty() && ran.stderr.to_lowercase().contains("space"),
        "{} {}",
        ran.code,
        ran.stderr
    );
    cloud.lab.script("h1", "rm /var/lib/lsx/filler /var/lib/lsx/more").ok();
    assert!(until(30, || on(cloud, &["logs", "full/it"]).stdout.contains("lines were lost")));
    cloud.start(&file);
    assert_eq!(cloud.said("h1", "full/late")["state"], "running");
    cloud.end(&file);
}

fn what_outlives_its_parent_keeps_nothing(cloud: &Cloud) {
    let before = cloud.snapshot("h1");
    let file = one(cloud, "orphan", "restart: no,", "sleep 3210 & exit 0");
    assert!(until(30, || cloud.said("h1", "orphan/it")["state"] == "exited"));
    let alone = "! pgrep -fx 'sleep 3210' && ! pgrep -f '[s]upervise orphan'";
    assert!(until(30, || cloud.lab.script("h1", alone).code == 0), "something is left running");
    assert_eq!(cloud.changed(&file), 0);
    // Its supervisor takes a while to exit: another process stands for it.
    let lingers = "setsid sleep 3211 >/dev/null 2>&1 </dev/null & p=$!
        for root in /sys/fs/cgroup /sys/fs/cgroup/*/; do
            test -e $root/cgroup.procs && mkdir -p $root/lsx/orphan/it.own && echo $p >$root/lsx/orphan/it.own/cgroup.procs || true
        done 2>/dev/null
        state=/run/lsx/ct/orphan/it/state.json; jq -c \".supervisor = $p\" $state >/tmp/state; cp /tmp/state $state; rm /tmp/state";
    cloud.lab.script("h1", lingers).ok();
    assert_eq!(cloud.changed(&file), 0, "it has ended all the same");
    cloud.end(&file);
    cloud.same("h1", &before, "after an orphan");
}

/// Ticks of a processor that a process has had, by /proc; a tick is 10 ms.
fn ticks(cloud: &Cloud, pid: &str) -> u64 {
    let stat = cloud.lab.script("h1", &format!("cut -d' ' -f14,15 /proc/{pid}/stat")).ok().stdout;
    stat.split_whitespace().map(|n| n.parse::<u64>().unwrap()).sum()
}

fn a_flood_of_lines_takes_from_its_own_processors(cloud: &Cloud) {
    let file =
        one(cloud, "flood", "limits: { cpus: 0.2, memory: 64M },", "exec yes a line that nobody needs");
    let supervisor = cloud.said("h1", "flood/it")["supervisor"].to_string();
    let groups = cloud.lab.script("h1", &format!("cat /proc/{supervisor}/cgroup")).ok().stdout;
    let own =
        |controller: &str| groups.lines().any(|l| l.contains(controller) && l.ends_with("/lsx/flood/it/own"));
    assert!(own("cpu") && own("memory"), "{groups}");
    let (begin, before) = (Instant::now(), ticks(cloud, &supervisor));
    std::thread::sleep(Duration::from_secs(5));
    let used = ticks(cloud, &supervisor) - before;
    let share = used as f64 / 100.0 / begin.elapsed().as_secs_f64();
    assert!(share < 0.3, "the supervisor had {share} of a processor beside cpus: 0.2");
    on(cloud, &["stop", "flood/it", "--timeout", "1s"]).ok();
    on(cloud, &["start", "flood/it"]).ok();
    cloud.end(&file);
    cloud.lab.script("h1", "! find /sys/fs/cgroup -path '*lsx/flood*' | grep .").ok();
}

fn what_it_shall_run_may_be_missing(cloud: &Cloud) {
    let text = "
  none: { image: bb, host: h1, networks: [lan], restart: no, command: [/no/such, x] }
  bare: { image: bb, host: h1, networks: [lan], restart: no, command: [nosuch] }
  barred: { image: bb, host: h1, networks: [lan], restart: no, command: [/etc/passwd] }
  there: { image: bb, host: h1, networks: [lan], command: [sleep], args: [\"1000\"] }";
    let file = cloud.stack("missing", text);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    let ran = cloud.ct(&["up", &file]).exits(1).says("ended with 12");
    assert!(!ran.stderr.contains("on this host"), "{}", ran.stderr);
    for (name, code, words) in [
        ("none", 127, "/no/such is not in the image"),
        ("bare", 127, "nosuch is not in the image"),
        ("barred", 126, "/etc/passwd is in the image but cannot be run"),
    ] {
        let of = format!("missing/{name}");
        assert!(until(30, || cloud.said("h1", &of)["exit"]["code"] == code), "{}", cloud.said("h1", &of));
        let log = on(cloud, &["logs", &of, "--plain"]).ok().stdout;
        assert!(log.contains(words) && !log.contains("install"), "{log}");
    }
    for (program, code) in [("/no/such", 127), ("nosuch", 127), ("/etc/passwd", 126)] {
        let ran = on(cloud, &["exec", "--on", "missing/there", "--", program]).exits(1);
        assert_eq!(ran.json()["code"], code, "{}", ran.stdout);
    }
    cloud.end(&file);
}

fn recipes_are_in_the_log_and_end_with_their_time(cloud: &Cloud) {
    std::fs::create_dir_all(cloud.lab.folder.path().join("recipes")).unwrap();
    cloud.lab.file("recipes/tells", "echo it was told; echo and this >&2\n");
    cloud.lab.file("recipes/hangs", "echo begun; sleep 4321\n");
    let text = |more: &str, time: &str| {
        format!(
            "\n  it: {{ image: bb, host: h1, networks: [lan], recipes: [tells{more}], ready: {{ command: [\"true\"], timeout: {time} }}, command: [sleep, \"1000\"] }}"
        )
    };
    let file = cloud.stack("told", &text("", "60s"));
    cloud.start(&file);
    let log = || on(cloud, &["logs", "told/it", "--plain"]).ok().stdout;
    assert!(
        log().contains("recipe tells: it was told\n") && log().contains("recipe tells: and this\n"),
        "{}",
        log()
    );
    let file = cloud.stack("told", &text(", hangs", "3s"));
    cloud.ct(&["up", &file]).exits(1);
    assert!(until(30, || log().contains("recipe hangs: begun")), "{}", log());
    on(cloud, &["stop", "told/it"]).ok();
    cloud.lab.script("h1", "! pgrep -fx 'sleep 4321'").ok();
    cloud.end(&file);
}

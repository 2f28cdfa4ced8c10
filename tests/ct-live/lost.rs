//! Records of lsx that are lost or damaged while everything runs, and what outlives an instance: lsx observes, and reports and
//! repairs the actual state.

use crate::cloud::Cloud;
use lsx_tests::lab::until;

pub(crate) const CASES: &[crate::Case] = &[
    ("what_runs_is_seen_without_its_notes", what_runs_is_seen_without_its_notes),
    ("all_that_is_kept_in_run_may_go", all_that_is_kept_in_run_may_go),
    ("what_lies_at_the_place_of_a_lock_is_told", what_lies_at_the_place_of_a_lock_is_told),
    ("damaged_files_are_repaired_or_told", damaged_files_are_repaired_or_told),
    ("who_is_in_its_network_namespace_holds_up_nothing", who_is_in_its_network_namespace_holds_up_nothing),
];

const INSTANCES: &str = "
  it: { image: bb, host: h1, networks: [lan], volumes: { data: /data }, command: [sh, -c, \"sleep 1001 & exec sleep 1002\"] }
  side: { image: bb, host: h1, networks: [lan], command: [sleep, \"1003\"] }";

/// Processes and groups of the instances, by the kernel alone.
fn runs(cloud: &Cloud) -> String {
    let script = "ps -eo args= | grep -E '^sleep 100[123]$|[l]sx-ct supervise lost' | sed 's/.*lsx-c[t]/lsx-ct/' | sort; find /sys/fs/cgroup -path '*/lsx/lost/*' -type d | grep -c . || true";
    cloud.lab.script("h1", script).ok().stdout
}

/// The same, as soon as the programs have started each other; `up` waits for the first one alone.
#[track_caller]
fn begun(cloud: &Cloud) -> String {
    const ALL: &str =
        "lsx-ct supervise lost it\nlsx-ct supervise lost side\nsleep 1001\nsleep 1002\nsleep 1003\n";
    let mut seen = String::new();
    assert!(
        until(60, || {
            seen = runs(cloud);
            seen.starts_with(ALL)
        }),
        "{seen}"
    );
    seen
}

fn what_runs_is_seen_without_its_notes(cloud: &Cloud) {
    let lab = &cloud.lab;
    let file = cloud.stack("lost", INSTANCES);
    lab.net(&["up", "--quiet", &file]).ok();
    let before = cloud.snapshot("h1");
    cloud.ct(&["up", &file]).ok();
    let whole = begun(cloud);
    lab.script("h1", "rm -rf /run/lsx/ct /run/lsx/runtime /run/lsx/runtime.json").ok();
    let seen = cloud.seen(&file, "it");
    assert_eq!(seen["state"], "stopped", "{seen}");
    assert!(seen["why"].as_str().unwrap().contains("without its supervisor or its records"), "{seen}");
    cloud.ct(&["check", &file]).exits(2);
    cloud.ct(&["up", &file]).ok();
    assert_eq!(begun(cloud), whole, "each once");
    assert_eq!(cloud.changed(&file), 0);
    // Down, without notes in /run; then without what is on disk, too.
    lab.script("h1", "rm -rf /run/lsx/ct /run/lsx/runtime /run/lsx/runtime.json").ok();
    cloud.ct(&["down", &file, "--destroy-data", "lost"]).ok();
    cloud.same("h1", &before, "down without notes");
    cloud.ct(&["up", &file]).ok();
    lab.script("h1", "rm -rf /run/lsx/ct /run/lsx/runtime /run/lsx/runtime.json /var/lib/lsx/ct/lost/it")
        .ok();
    let plan = cloud.steps(&file, &[]);
    assert!(plan.iter().any(|(id, _)| id == "remnant.remove:it"), "{plan:?}");
    cloud.ct(&["down", &file, "--destroy-data", "lost"]).ok();
    cloud.same("h1", &before, "down without notes and folders");
    lab.net(&["down", "--quiet", &file]).ok();
}

/// Networks and instances work without it; each tool reports and repairs it; `down` also removes objects without records.
fn all_that_is_kept_in_run_may_go(cloud: &Cloud) {
    let lab = &cloud.lab;
    let routing = "cat /proc/sys/net/ipv4/ip_forward; ip -4 route";
    let (bare, forward) = (cloud.snapshot("h1"), lab.script("h1", routing).ok().stdout);
    let file = cloud.stack("lost", INSTANCES);
    cloud.start(&file);
    let whole = begun(cloud);
    let reached = || cloud.inside("h1", "lost/side", "ping -c 1 -W 30 it.lan.internal").code == 0;
    assert!(reached());
    for again in [true, false] {
        lab.script("h1", "test -d /run/lsx && rm -rf /run/lsx").ok();
        assert_eq!(runs(cloud), whole, "everything keeps running");
        for name in ["it", "side"] {
            let seen = cloud.seen(&file, name);
            assert!(
                seen["why"].as_str().unwrap().contains("without its supervisor or its records"),
                "{seen}"
            );
        }
        if again {
            lab.net(&["check", &file]).exits(2);
            cloud.ct(&["check", &file]).exits(2);
            cloud.start(&file);
            lab.net(&["check", &file]).ok();
            cloud.ct(&["check", &file]).ok();
            assert_eq!((begun(cloud), cloud.changed(&file)), (whole.clone(), 0), "each once");
            assert!(reached());
        }
    }
    cloud.end(&file);
    cloud.same_but("h1", &bare, "down without anything in /run", "/var/lib/lsx/images");
    assert_eq!(lab.script("h1", routing).ok().stdout, forward);
}

/// None of it is waited for, followed or removed; after its removal, everything works as before.
fn what_lies_at_the_place_of_a_lock_is_told(cloud: &Cloud) {
    let lab = &cloud.lab;
    let file = cloud.stack("lost", INSTANCES);
    cloud.start(&file);
    lab.script("h1", "echo theirs >/root/theirs").ok();
    for make in ["mkdir", "mkfifo", "ln -s /root/theirs"] {
        let (own, one) = ("/run/lsx/lost.ct.lock", "/run/lsx/ct/lost/side.ct.lock");
        lab.script("h1", &format!("{make} {own}")).ok();
        for verb in ["up", "down"] {
            cloud.ct(&[verb, &file]).exits(1).says(&format!("rm -r {own}"));
        }
        lab.script("h1", &format!("rm -r {own}; rm {one}; {make} {one}")).ok();
        // The instance whose lock was replaced counts as lost and is restarted, which needs the path.
        cloud.ct(&["observe", &file]).ok();
        cloud.ct(&["check", &file]).exits(2);
        cloud.ct(&["up", &file]).exits(1).says(&format!("rm -r {one}"));
        lab.script("h1", &format!("rm -r {one}")).ok();
        cloud.ct(&["up", &file]).ok();
        assert_eq!(cloud.changed(&file), 0, "{make}");
        lab.script("h1", &format!("rm -f {own}; head -c 1000 /dev/urandom >{own}")).ok();
        assert_eq!(cloud.changed(&file), 0, "a file is a lock, whatever is in it");
    }
    assert_eq!(lab.script("h1", "cat /root/theirs; rm /root/theirs").ok().stdout, "theirs\n");
    cloud.end(&file);
}

fn damaged_files_are_repaired_or_told(cloud: &Cloud) {
    let lab = &cloud.lab;
    std::fs::create_dir_all(lab.folder.path().join("recipes")).unwrap();
    lab.file("recipes/once.sh", "echo again >>/srv/once\n");
    let text = "\n  it: { image: bb, host: h1, networks: [lan], recipes: [once.sh] }";
    let file = cloud.stack("damage", text);
    cloud.start(&file);
    cloud.inside("h1", "damage/it", "echo mine >/srv/mine").ok();
    let pid = cloud.pid("h1", "damage/it");
    let ids = lab.script("h1", "cat /var/lib/lsx/ct/damage/it/ids").ok().stdout;
    for damage in ["echo {} >", "head -c 100 /dev/urandom >", ": >"] {
        lab.script("h1", &format!("{damage}/var/lib/lsx/ct/damage/it/instance.json")).ok();
        let seen = cloud.ct(&["observe", &file]).ok().stdout;
        assert!(seen.contains("instance.json is damaged"), "{seen}");
        cloud.ct(&["check", &file]).exits(2);
        assert_eq!(cloud.changed(&file), 1, "{damage}");
        assert_eq!(
            (cloud.changed(&file), cloud.pid("h1", "damage/it")),
            (0, pid),
            "{damage}: repaired while it runs"
        );
        lab.script("h1", &format!("{damage}/etc/lsx/damage/ct.json")).ok();
        assert_eq!(cloud.changed(&file), 1, "{damage}");
        assert_eq!(cloud.changed(&file), 0, "{damage}");
    }
    // Its range of ids is found from its files; the recipes that were run cannot be.
    lab.script("h1", "echo nonsense >/var/lib/lsx/ct/damage/it/ids").ok();
    cloud.ct(&["restart", "it", "--stack", &file]).ok();
    assert_eq!(
        cloud.inside("h1", "damage/it", "cat /srv/mine /srv/once; stat -c %u /srv/mine").ok().stdout,
        "mine\nagain\n0\n"
    );
    let map = lab.script("h1", &format!("cat /proc/{}/uid_map", cloud.pid("h1", "damage/it"))).ok().stdout;
    assert_eq!(map.split_whitespace().nth(1), Some(ids.trim()));
    lab.script("h1", "echo '{' >/var/lib/lsx/ct/damage/it/recipes.json").ok();
    let refused = cloud.ct(&["restart", "it", "--stack", &file]);
    assert!(refused.code != 0, "{refused:?}");
    let said = [&*refused.stdout, &*refused.stderr].concat();
    assert!(said.contains("rm /var/lib/lsx/ct/damage/it/recipes.json"), "{said}");
    cloud.ct(&["down", &file, "--destroy-data", "damage"]).ok();
    lab.net(&["down", "--quiet", &file]).ok();
}

/// The kernel keeps a network namespace, and interfaces in it, as long as any process is in it.
fn who_is_in_its_network_namespace_holds_up_nothing(cloud: &Cloud) {
    let lab = &cloud.lab;
    let file =
        cloud.stack("held", "\n  it: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }");
    cloud.start(&file);
    let ends = || lab.script("h1", "cat /sys/class/net/*/ifalias | grep ^lsx:held:it || true").ok().stdout;
    let mut held = Vec::new();
    for verb in ["restart", "down"] {
        let pid = cloud.pid("h1", "held/it");
        let enter = format!(
            "nsenter -t {pid} -n sleep 1004 >/dev/null 2>&1 &
            until [ \"$(readlink /proc/$!/ns/net)\" = \"$(readlink /proc/{pid}/ns/net)\" ]; do sleep 0.05; done; echo $!"
        );
        held.push(lab.script("h1", &enter).ok().stdout);
        assert_eq!(ends().lines().count(), 1, "{}", ends());
        if verb == "restart" {
            cloud.ct(&["restart", "it", "--stack", &file]).ok();
            assert_ne!(cloud.pid("h1", "held/it"), pid);
            lab.net(&["check", &file]).ok();
            cloud.inside("h1", "held/it", "ip -4 addr show dev eth0 | grep -q inet").ok();
        }
    }
    cloud.ct(&["down", &file]).ok();
    assert_eq!(ends(), "");
    lab.net(&["down", "--quiet", &file]).ok();
    lab.script("h1", &format!("kill {}", held.concat().replace('\n', " "))).ok();
}

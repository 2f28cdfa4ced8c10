//! A volume moves to another host while its instance writes.

use crate::depot::Depot;
use lsx_tests::lab::until;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_volume_moves_while_its_instance_writes", a_volume_moves_while_its_instance_writes),
    ("a_move_that_is_killed_loses_nothing", a_move_that_is_killed_loses_nothing),
    ("a_move_that_fails_leaves_the_volume_in_use", a_move_that_fails_leaves_the_volume_in_use),
];

/// Writes numbers, each to the disk before the next.
const WRITER: &str = "  db: { image: bb, host: h1, restart: always, networks: [lan], volumes: { db: /var/db }, \
    command: [sh, -c, \"n=$(tail -n 1 /var/db/log 2>/dev/null || echo 0); while n=$((n + 1)); do echo $n >>/var/db/log; sync; echo $n; sleep 0.02; done\"] }";
const IDLE: &str = "  idle: { image: bb, host: h1, networks: [lan], volumes: { db: /var/db }, \
    command: [sh, -c, \"trap exit TERM; while :; do sleep 0.1; done\"] }";
const STORE: &str = "root: /data, volumes: { db: { size: 1G } }";

/// Everything that a volume can have, made by the host.
const TREE: &str = "cd /data/db; mkdir -p a/b 'blank in it' sticky; echo one >a/one; ln a/one a/b/again; ln -s /etc/passwd out; mkfifo pipe; mknod null c 1 3; chown 7:8 a/one
    head -c 30000000 /dev/urandom >big; truncate -s 300M sparse; printf x >\"$(printf 'bad\\377 \\nname')\"; chmod 4751 big; chmod 1777 sticky; setfattr -n user.note -v hi a
    setfattr -n system.posix_acl_access -v 0x0200000001000600ffffffff020006004d00000004000400ffffffff10000600ffffffff20000400ffffffff a/b
    python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('sock')\"; for i in $(seq 300); do echo $i >sticky/$i; done";
/// All of that in text, on any host; what the writer adds is compared by its numbers.
const SUM: &str = "cd /data/db; find . ! -name log -printf '%P %y %m %U %G %T@ %n %l ' \\( -type d -printf '\\n' -o -printf '%s\\n' \\) | sed 's/^ d \\(.*\\) .* [0-9]* *$/\\1/' | LC_ALL=C sort
    find . -type f ! -name log -exec sha256sum {} + | LC_ALL=C sort; getfattr -R -h -d -m - . 2>/dev/null | grep -v trusted.lsx | LC_ALL=C sort; stat -c '%t %T' null";

fn a_volume_moves_while_its_instance_writes(depot: &Depot) {
    let before = ["h1", "h2"].map(|host| depot.there(host));
    let file = depot.stack("mover", WRITER, STORE);
    depot.start(&file);
    depot.lab.script("h1", TREE).ok();
    let was = depot.lab.script("h1", SUM).ok().stdout;
    assert!(was.contains("sparse") && was.contains("posix_acl_access") && was.contains("hi"), "{was}");
    assert!(until(30, || depot.lab.script("h1", "test -s /data/db/log").code == 0));

    for wrong in [&["none", "h2"][..], &["db", "h9"]] {
        let ran = depot.store(&[&["volume", "move"], wrong, &["--stack", &file]].concat());
        assert_eq!(ran.code, 64, "{wrong:?}: {}", ran.stderr);
    }
    // Another host in the document alone does not move it, and says what does.
    let other = depot.store(&["plan", &file, "--set", "instances.db.host=h2"]);
    assert!(other.code == 65 && other.stderr.contains("volume move db h2"), "{}", other.stderr);

    let told = depot.ct(&["move", "db", "h2", "--stack", &file]).ok().stdout;
    assert!(told.contains("`lsx-store volume move db h2`"), "{told}");

    let ran = depot.store(&["volume", "move", "db", "h2", "--stack", &file]).ok();
    let moved = ran.json();
    assert_eq!(
        (&moved["from"], &moved["to"], &moved["set"]),
        (&"h1".into(), &"h2".into(), &serde_json::json!(["instances.db.host=h2"]))
    );
    assert_eq!(moved["instances"], serde_json::json!(["db"]));
    assert!(
        moved["stopped_ms"].as_u64().unwrap() > 0 && moved["sent_bytes"].as_u64().unwrap() > 30_000_000,
        "{moved}"
    );

    // All of it is there, and the numbers go on without a gap: what was acknowledged is not lost.
    assert_eq!(depot.lab.script("h2", SUM).ok().stdout, was);
    assert!(
        depot.lab.script("h2", "du -k /data/db/sparse | cut -f1").ok().stdout.trim().parse::<u64>().unwrap()
            < 2000
    );
    let count = "awk 'NR != $1 { print \"gap at\", NR, $1; exit 1 } END { print NR }' /data/db/log";
    let first: u64 = depot.lab.script("h2", count).ok().stdout.trim().parse().unwrap();
    assert!(until(30, || depot.lab.script("h2", count).ok().stdout.trim().parse::<u64>().unwrap() > first));
    depot
        .lab
        .script(
            "h1",
            "test ! -e /data/db; grep -q '\"moved\"' /var/lib/lsx/store/mover/db.json; ! grep -q volumes/mover /proc/mounts",
        )
        .ok();
    depot.lab.script("h2", "! getfattr -R -d -m trusted.lsx.from /data/db 2>/dev/null | grep .; getfattr --only-values -n trusted.lsx.volume /data/db | grep -x mover/db").ok();
    // The old document makes no second one while the new host is not asked.
    let alone = depot.store(&["up", &file, "--offline", "h2"]);
    assert!(alone.code == 65 && alone.stderr.contains("has moved from h1 to h2"), "{}", alone.stderr);
    // The document that says where it is changes nothing more; the old one is refused.
    let there = depot.stack("mover", &WRITER.replace("host: h1", "host: h2"), STORE);
    assert_eq!(depot.changes(&there), 1);
    depot.lab.script("h1", "test ! -e /var/lib/lsx/store/mover").ok();
    assert_eq!(depot.changes(&there), 0);
    assert_eq!(depot.store(&["volume", "move", "db", "h2", "--stack", &there]).ok().json()["passes"], 0);
    let old = depot.store(&["plan", &there, "--set", "instances.db.host=h1"]);
    assert!(old.code == 65 && old.stderr.contains("volume move db h1"), "{}", old.stderr);
    depot.end(&there, Some("mover"));
    assert_eq!(["h1", "h2"].map(|host| depot.there(host)), before);
}

fn a_move_that_fails_leaves_the_volume_in_use(depot: &Depot) {
    let before = ["h1", "h2"].map(|host| depot.there(host));
    // Another instance of the volume, which is stopped and stays so.
    let both = &format!("{WRITER}\n{IDLE}").replace("db: /var/db", "db: { path: /var/db, shared: true }");
    let file = depot.stack("stays", both, STORE);
    depot.start(&file);
    depot.ct(&["stop", "idle", "--stack", &file]).ok();
    depot
        .lab
        .script("h1", "cd /data/db; head -c 20000000 /dev/urandom >big; cp -a /bin/sleep /opt/sleep")
        .ok();
    let writes = || {
        let lines =
            || depot.lab.script("h1", "wc -l </data/db/log").stdout.trim().parse::<u64>().unwrap_or(0);
        let now = lines();
        assert!(until(30, || lines() > now), "{now}");
        assert_eq!(depot.seen(&file, "h1", "db")["state"], "ready");
        let all = depot.ct(&["observe", &file]).ok().lines();
        let here = all.iter().find(|seen| seen["host"] == "h1").unwrap();
        let idle = here["instances"].as_array().unwrap().iter().find(|one| one["name"] == "idle").unwrap();
        assert_eq!(idle["state"], "stopped");
    };
    let go = || depot.store(&["volume", "move", "db", "h2", "--stack", &file]);
    // The new host has no room.
    depot.lab.script("h2", "mkdir -p /small; mount -t tmpfs -o size=8M,mode=755 t /small").ok();
    let small = depot.stack(
        "stays",
        both,
        "root: /data, pools: { h2: { from: /small } }, volumes: { db: { size: 1G } }",
    );
    let full = depot.store(&["volume", "move", "db", "h2", "--stack", &small]);
    assert!(
        full.code == 1 && full.stderr.contains("store.room") | full.stderr.contains("room"),
        "{} {}",
        full.code,
        full.stderr
    );
    writes();
    assert_eq!(depot.seen(&small, "h2", "db")["state"], "arriving");
    // The unfinished copy is no volume; `up` removes it.
    let file = depot.stack("stays", both, STORE);
    depot.store(&["up", "-q", &file]).ok();
    depot.lab.script("h2", "test -z \"$(ls -A /small)\"; umount /small; rmdir /small").ok();
    // A program that is not lsx-ct's uses it: only seen when the instance is stopped.
    depot
        .lab
        .script("h1", "cd /data/db; setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $! >/opt/pid")
        .ok();
    let used = go();
    assert!(used.code == 75 && used.stderr.contains("(sleep)"), "{} {}", used.code, used.stderr);
    writes();
    depot.lab.script("h1", "kill $(cat /opt/pid); rm /opt/pid /opt/sleep").ok();
    interrupted(depot, &file);
    writes();
    // What was copied then is not copied again.
    let moved = go().ok().json();
    assert!(moved["sent_bytes"].as_u64().unwrap() < 10_000_000, "{moved}");
    assert_eq!(moved["instances"], serde_json::json!(["db"]));
    let there = depot.stack("stays", &both.replace("host: h1", "host: h2"), STORE);
    depot.end(&there, Some("stays"));
    assert_eq!(["h1", "h2"].map(|host| depot.there(host)), before);
}

/// A signal while the instance is stopped, which does not end by itself: somebody changes a file all the time.
fn interrupted(depot: &Depot, file: &str) {
    let change = "while :; do chmod 600 /data/db/big; chmod 640 /data/db/big; sleep 0.05; done";
    depot
        .lab
        .script("h1", &format!("setsid sh -c '{change}' >/dev/null 2>&1 </dev/null & echo $! >/opt/pid"))
        .ok();
    let mut run = depot.lab.tool(1, &["volume", "move", "db", "h2", "--stack", file]);
    let run = run.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut run = run.spawn().unwrap();
    let leaves = "! grep -q '\"ready\"' /var/lib/lsx/store/stays/db.json";
    let left = until(60, || depot.lab.script("h1", leaves).code == 0);
    let killed = std::process::Command::new("kill").args(["-INT", &run.id().to_string()]).status();
    assert!(killed.unwrap().success());
    let ended = run.wait().unwrap();
    depot.lab.script("h1", "kill $(cat /opt/pid); rm /opt/pid").ok();
    assert!(left && !ended.success(), "{ended}");
}

/// Killed while it copies, while nobody may use the volume, and when the copy has become the volume.
fn a_move_that_is_killed_loses_nothing(depot: &Depot) {
    let before = ["h1", "h2"].map(|host| depot.there(host));
    let file = depot.stack("killed", WRITER, STORE);
    let there = depot
        .lab
        .file("killed-there.yaml", &std::fs::read_to_string(&file).unwrap().replace("host: h1", "host: h2"));
    depot.start(&file);
    depot.lab.script("h1", "head -c 30000000 /dev/urandom >/data/db/big").ok();
    let count = |host: &str| {
        let script = "awk 'NR != $1 { print \"gap at\", NR, $1; exit 1 } END { print NR }' /data/db/log";
        depot.lab.script(host, script).ok().stdout.trim().parse::<u64>().unwrap()
    };
    let writes = |host: &str| {
        let now = count(host);
        assert!(until(30, || count(host) > now), "{host}: {now}");
    };
    assert!(until(30, || depot.lab.script("h1", "test -s /data/db/log").code == 0));
    // Each is still true when it is seen late.
    let moments = [
        ("h2", "test -e /data/.lsx-new-db-killed/big || test -e /data/db"),
        ("h1", "! grep -q '\"ready\"' /var/lib/lsx/store/killed/db.json"),
        ("h2", "grep -q '\"ready\"' /var/lib/lsx/store/killed/db.json"),
    ];
    for (host, moment) in moments {
        let mut run = depot.lab.tool(1, &["volume", "move", "db", "h2", "--stack", &file]);
        let run = run.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut run = run.spawn().unwrap();
        let came = until(60, || depot.lab.script(host, moment).code == 0);
        run.kill().unwrap();
        run.wait().unwrap();
        assert!(came, "{moment}");
        // `up` repairs, by the document of where it is; by the other one it makes no second volume.
        let fits = |file: &str| depot.store(&["plan", file]).code == 0;
        assert!(
            until(30, || fits(&file) || fits(&there)),
            "{moment}: {}",
            depot.store(&["plan", &file]).stderr
        );
        let (kept, left, own, other) =
            if fits(&file) { ("h1", "h2", &file, &there) } else { ("h2", "h1", &there, &file) };
        let wrong = depot.store(&["up", other]);
        assert!(
            wrong.code == 65 && wrong.stderr.contains("lsx-store volume move db"),
            "{moment}: {} {}",
            wrong.code,
            wrong.stderr
        );
        // What was stopped for it is started again.
        depot.store(&["up", "-q", own]).ok();
        if kept == "h2" {
            depot.store(&["volume", "move", "db", "h2", "--stack", own]).ok();
        }
        writes(kept);
        depot.lab.script(left, "! ls -d /data/db /data/.lsx-* /var/lib/lsx/store/killed 2>/dev/null").ok();
        if kept == "h2" {
            depot.store(&["volume", "move", "db", "h1", "--stack", &file]).ok();
            writes("h1");
        }
    }
    depot.end(&file, Some("killed"));
    assert_eq!(["h1", "h2"].map(|host| depot.there(host)), before);
}

//! A volume comes back in one moment, as Debian's restic restores it, and its instance with it; what goes wrong leaves what was there.

use crate::saved::{FILES, SAME};
use crate::vault::Vault;
use lsx_tests::lab::{Ran, until};
use serde_json::{Value, json};

pub(crate) const CASES: &[crate::Case] = &[("volumes_come_back", volumes_come_back)];

/// Where its volumes are: with a blank, as paths of mounts may have.
const ROOT: &str = "/big/the back";
const PLACE: &str = "/var/lib/lsx/volumes/back";

/// Two volumes and the instance that uses them. It is ready while there is a file `good`, which it makes in new volumes.
const STACK: &str = "
stack: back
hosts: { h1: 198.18.0.11 }
networks: { lan: { cidr: 10.171.0.0/24 } }
images: { bb: { oci: \"tar:bb.tar\" } }
secrets: { backup: \"file:key\" }
instances:
  app: { image: bb, host: h1, networks: [lan], restart: always, volumes: { db: /var/db, logs: /var/log },
    ready: { command: [test, -e, /var/db/good], timeout: 2s }, command: [sh, -c, \"test -e /var/db/begun || touch /var/db/begun /var/db/good; trap exit TERM; while :; do sleep 0.1; done\"] }
store: { root: \"/big/the back\", volumes: { db: { host: h1, size: 200M }, logs: { host: h1, driver: directory } } }
snap:
  to: { disk: { repository: \"local:/repo/back\", key: backup } }
  what: { both: { volumes: [db, logs], every: 1h, to: disk } }
  state: false
";

fn back(vault: &Vault, words: &[&str], file: &str) -> Ran {
    vault.snap(&[words, &["--stack", file]].concat())
}

/// Both volumes are what restic restores of these snapshots.
fn same(vault: &Vault, taken: &[Value]) {
    for one in taken {
        let (id, volume) = (one["id"].as_str().unwrap(), one["volume"].as_str().unwrap());
        vault.restic("back", &format!("restore {id} --target /plain/back")).ok();
        let two = [format!("{PLACE}/{volume}"), format!("/plain/back/back/{volume}")];
        vault.lab.exec("h1", &["bash", "-euc", SAME, "same", &two[0], &two[1]]).ok();
    }
    vault.host("rm -r /plain/back");
}

/// Nothing is half done, by every tool, and the instance runs with what is there now.
#[track_caller]
fn whole(vault: &Vault, file: &str, kept: usize) {
    vault.snap(&["check", file]).ok();
    assert_eq!(vault.store(&["up", file]).ok().json()["status"]["store"]["changed"], 0);
    let seen = vault.host(&format!(
        "pid=$(jq -r .pid /run/lsx/ct/back/app/state.json); for v in db logs; do p='{ROOT}'/$v; stat -Lc %d.%i \"$p\" {PLACE}/$v; getfattr -n trusted.lsx.volume --only-values \"$p\"; echo; done
         stat -Lc %i /proc/$pid/root/var/db /proc/$pid/root/var/log; btrfs qgroup show --raw -reF '{ROOT}/db' | awk '/^0.[0-9]/ {{ print $4 }}'; ls -A '{ROOT}' | grep -c lsx-restore: || true"
    ));
    let seen: Vec<&str> = seen.lines().collect();
    assert_eq!((seen[0], seen[2], seen[3], seen[5]), (seen[1], "back/db", seen[4], "back/logs"), "{seen:?}");
    let inode = |text: &str| text.rsplit('.').next().unwrap().to_owned();
    assert_eq!((seen[6], seen[7]), (&*inode(seen[0]), &*inode(seen[3])), "{seen:?}");
    assert_eq!((seen[8], seen[9]), ("209715200", &*kept.to_string()), "{seen:?}");
}

fn volumes_come_back(vault: &Vault) {
    let file = vault.lab.file("back.yaml", STACK);
    vault.net(&["up", "-q", &file]).ok();
    vault.store(&["up", "-q", &file]).ok();
    vault.ct(&["up", "-q", &file]).ok();
    vault.host(&format!("for v in db logs; do cd {PLACE}/$v; {FILES}; cd /; done"));
    vault.snap(&["up", "-q", &file]).ok();
    assert_eq!(back(vault, &["restore", "both"], &file).exits(1).says("there is no snapshot").code, 1);
    let taken = vault.take(&file);

    // The mistake, and its undoing.
    let bad = format!("cd {PLACE}/db; rm -rf a empty; echo bad >bad; cd ../logs; rm -rf a; echo bad >bad");
    vault.host(&bad);
    let done = back(vault, &["restore", "both"], &file).ok().json();
    let volumes = done["volumes"].as_array().unwrap();
    for (volume, taken) in volumes.iter().zip(&taken) {
        assert_eq!((&volume["snapshot"], &volume["volume"]), (&taken["id"], &taken["volume"]), "{done}");
        assert_eq!((&volume["of"], &volume["instances"]), (&taken["at"], &json!(["app"])), "{done}");
        assert!(volume["files"].as_u64() > Some(15) && volume["bytes"].as_u64() > Some(20_000_000), "{done}");
    }
    assert_eq!(volumes.len(), 2, "{done}");
    same(vault, &taken);
    whole(vault, &file, 2);
    // Holes are holes again.
    assert_eq!(vault.host(&format!("cd {PLACE}; test $(stat -c %b db/a/holes) -lt 1000; test $(stat -c %b logs/a/holes) -lt 1000; echo ok")), "ok\n");
    back(vault, &["undo", "db", "logs"], &file).ok();
    assert_eq!(
        vault.host(&format!("cd {PLACE}; cat db/bad logs/bad; ls -d db/a logs/a 2>/dev/null || true")),
        "bad\nbad\n"
    );
    whole(vault, &file, 2);
    back(vault, &["undo", "db"], &file).exits(1).says("no restore of volume db can be undone");
    back(vault, &["settle"], &file).ok();
    whole(vault, &file, 0);

    let [db, logs] = [0, 1].map(|n| taken[n]["id"].as_str().unwrap());
    unready(vault, &file, db);
    elsewhere(vault, &file, db, logs);
    not_ours(vault, &file);
    refused(vault, &file, db);
    damaged(vault, &file, db);

    // `down` keeps what restores keep, and says so.
    vault.ct(&["down", "-q", &file]).ok();
    let down = vault.snap(&["down", &file]).ok();
    assert!(down.stderr.contains("what a restore keeps of volume logs"), "{}", down.stderr);
    assert!(vault.host(&format!("ls -A '{ROOT}'")).contains(".lsx-restore:back:logs:"));
    vault.end(&file, "back");
    vault.net(&["down", "-q", &file]).ok();
    // A subvolume that is removed stays aside, as lsx-store says; nothing else does.
    let left =
        "cd '/big/the back'; ls -A; btrfs subvolume delete .lsx-removed/* >/dev/null; rm -r '/big/the back'";
    assert_eq!(vault.host(left), ".lsx-removed\n");
}

/// An instance that is not ready with what was restored gets back what it had.
fn unready(vault: &Vault, file: &str, good: &str) {
    vault.host(&format!("rm {PLACE}/db/good"));
    let bad = vault.take(file)[0]["id"].as_str().unwrap().to_owned();
    vault.host(&format!("touch {PLACE}/db/good; echo newer >{PLACE}/db/newer"));
    let ran = back(vault, &["restore", &bad], file).exits(1);
    assert!(
        ran.stderr.contains("with what was brought back, app is not ready")
            && ran.stderr.contains("have what they had before"),
        "{}",
        ran.stderr
    );
    assert_eq!((ran.stdout.as_str(), &*vault.host(&format!("cat {PLACE}/db/newer"))), ("", "newer\n"));
    whole(vault, file, 0);
    // The beginning of its name is enough.
    back(vault, &["restore", &bad[..10], "--keep"], file).exits(1).says("`undo` brings back what they had");
    assert_eq!(vault.host(&format!("ls {PLACE}/db/newer {PLACE}/db/good 2>/dev/null || true")), "");
    let why = vault.ct(&["check", file]);
    assert_eq!(why.code, 2, "{}", why.stderr);
    back(vault, &["restore", good], file).ok();
    back(vault, &["settle", "db"], file).ok();
    whole(vault, file, 0);
}

/// One file, to a folder of the host that only root can enter.
fn elsewhere(vault: &Vault, file: &str, db: &str, logs: &str) {
    let one = ["restore", db, "--volume", "db", "--path", "a/words", "--to"];
    let to = |dir: &str| back(vault, &[&one[..], &[dir]].concat(), file);
    let done = to("/root/out").ok().json();
    assert_eq!(done["volumes"][0]["to"], "/root/out/words");
    let seen = format!(
        "cd /root/out; cmp words {PLACE}/db/a/words; stat -c '%a %u:%g %Y' words {PLACE}/db/a/words | uniq | wc -l; getfattr -n user.note --only-values words; ls -A"
    );
    assert_eq!(vault.host(&seen), "1\na valuewords\n");
    to("/root/out").exits(1).says("/root/out/words is there already");
    vault.host("ln -s /root/out /root/link; mkdir -m 755 /root/open; mkdir -m 700 /root/all");
    to("/root/link").exits(1);
    to("/root/open").exits(1).says("others than root can enter /root/open");
    to("out").exits(64).says("is no absolute path");
    let missing = ["restore", "both", "--volume", "db", "--path", "a/../../x", "--to", "/root/all"];
    back(vault, &missing, file).exits(1).says("the snapshot has nothing at");
    back(vault, &["restore", logs, "--to", "/root/all"], file).ok();
    vault.restic("back", &format!("restore {logs} --target /plain/back")).ok();
    vault.lab.exec("h1", &["bash", "-euc", SAME, "same", "/root/all/logs", "/plain/back/back/logs"]).ok();
    vault.host("rm -r /plain/back");
    assert_eq!(
        vault.host("ls -A /root/open /root/all; rm -r /root/out /root/all /root/open /root/link"),
        "/root/all:\nlogs\n\n/root/open:\n"
    );
}

/// What Debian's restic has saved, with another path and no tags.
fn not_ours(vault: &Vault, file: &str) {
    vault.host(&format!("mkdir -p /plain/theirs; cd /plain/theirs; {FILES}"));
    let said = vault.restic("back", "--json backup /plain/theirs | tail -1").ok().stdout;
    let id = serde_json::from_str::<Value>(said.lines().last().unwrap()).unwrap()["snapshot_id"]
        .as_str()
        .unwrap()
        .to_owned();
    back(vault, &["restore", &id], file).exits(64).says("has no snapshot");
    back(vault, &["restore", &id, "--volume", "logs"], file)
        .exits(64)
        .says("is not one of volume logs, but of /plain/theirs");
    back(vault, &["restore", &id, "--volume", "logs", "--from", "/plain/none"], file)
        .exits(1)
        .says("nothing at /plain/none");
    back(vault, &["restore", &id, "--volume", "logs", "--from", "/plain/theirs"], file).ok();
    vault.lab.exec("h1", &["bash", "-euc", SAME, "same", &format!("{PLACE}/logs"), "/plain/theirs"]).ok();
    vault.host("rm -r /plain/theirs");
}

/// What cannot be restored changes nothing.
fn refused(vault: &Vault, file: &str, db: &str) {
    let was = vault.host(&format!("stat -c %i {PLACE}/db {PLACE}/logs"));
    back(vault, &["restore", "none"], file)
        .exits(64)
        .says("none is no snapshot job, and no name of a snapshot");
    back(vault, &["restore", "0123456789"], file).exits(64).says("has no snapshot 0123456789");
    back(vault, &["restore", "both", "--volume", "other"], file).exits(64).says("has no volume other");
    back(vault, &["restore", "both", "--to", "/root/x"], file)
        .exits(64)
        .says("one volume is restored to a folder");
    // No room: seen before anything is written.
    vault.host(&format!("btrfs qgroup limit 1M 0/$(btrfs inspect-internal rootid '{ROOT}/db') /big"));
    back(vault, &["restore", db], file)
        .exits(1)
        .says("there is no room for what is to be restored: 1048576 bytes");
    vault.host(&format!("btrfs qgroup limit 200M 0/$(btrfs inspect-internal rootid '{ROOT}/db') /big"));
    // A program that lsx-ct does not know has a file of the volume open.
    let user = vault
        .lab
        .start("h1", &["sh", "-c", &format!("cd {PLACE}/logs; echo $$ >/root/user; exec sleep 1000")]);
    assert!(until(30, || vault.lab.script("h1", "test -s /root/user").code == 0));
    back(vault, &["restore", "both"], file).exits(75).says("volume logs is used by process");
    vault.host("kill $(cat /root/user); rm /root/user");
    let _ = lsx_tests::lab::wait(user, "sleep".to_owned());
    assert_eq!(vault.host(&format!("stat -c %i {PLACE}/db {PLACE}/logs")), was);
    whole(vault, file, 1);
}

/// A bit that has changed in the repository is noticed before anything is exchanged.
fn damaged(vault: &Vault, file: &str, db: &str) {
    vault.host("cp -a /repo/back /repo/aside; for f in $(find /repo/back/data -type f); do printf '\\377' | dd of=$f bs=1 seek=$(($(stat -c %s $f) / 3)) conv=notrunc status=none; done");
    let ran = back(vault, &["restore", db], file).exits(1);
    assert!(ran.stderr.contains("/repo/back"), "{}", ran.stderr);
    vault.host("rm -r /repo/back; mv /repo/aside /repo/back");
    whole(vault, file, 1);
}

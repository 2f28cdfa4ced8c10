//! What is not there or not what it should be: nothing is written, and the message says why.

use crate::vault::{KEY, Vault};
use lsx_tests::lab::{until, wait};

pub(crate) const CASES: &[crate::Case] = &[("what_is_wrong_is_told", what_is_wrong_is_told)];

fn what_is_wrong_is_told(vault: &Vault) {
    let file = vault.stack("wrong");
    vault.store(&["up", "-q", &file]).ok();
    let take = |words: &str, code: i32| {
        let ran = vault.snap(&["take", "--stack", &file]).exits(code);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    };
    take("no host has a volume of these snapshot jobs", 1);
    vault.snap(&["take", "none", "--stack", &file]).exits(64).says("has no snapshot job none");
    vault.snap(&["up", "-q", &file]).ok();

    // Something else is where the repository would be.
    vault.host("mkdir /repo/wrong; echo theirs >/repo/wrong/file");
    take("/repo/wrong is no repository, and is not empty", 1);
    assert_eq!(vault.host("cd /repo/wrong; ls -A; cat file; rm -r /repo/wrong"), "file\ntheirs\n");
    // What a killed run has begun is finished: a key without a configuration.
    vault.host("mkdir -p /repo/wrong/keys; echo '{}' >/repo/wrong/keys/$(printf a | sha256sum | cut -c-64)");
    vault.take(&file);
    vault.restic("wrong", "check").ok();

    // Who has the repository alone is not disturbed, and who has died does not disturb.
    let lock = "locked() { ls /repo/wrong/locks | grep -qx '[0-9a-f]\\{64\\}'; }; cd /root
        for n in $(seq 50); do restic --no-cache -q -r /repo/wrong -p key check --read-data >/root/said 2>&1 & pid=$!
        for i in $(seq 400); do ! locked || break; sleep 0.005; done; kill -STOP $pid || true; ! locked || break; kill -CONT $pid || true; wait $pid || true; done
        echo $pid >/root/pid; wait";
    let held = vault.lab.start("h1", &["bash", "-c", lock]);
    assert!(until(60, || vault.lab.script("h1", "test -s /root/pid").code == 0));
    assert_eq!(vault.host("ls /repo/wrong/locks | wc -l"), "1\n");
    let busy = vault.snap(&["take", "--stack", &file]).exits(75);
    assert!(busy.stderr.contains("has the repository at /repo/wrong for itself"), "{}", busy.stderr);
    vault.host("kill -KILL $(cat /root/pid)");
    let _ = wait(held, "restic check".to_owned());
    vault.take(&file);
    assert_eq!(vault.host("ls -A /repo/wrong/locks"), "");

    // The repository is not there any more, or another one is.
    vault.host("mv /repo/wrong /repo/aside");
    take("the repository is not at /repo/wrong any more", 1);
    assert_eq!(vault.host("ls -A /repo"), "aside\n");
    let gone = vault.snap(&["check", &file]).exits(2);
    assert!(gone.stdout.contains("snap.missing") && gone.stdout.contains("snap.run"), "{}", gone.stdout);
    vault.host("restic --no-cache -q -r /repo/wrong -p /root/key init");
    take("another repository is at /repo/wrong", 1);
    vault.host("rm -r /repo/wrong; mv /repo/aside /repo/wrong");
    vault.take(&file);

    // Another password.
    let key = vault.lab.folder.path().join("key");
    std::fs::write(&key, "another one\n").unwrap();
    vault.snap(&["up", "-q", &file]).ok();
    take("the key does not open the repository at /repo/wrong", 1);
    std::fs::write(&key, format!("{KEY}\n")).unwrap();
    vault.snap(&["up", "-q", &file]).ok();

    some_is_not_saved(vault, &file);
    vault.end(&file, "wrong");
}

fn some_is_not_saved(vault: &Vault, file: &str) {
    // What cannot be saved is named, and the rest is saved; no link leads out of a volume.
    vault.host("cd /var/lib/lsx/volumes/wrong/db; btrfs subvolume create sub; echo in >sub/file; echo own >own; ln -s /root out");
    let partly = vault.snap(&["take", "--stack", file]).exits(1);
    assert!(
        partly.stderr.contains("1 files or folders of volume db are not in its snapshot: /wrong/db/sub"),
        "{}",
        partly.stderr
    );
    let taken = partly.json();
    assert_eq!(
        (&taken["snapshots"][0]["complete"], &taken["snapshots"][1]["complete"]),
        (&false.into(), &true.into())
    );
    let id = taken["snapshots"][0]["id"].as_str().unwrap();
    let list = vault.snap(&["list", "db", "--stack", file]).ok().json();
    let last = list["snapshots"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["id"], &last["incomplete"]), (&id.into(), &true.into()));
    assert_eq!(
        vault.restic("wrong", &format!("ls {id}")).ok().stdout,
        "/wrong\n/wrong/db\n/wrong/db/out\n/wrong/db/own\n/wrong/db/sub\n"
    );
    assert!(
        vault.snap(&["check", file]).exits(2).stdout.contains("the last run of snapshot job both failed")
    );
    vault.host("btrfs subvolume delete /big/wrong/db/sub");

    // A volume that is not there is not saved as an empty one.
    vault.host("umount /var/lib/lsx/volumes/wrong/logs; mv /big/wrong/logs /big/wrong/aside; mkdir -p /var/lib/lsx/volumes/wrong/logs");
    vault.snap(&["take", "--stack", file]).exits(1).says("volume logs is not mounted");
    vault.host("mv /big/wrong/aside /big/wrong/logs");
    vault.store(&["up", "-q", file]).ok();
    vault.take(file);
    vault.restic("wrong", "check").ok();
}
